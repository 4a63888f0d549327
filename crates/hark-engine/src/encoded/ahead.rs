//! Reads the values of Futures ahead. A program often awaits its threads in the order in which it started them, and
//! over a network one request for the next few values takes as long as one for a single value.
//!
//! Only resolved Futures are kept: their records never change, so it does not matter when they were read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::ThreadId;
use crate::record::Versioned;

/// This many values in a row must have been read before the next ones are read ahead. A program that starts a thread,
/// awaits it and starts the next one never gets here, because it finds each Future pending first.
const IN_ORDER_MIN: usize = 2;

/// How many sequences are followed at the same time, for a session with several threads that await others.
const SEQUENCES_MAX: usize = 8;

/// The maximum number of values that were read ahead and are kept. If there are more, most were read in vain.
const VALUES_MAX: usize = 256;

/// The values of a session that were read ahead.
#[derive(Default)]
pub(super) struct ValuesAhead(Mutex<State>);

#[derive(Default)]
struct State {
    /// The sequences, the most recently used last.
    sequences: Vec<Sequence>,
    values: HashMap<ThreadId, Versioned>,
}

/// Futures of neighboring threads that were found resolved one after the other.
struct Sequence {
    next: ThreadId,
    length: usize,
    /// The number of values that the last request read ahead.
    ahead: usize,
}

impl ValuesAhead {
    /// A value that was read ahead. Its next reader reads it again, because no value may have two owners.
    pub fn take(&self, thread: ThreadId) -> Option<Versioned> {
        let mut state = self.lock();
        let value = state.values.remove(&thread)?;
        let mut sequence = state.sequence(thread);
        sequence.advance();
        state.sequences.push(sequence);
        Some(value)
    }

    /// The Futures to read together with this one: twice as many each time, but at most `most` in a request.
    pub fn to_read_after(&self, thread: ThreadId, most: usize) -> Vec<ThreadId> {
        let mut state = self.lock();
        let mut sequence = state.sequence(thread);
        let count =
            if sequence.length < IN_ORDER_MIN { 0 } else { (2 * sequence.ahead).clamp(1, most.saturating_sub(1)) };
        sequence.ahead = count;
        state.sequences.push(sequence);
        (1..=count as u64).map(|distance| ThreadId(thread.0 + distance)).collect()
    }

    /// Notes that the Futures of this thread and of the ones after it were read, and whether they were resolved. A
    /// sequence ends at a Future that is pending or has failed.
    pub fn note_read(&self, thread: ThreadId, is_resolved: bool, after: Vec<(ThreadId, Versioned)>) {
        let mut state = self.lock();
        let mut sequence = state.sequence(thread);
        if is_resolved && after.len() == sequence.ahead {
            sequence.advance();
            state.sequences.push(sequence);
        }
        if state.values.len() + after.len() > VALUES_MAX {
            state.values.clear();
        }
        state.values.extend(after);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Removes and returns the sequence that continues with this thread, or else a new one that replaces the oldest.
    fn sequence(&mut self, next: ThreadId) -> Sequence {
        match self.sequences.iter().position(|sequence| sequence.next == next) {
            Some(place) => self.sequences.remove(place),
            None => {
                if self.sequences.len() == SEQUENCES_MAX {
                    self.sequences.remove(0);
                }
                Sequence { next, length: 0, ahead: 0 }
            }
        }
    }
}

impl Sequence {
    fn advance(&mut self) {
        self.next.0 += 1;
        self.length += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use hark_machine::Value;

    use super::*;
    use crate::id::Stamp;
    use crate::record::{FutureRecord, Record};

    /// Reads the Futures of these threads one after the other, those before `resolved` with success. Returns the requests: the
    /// first Future of each, and how many were read ahead with it.
    fn requests(ahead: &ValuesAhead, threads: impl IntoIterator<Item = u64>, resolved: u64) -> Vec<(u64, usize)> {
        let mut requests = Vec::new();
        for thread in threads.into_iter().map(ThreadId) {
            if ahead.take(thread).is_some() {
                continue;
            }
            let after = ahead.to_read_after(thread, 8);
            requests.push((thread.0, after.len()));
            let value = |thread: ThreadId| {
                let record = Record::Future(thread.into(), FutureRecord::Resolved(Value::Null));
                (thread, Versioned { stamp: Stamp(NonZeroU64::MIN), record })
            };
            let values = after.into_iter().filter(|thread| thread.0 < resolved).map(value).collect();
            ahead.note_read(thread, thread.0 < resolved, values);
        }
        requests
    }

    #[test]
    fn more_and_more_of_a_sequence_is_read_ahead() {
        let found = requests(&ValuesAhead::default(), 1..=26, 100);
        assert_eq!(found, [(1, 0), (2, 0), (3, 1), (5, 2), (8, 4), (13, 7), (21, 7)]);
    }

    #[test]
    fn nothing_is_read_ahead_of_what_is_pending() {
        let ahead = ValuesAhead::default();
        assert_eq!(requests(&ahead, 1..=5, 5), [(1, 0), (2, 0), (3, 1), (5, 2)]);
        // It is awaited again when it is resolved, and the next one is pending again.
        for thread in 5..20 {
            assert_eq!(requests(&ahead, [thread, thread + 1], thread + 1), [(thread, 0), (thread + 1, 0)]);
        }
    }

    #[test]
    fn sequences_do_not_disturb_each_other() {
        let ahead = ValuesAhead::default();
        let both = (1..=20).flat_map(|step| [step, 1_000 + step]);
        assert_eq!(requests(&ahead, both, 2_000).len(), 2 * requests(&ValuesAhead::default(), 1..=20, 100).len());
    }

    #[test]
    fn a_value_is_given_away_once() {
        let ahead = ValuesAhead::default();
        requests(&ahead, 1..=3, 100);
        assert!(ahead.take(ThreadId(4)).is_some() && ahead.take(ThreadId(4)).is_none());
    }
}
