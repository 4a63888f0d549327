//! `hark prune`

use std::time::Duration;

use hark_backends::System;
use hark_engine::{Surroundings, Timestamp, outside};

use super::FINISHED;
use super::kept::Store;
use crate::args::Prune;
use crate::failure::Failure;
use crate::output;
use crate::storage;

/// Forgets sessions that ended before a time, and imports that were cut off; and programs that no session has any more.
///
/// # Errors
/// If the age makes no sense, or the storage cannot be written to.
pub fn prune(wanted: &Prune) -> Result<u8, Failure> {
    let age = parse_age(&wanted.older_than)?;
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

/// The time from so long ago until so far ahead. What ended after that ended under a clock that was wrong by more than the
/// age, and would else stay until the right one gets there.
fn around(now: Timestamp, age: Duration) -> (Timestamp, Timestamp) {
    (Timestamp(0).after(now.since(Timestamp(0)).saturating_sub(age)), now.after(age))
}

fn parse_age(text: &str) -> Result<Duration, Failure> {
    let wrong = || Failure::usage(format!("`{text}` is no age")).with_hint("an age is a number and s, m, h or d: `7d`");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(count.saturating_mul(seconds)))
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

    #[test]
    fn ages_have_units() {
        assert_eq!(parse_age("90s").ok(), Some(Duration::from_secs(90)));
        assert_eq!(parse_age("7d").ok(), Some(Duration::from_secs(604_800)));
        for wrong in ["", "7", "d", "-1d", "1 d", "1.5h", "7w", "1é"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
    }
}
