//! The threads started by a thread, for its cancellation.

use serde::{Deserialize, Serialize};

use crate::id::ThreadId;
use crate::limits::STARTED_RANGES_MAX;

/// The numbers of the threads that a thread has started, as ordered ranges from first to last. If there are too many
/// ranges, neighbours are joined, so they may include threads of others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Started(Vec<(ThreadId, ThreadId)>);

impl Started {
    /// Adds a thread, whose number must be greater than all before.
    pub fn add(&mut self, thread: ThreadId) {
        match self.0.last_mut() {
            Some((_, last)) if last.0 + 1 == thread.0 => *last = thread,
            _ => self.0.push((thread, thread)),
        }
        if self.0.len() > STARTED_RANGES_MAX {
            self.join_nearest();
        }
    }

    /// Joins the two ranges with the smallest gap.
    fn join_nearest(&mut self) {
        let gaps = self.0.windows(2).map(|pair| pair[1].0.0.saturating_sub(pair[0].1.0));
        if let Some((index, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) {
            let (_, last) = self.0.remove(index + 1);
            self.0[index].1 = last;
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of ranges.
    pub fn ranges(&self) -> usize {
        self.0.len()
    }

    /// The first number from this one on that may be included.
    pub fn next_from(&self, from: ThreadId) -> Option<ThreadId> {
        self.0.iter().find(|(_, last)| *last >= from).map(|(first, _)| (*first).max(from))
    }

    /// Whether this thread may be included.
    pub fn contains(&self, thread: ThreadId) -> bool {
        self.next_from(thread) == Some(thread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(numbers: impl IntoIterator<Item = u64>) -> Started {
        let mut started = Started::default();
        numbers.into_iter().for_each(|number| started.add(ThreadId(number)));
        started
    }

    #[test]
    fn neighbours_are_one_range() {
        let some = started((1..=1_000).chain([1_005, 1_006, 2_000]));
        assert_eq!(some.ranges(), 3);
        assert!(some.contains(ThreadId(1)) && some.contains(ThreadId(1_000)) && some.contains(ThreadId(1_006)));
        assert!(!some.contains(ThreadId(0)) && !some.contains(ThreadId(1_001)) && !some.contains(ThreadId(2_001)));
        assert_eq!(some.next_from(ThreadId(1_001)), Some(ThreadId(1_005)));
        assert_eq!(some.next_from(ThreadId(2_001)), None);
    }

    #[test]
    fn of_many_ranges_the_nearest_are_joined() {
        let numbers: Vec<u64> = (1..=200).map(|number| number * number).collect();
        let some = started(numbers.iter().copied());
        assert_eq!(some.ranges(), STARTED_RANGES_MAX);
        assert!(numbers.iter().all(|number| some.contains(ThreadId(*number))), "none is lost");
        assert!(some.contains(ThreadId(2)), "those between the first are among them");
        assert!(!some.contains(ThreadId(200 * 200 - 1)));
    }
}
