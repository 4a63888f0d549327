//! How often a session that other processes run is polled.

use std::thread;
use std::time::Duration;

use crate::storage::Kept;

/// In a file a look costs little.
const LOCAL: Duration = Duration::from_millis(50);

/// Over a network a look costs money: soon after something has happened, and later.
const REMOTE: Duration = Duration::from_millis(250);
const REMOTE_MAX: Duration = Duration::from_secs(2);

/// The pauses between looks. They grow while nothing happens.
pub struct Pace {
    next: Duration,
    least: Duration,
    most: Duration,
}

impl Pace {
    /// For sessions that are kept there.
    pub fn of(kept: &Kept) -> Pace {
        let (least, most) = if kept.is_remote() { (REMOTE, REMOTE_MAX) } else { (LOCAL, LOCAL) };
        Pace { next: least, least, most }
    }

    /// The pause after a look that has found something new, or has not.
    pub fn next(&mut self, has_found: bool) -> Duration {
        if has_found {
            self.next = self.least;
        }
        let pause = self.next;
        self.next = (self.next * 3 / 2).min(self.most);
        pause
    }

    /// Waits for the current pause.
    pub fn wait(&mut self, has_found: bool) {
        thread::sleep(self.next(has_found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_something_happens() {
        let mut pace = Pace { next: REMOTE, least: REMOTE, most: REMOTE_MAX };
        let quiet: Vec<u128> = (0..8).map(|_| pace.next(false).as_millis()).collect();
        assert_eq!(quiet, [250, 375, 562, 843, 1265, 1898, 2000, 2000]);
        assert_eq!((pace.next(true), pace.next(true), pace.next(false).as_millis()), (REMOTE, REMOTE, 375));
    }
}
