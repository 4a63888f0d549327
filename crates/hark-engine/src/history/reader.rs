//! Reading a history in pages, without the output of tries whose results do not count.
//!
//! What a call prints is written down in pieces while it runs. If its process is lost, the call is made again and prints
//! again, and the pieces of the lost try are still there: nothing of a history is ever removed. Whoever reads it leaves
//! them out.

use std::collections::HashMap;

use super::{Event, LogEntry};
use crate::id::ThreadId;
use crate::limits::HISTORY_PAGE;
use crate::storage::{SessionStorage, StorageError};

/// A session's history, from its beginning.
pub struct HistoryReader<'a> {
    records: &'a dyn SessionStorage,
    after: u64,
    /// Known from the first piece on that was read.
    lost: Option<LostOutput>,
}

/// Where a history has the output of tries that do not count.
#[derive(Debug, Default)]
pub(crate) struct LostOutput {
    lost: HashMap<ThreadId, Vec<Pieces>>,
}

/// The pieces of one try: from which position of the history to which.
#[derive(Debug, Clone, Copy)]
struct Pieces {
    attempt: u32,
    first: u64,
    last: u64,
}

/// A thread's call under way.
#[derive(Default)]
struct Call {
    /// The last try that was begun.
    attempt: u32,
    /// What each try has printed so far.
    pieces: Vec<Pieces>,
}

impl<'a> HistoryReader<'a> {
    /// Reads the history of these records.
    pub fn new(records: &'a dyn SessionStorage) -> HistoryReader<'a> {
        HistoryReader::after(records, 0)
    }

    /// The same of what comes after this position.
    pub(crate) fn after(records: &'a dyn SessionStorage, after: u64) -> HistoryReader<'a> {
        HistoryReader { records, after, lost: None }
    }

    /// Up to where it was read.
    pub(crate) fn position(&self) -> u64 {
        self.after
    }

    /// What came next; none if there is nothing more yet. Of a call that is not over, only the output of its last try is
    /// shown; what is read while it goes on may still prove to be lost.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    pub fn page(&mut self) -> Result<Option<Vec<LogEntry>>, StorageError> {
        let before = self.after;
        let page = self.records.history(before, HISTORY_PAGE)?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        self.after = *last;
        if self.lost.is_none() && page.iter().any(|(_, entry)| entry.piece_of().is_some()) {
            self.lost = Some(LostOutput::find(self.records, before)?);
        }
        let is_lost =
            |position: u64, entry: &LogEntry| self.lost.as_ref().is_some_and(|lost| lost.contains(position, entry));
        let entries = page.into_iter().filter(|(position, entry)| !is_lost(*position, entry));
        Ok(Some(entries.map(|(_, entry)| entry).collect()))
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

    /// The same for a whole history.
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
                // Its beginning may stand before what was read.
                call.attempt = call.attempt.max(*attempt);
                let pieces = &mut call.pieces;
                match pieces.iter_mut().find(|pieces| pieces.attempt == *attempt) {
                    Some(pieces) => pieces.last = position,
                    None => pieces.push(Pieces { attempt: *attempt, first: position, last: position }),
                }
            }
            Event::Called { attempt, .. } => calls.entry(entry.thread).or_default().attempt = *attempt,
            Event::Returned { attempt, .. } | Event::Raised { attempt } => {
                if let Some(call) = calls.remove(&entry.thread) {
                    self.keep_only(entry.thread, &call, attempt.unwrap_or(call.attempt));
                }
            }
            _ => {}
        }
    }

    /// Of calls that are not over, the last try counts.
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

    /// Whether this entry is to be left out.
    pub fn contains(&self, position: u64, entry: &LogEntry) -> bool {
        let Some(attempt) = entry.piece_of() else { return false };
        let is_within = |pieces: &Pieces| pieces.attempt == attempt && (pieces.first..=pieces.last).contains(&position);
        self.lost.get(&entry.thread).is_some_and(|lost| lost.iter().any(is_within))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::Timestamp;

    /// What is left of a history of one thread: `c2` is its second try, `p2` a piece of its output, `r` its end, `r1` one
    /// that is the first try's, `e` and `e1` an end with an error, and anything else is printed by the thread.
    fn left(history: &str) -> String {
        let number = |word: &str| word[1..].parse().ok();
        let event = |word: &str| match word.as_bytes()[0] {
            b'c' => Event::Called { function: "f".into(), attempt: number(word).unwrap(), arguments: String::new() },
            b'p' => Event::Printed { text: word.into(), attempt: number(word) },
            b'r' => Event::Returned { value: String::new(), attempt: number(word) },
            b'e' => Event::Raised { attempt: number(word) },
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
