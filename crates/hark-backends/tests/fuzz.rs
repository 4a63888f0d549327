//! The fuzz targets for sessions, run briefly. For serious fuzzing, see ARCHITECTURE.md.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see their helpers")]

#[path = "../../../fuzz/src/damage.rs"]
mod damage;
#[path = "../../../fuzz/src/document.rs"]
mod document;
#[path = "../../../fuzz/src/rows.rs"]
mod rows;
#[path = "../../../fuzz/src/sessions.rs"]
mod sessions;

use std::cell::Cell;
use std::env;

use damage::{Random, Told, fuzz};

/// The number of damaged seeds, unless the variable sets another one.
fn times(usual: u64) -> u64 {
    env::var("HARK_FUZZ_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(usual)
}

#[test]
fn any_sessions_in_and_out() {
    let [(_, exports), (_, changes)] = sessions::seeds();
    let taken = Cell::new(0);
    let count = |is_taken: bool| taken.set(taken.get() + u64::from(is_taken));
    fuzz("import", &exports, times(500), |bytes| count(sessions::import(bytes)));
    for number in 0..times(1_000) {
        let mut random = Random(number);
        let export = &exports[random.below(exports.len())];
        let _told = Told { target: "a forged import", number };
        count(sessions::import(&sessions::forge(&mut random, export)));
    }
    assert!(taken.take() > times(500) / 10, "only {} were taken", taken.take());
    fuzz("database", &changes, times(100), |bytes| count(sessions::database(bytes)));
    assert!(taken.get() > times(100) / 2, "only {} were taken", taken.take());
    sessions::tidy();
}
