//! Reads a history in pages, without the output of lost attempts.
//!
//! The output of a call is written in pieces while it runs. If its process is lost, the call is repeated and prints
//! again, but the pieces of the lost attempt remain, because entries of a history are never removed. Readers omit them.

use std::collections::{BTreeSet, HashMap};

use super::{Event, LogEntry};
use crate::id::ThreadId;
use crate::limits::HISTORY_PAGE;
use crate::storage::{SessionStorage, StorageError};

/// Reads a session's history from the beginning.
pub struct HistoryReader<'a> {
    records: &'a dyn SessionStorage,
    position: HistoryPosition,
    /// The current pass over the pages.
    pass: Option<Pass>,
    /// Determined when the first piece is read.
    lost: Option<LostOutput>,
}

/// The position up to which a history has been read.
#[derive(Debug, Clone, Default)]
pub(crate) struct HistoryPosition {
    /// All pages up to this position were read, and no further ones can appear there.
    settled: u64,
    /// The positions of the pages read beyond that.
    seen: BTreeSet<u64>,
}

/// A pass over the pages after the settled position.
#[derive(Debug, Clone, Copy)]
struct Pass {
    /// The last read page.
    after: u64,
    /// Up to this position, no page can appear behind the pass.
    bound: u64,
    /// There was no more when it was read.
    is_over: bool,
}

/// The output of lost attempts in a history.
#[derive(Debug, Default)]
pub(crate) struct LostOutput {
    lost: HashMap<ThreadId, Vec<Pieces>>,
}

/// The pieces of an attempt: the first and last position in the history.
#[derive(Debug, Clone, Copy)]
struct Pieces {
    attempt: u32,
    first: u64,
    last: u64,
}

/// A thread's call in flight.
#[derive(Default)]
struct Call {
    /// The last attempt that has begun.
    attempt: u32,
    /// The output of each attempt so far.
    pieces: Vec<Pieces>,
}

impl<'a> HistoryReader<'a> {
    /// A reader of the history of these records.
    pub fn new(records: &'a dyn SessionStorage) -> HistoryReader<'a> {
        HistoryReader::after(records, HistoryPosition::default())
    }

    /// A reader of what follows this position.
    pub(crate) fn after(records: &'a dyn SessionStorage, position: HistoryPosition) -> HistoryReader<'a> {
        HistoryReader { records, position, pass: None, lost: None }
    }

    /// The position up to which it has been read.
    pub(crate) fn position(&self) -> &HistoryPosition {
        &self.position
    }

    /// The next entries; None if there are none yet. For a call that is not over, only the output of its last attempt
    /// is included; output read during a call may turn out to be lost later.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    pub fn page(&mut self) -> Result<Option<Vec<LogEntry>>, StorageError> {
        let (before, page) = loop {
            let Pass { after, bound, is_over } = self.pass.unwrap_or_else(|| Pass {
                after: self.position.settled,
                // Read before the pages, because pages that appear meanwhile may be missed.
                bound: self.records.history_settled(),
                is_over: false,
            });
            let mut page = if is_over { Vec::new() } else { self.records.history(after, HISTORY_PAGE)? };
            let Some((last, _)) = page.last() else {
                self.pass = None;
                return Ok(None);
            };
            let last = *last;
            let commits = page.chunk_by(|(one, _), (other, _)| one == other).count();
            page.retain(|(position, _)| !self.position.seen.contains(position));
            self.position.note(&page, last.min(bound));
            self.pass = Some(Pass { after: last, bound, is_over: commits < HISTORY_PAGE });
            if !page.is_empty() {
                break (after, page);
            }
        };
        if self.lost.is_none() && page.iter().any(|(_, entry)| entry.piece_of().is_some()) {
            self.lost = Some(LostOutput::find(self.records, before)?);
        }
        let is_lost =
            |position: u64, entry: &LogEntry| self.lost.as_ref().is_some_and(|lost| lost.contains(position, entry));
        let entries = page.into_iter().filter(|(position, entry)| !is_lost(*position, entry));
        Ok(Some(entries.map(|(_, entry)| entry).collect()))
    }
}

impl HistoryPosition {
    /// Records that these pages were read, and all pages up to the settled position.
    fn note(&mut self, page: &[(u64, LogEntry)], settled: u64) {
        self.settled = self.settled.max(settled);
        let settled = self.settled;
        self.seen.retain(|position| *position > settled);
        self.seen.extend(page.iter().map(|(position, _)| *position).filter(|position| *position > settled));
    }
}

impl LostOutput {
    fn find(records: &dyn SessionStorage, mut after: u64) -> Result<LostOutput, StorageError> {
        let (mut lost, mut calls) = (LostOutput::default(), HashMap::new());
        loop {
            let page = records.history(after, HISTORY_PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            page.iter().for_each(|(position, entry)| lost.note(&mut calls, *position, entry));
        }
        lost.end(calls);
        Ok(lost)
    }

    /// The lost output in a whole history.
    #[cfg(any(test, feature = "simulator"))]
    pub fn of(history: &[(u64, LogEntry)]) -> LostOutput {
        let (mut lost, mut calls) = (LostOutput::default(), HashMap::new());
        history.iter().for_each(|(position, entry)| lost.note(&mut calls, *position, entry));
        lost.end(calls);
        lost
    }

    fn note(&mut self, calls: &mut HashMap<ThreadId, Call>, position: u64, entry: &LogEntry) {
        match &entry.event {
            Event::Printed { attempt: Some(attempt), .. } => {
                let call = calls.entry(entry.thread).or_default();
                // The call may have begun before the pages that were read.
                call.attempt = call.attempt.max(*attempt);
                let pieces = &mut call.pieces;
                match pieces.iter_mut().find(|pieces| pieces.attempt == *attempt) {
                    Some(pieces) => pieces.last = position,
                    None => pieces.push(Pieces { attempt: *attempt, first: position, last: position }),
                }
            }
            Event::Called { attempt, .. } => calls.entry(entry.thread).or_default().attempt = *attempt,
            Event::Returned { attempt, .. } | Event::Raised { attempt, .. } => {
                if let Some(call) = calls.remove(&entry.thread) {
                    self.keep_only(entry.thread, &call, attempt.unwrap_or(call.attempt));
                }
            }
            _ => {}
        }
    }

    /// For calls that are not over, the last attempt counts.
    fn end(&mut self, calls: HashMap<ThreadId, Call>) {
        for (thread, call) in calls {
            self.keep_only(thread, &call, call.attempt);
        }
    }

    fn keep_only(&mut self, thread: ThreadId, call: &Call, attempt: u32) {
        let lost: Vec<Pieces> = call.pieces.iter().filter(|pieces| pieces.attempt != attempt).copied().collect();
        if !lost.is_empty() {
            self.lost.entry(thread).or_default().extend(lost);
        }
    }

    /// Whether to omit this entry.
    pub fn contains(&self, position: u64, entry: &LogEntry) -> bool {
        let Some(attempt) = entry.piece_of() else { return false };
        let is_within = |pieces: &Pieces| pieces.attempt == attempt && (pieces.first..=pieces.last).contains(&position);
        self.lost.get(&entry.thread).is_some_and(|lost| lost.iter().any(is_within))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::commit::{Commit, Outcome};
    use crate::record::{Key, Record, Versioned};
    use crate::storage::{Everything, Range};
    use crate::surroundings::Timestamp;

    /// A history whose pages appear out of order.
    #[derive(Default)]
    struct LateHistory {
        pages: Mutex<Vec<u64>>,
        settled: AtomicU64,
    }

    impl SessionStorage for LateHistory {
        fn read(&self, _: &[Key], _: &mut Vec<Option<Versioned>>) -> Result<(), StorageError> {
            Ok(())
        }

        fn scan(&self, _: Range, _: usize) -> Result<Vec<Record>, StorageError> {
            Ok(Vec::new())
        }

        fn commit(&self, _: &mut Commit) -> Result<Outcome, StorageError> {
            Ok(Outcome::Conflict)
        }

        fn reserve(&self, _: u64) -> Result<ThreadId, StorageError> {
            Err(StorageError::Gone)
        }

        fn all(&self) -> Result<Everything, StorageError> {
            Err(StorageError::Gone)
        }

        fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, LogEntry)>, StorageError> {
            let mut pages = self.pages.lock().unwrap().clone();
            pages.sort_unstable();
            let event = |position: &u64| Event::Printed { text: position.to_string(), attempt: None };
            let entry = |position| LogEntry { time: Timestamp(0), thread: ThreadId(0), event: event(position) };
            Ok(pages.iter().filter(|page| **page > after).take(limit).map(|page| (*page, entry(page))).collect())
        }

        fn history_settled(&self) -> u64 {
            self.settled.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_page_that_appears_late_is_read_once_in_its_place() {
        let history = LateHistory::default();
        let mut position = HistoryPosition::default();
        let mut read = |pages: &[u64], settled: u64| -> Vec<String> {
            history.pages.lock().unwrap().extend(pages);
            history.settled.store(settled, Ordering::Relaxed);
            let mut reader = HistoryReader::after(&history, position.clone());
            let mut texts = Vec::new();
            while let Some(page) = reader.page().unwrap() {
                texts.extend(page.iter().filter_map(|entry| entry.printed()).map(|item| item.text.to_owned()));
            }
            position = reader.position().clone();
            texts
        };
        assert_eq!(read(&[10, 30], 5), ["10", "30"]);
        assert_eq!(read(&[], 5), [""; 0]);
        assert_eq!(read(&[20, 40], 15), ["20", "40"], "one of them has appeared before what was read");
        assert_eq!(read(&[35], 40), ["35"]);
        assert_eq!(read(&[50], u64::MAX), ["50"]);
        let many: Vec<u64> = (51..1000).rev().collect();
        assert_eq!(read(&many, 60).len(), many.len(), "they come in several pages");
        assert_eq!(read(&[], u64::MAX), [""; 0]);
        assert_eq!((position.settled, position.seen.len()), (999, 0), "settled positions are not kept");
    }

    /// The remaining output in the history of a thread: `c2` is its second attempt, `p2` a piece of its output, `r` its
    /// end, `r1` the end of the first attempt, `e` and `e1` an end with an error. Anything else is printed by the
    /// thread.
    fn left(history: &str) -> String {
        let number = |word: &str| word[1..].parse().ok();
        let event = |word: &str| match word.as_bytes()[0] {
            b'c' => Event::Called { function: "f".into(), attempt: number(word).unwrap(), arguments: String::new() },
            b'p' => Event::Printed { text: word.into(), attempt: number(word) },
            b'r' => Event::Returned { value: String::new(), attempt: number(word) },
            b'e' => Event::Raised { kind: String::new(), message: String::new(), attempt: number(word) },
            _ => Event::Printed { text: word.into(), attempt: None },
        };
        let entry = |word| LogEntry { time: Timestamp(0), thread: ThreadId(3), event: event(word) };
        let history: Vec<(u64, LogEntry)> = (1..).zip(history.split(' ').map(entry)).collect();
        let lost = LostOutput::of(&history);
        let left = history.iter().filter(|(position, entry)| !lost.contains(*position, entry));
        let texts = left.filter_map(|(_, entry)| entry.printed()).map(|item| item.text);
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_try_that_returned_counts() {
        assert_eq!(left("c1 p1 p1 x r y"), "p1 p1 x y");
        assert_eq!(left("c1 p1 p1 c2 p2 r y c1 p1 r"), "p2 y p1");
        assert_eq!(left("c1 p1 c2 c3 p3 p3 r"), "p3 p3");
        assert_eq!(left("c1 p1 p1 c2 p2 r1 x"), "p1 p1 x");
        assert_eq!(left("c1 p1 r x c2 p2 r"), "p1 x p2", "a call that failed was retried");
        assert_eq!(left("c1 p1 c2 p2 e c1 p1 e1"), "p2 p1");
        assert_eq!(left("p2 p2 r x"), "p2 p2 x", "it had begun before what is read");
        assert_eq!(left("p1 c2 p2 r x"), "p2 x");
    }

    #[test]
    fn of_a_call_under_way_the_last_try_counts() {
        assert_eq!(left("c1 p1 p1"), "p1 p1");
        assert_eq!(left("c1 p1 p1 c2"), "");
        assert_eq!(left("c1 p1 c2 p2"), "p2");
    }
}
