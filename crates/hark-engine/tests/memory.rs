//! Runs the suite for all storages on the storage in memory.

use std::sync::Arc;

use hark_engine::MemoryStorage;
use hark_engine::conformance::check_storage;

#[test]
fn the_memory_is_a_storage() {
    check_storage(&|| Arc::new(MemoryStorage::default()));
}
