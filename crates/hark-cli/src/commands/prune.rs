//! `hark prune`

use std::time::Duration;

use hark_backends::System;
use hark_engine::{Surroundings, Timestamp, outside};

use super::FINISHED;
use super::kept::Store;
use crate::age;
use crate::args::Prune;
use crate::failure::Failure;
use crate::output;
use crate::storage;

/// Deletes sessions that ended before a time, interrupted imports, and programs that no session uses any more.
///
/// # Errors
/// If the age is invalid, or the storage cannot be written to.
pub fn prune(wanted: &Prune) -> Result<u8, Failure> {
    let age = age::parse(&wanted.older_than)?;
    let mut count = 0;
    if let Some(store) = Store::open(&wanted.kept.storage, &wanted.kept.config)? {
        let ended = around(System.now(), age);
        count = outside::prune(&*store.storage, &System, ended).map_err(storage::failure)?;
    }
    output::write_out(&match wanted.kept.json {
        true => format!("{{\"removed\": {count}}}\n"),
        false => format!("removed {count} session{}\n", if count == 1 { "" } else { "s" }),
    })?;
    Ok(FINISHED)
}

/// The time from `age` ago to `age` ahead. A session that seems to have ended later than that ended under a wrong
/// clock; it would otherwise stay until the correct clock has caught up.
fn around(now: Timestamp, age: Duration) -> (Timestamp, Timestamp) {
    (Timestamp(0).after(now.since(Timestamp(0)).saturating_sub(age)), now.after(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_far_from_now_is_old() {
        let day = Duration::from_secs(86_400);
        let now = Timestamp(10 * 86_400_000_000);
        assert_eq!(around(now, day), (Timestamp(9 * 86_400_000_000), Timestamp(11 * 86_400_000_000)));
        assert_eq!(around(now, 20 * day).0, Timestamp(0));
        assert_eq!(around(now, Duration::ZERO), (now, now));
    }
}
