//! Tracks the output that worker processes have reported to their supervisor. A worker may be lost after a commit and
//! before it has reported the commit's output; this module finds the missing output in the history.

use std::collections::{HashMap, HashSet};

use crate::history::LogEntry;
use crate::id::ThreadId;
use crate::output::OutputItem;
use crate::surroundings::Timestamp;

/// The output that workers have reported. The reports of a thread come in the order of its output.
pub(in crate::session) struct Reported {
    /// Output from before this time was meant for another process.
    since: Timestamp,
    last: HashMap<ThreadId, Last>,
}

/// The last output of a thread that was reported.
struct Last {
    time: Timestamp,
    /// The number of items with this time that were reported.
    count: u64,
}

impl Reported {
    /// Before any report. Output from before this time need not be reported.
    pub fn since(since: Timestamp) -> Reported {
        Reported { since, last: HashMap::new() }
    }

    /// Notes an item that was reported.
    pub fn note(&mut self, items: &[OutputItem]) {
        for item in items {
            let last = self.last.entry(item.thread).or_insert(Last { time: item.time, count: 0 });
            if last.time != item.time {
                *last = Last { time: item.time, count: 0 };
            }
            last.count += 1;
        }
    }

    /// A predicate for the entries of a history, in order: whether one of these threads has printed the entry in a
    /// commit that was not reported.
    pub fn missing<'a>(&'a self, threads: &'a HashSet<ThreadId>) -> impl FnMut(&LogEntry) -> bool + 'a {
        // For each thread, the number of items seen so far that have the time of its last reported item.
        let mut seen: HashMap<ThreadId, u64> = HashMap::new();
        move |entry| {
            // A call reports its output before the output is written.
            if !entry.is_printed() || entry.piece_of().is_some() || !threads.contains(&entry.thread) {
                return false;
            }
            match self.last.get(&entry.thread) {
                None => entry.time >= self.since,
                Some(last) if entry.time == last.time => {
                    let seen = seen.entry(entry.thread).or_default();
                    *seen += 1;
                    *seen > last.count
                }
                Some(last) => entry.time > last.time,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Event;

    fn item(thread: u64, time: u64) -> OutputItem {
        OutputItem { time: Timestamp(time), thread: ThreadId(thread), text: String::new() }
    }

    fn entry(thread: u64, time: u64, attempt: Option<u32>) -> LogEntry {
        let event = Event::Printed { text: String::new(), attempt };
        LogEntry { time: Timestamp(time), thread: ThreadId(thread), event }
    }

    /// Which of these outputs of thread 1 are missing after these reports.
    fn missing(times: &[u64], printed: &[u64]) -> Vec<u64> {
        let mut reported = Reported::since(Timestamp(10));
        reported.note(&times.iter().map(|time| item(1, *time)).collect::<Vec<_>>());
        let threads = HashSet::from([ThreadId(1)]);
        let mut is_missing = reported.missing(&threads);
        printed.iter().copied().filter(|time| is_missing(&entry(1, *time, None))).collect()
    }

    #[test]
    fn what_was_committed_after_the_last_report_is_missing() {
        assert_eq!(missing(&[11, 12], &[5, 11, 12, 13, 14]), [13, 14]);
        assert_eq!(missing(&[11, 11], &[11, 11, 11, 12]), [11, 12], "some of one time were reported");
        assert_eq!(missing(&[11, 12], &[11, 12]), [0; 0]);
        assert_eq!(missing(&[], &[5, 10, 11]), [10, 11], "what was printed for another process is not");
    }

    #[test]
    fn other_threads_and_the_pieces_of_calls_are_not_missing() {
        let reported = Reported::since(Timestamp(0));
        let threads = HashSet::from([ThreadId(1)]);
        let mut is_missing = reported.missing(&threads);
        assert!(is_missing(&entry(1, 1, None)));
        assert!(!is_missing(&entry(2, 1, None)) && !is_missing(&entry(1, 1, Some(1))));
    }
}
