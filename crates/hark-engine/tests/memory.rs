//! The storage in memory against the suite for all storages.

use std::sync::Arc;

use hark_engine::MemoryStorage;
use hark_engine::conformance::check_storage;

#[test]
fn the_memory_is_a_storage() {
    check_storage(&|| Arc::new(MemoryStorage::default()));
}
