//! Waiting for a storage that is temporarily unresponsive.
//!
//! A running session has state that is in no record: a thread in the middle of its step, the result of a call, calls in
//! flight. Giving it up because another process holds the file's lock would repeat calls. So its requests are retried
//! for minutes before it is given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::commit::{Commit, Outcome};
use crate::history::LogEntry;
use crate::id::ThreadId;
use crate::limits::{STORAGE_PATIENCE, STORAGE_PAUSE, STORAGE_PAUSE_MAX, STORAGE_TRIES_MIN};
use crate::record::{Key, Live, Record, Versioned};
use crate::rows::Row;
use crate::storage::{Everything, Range, SessionStorage, StorageError};
use crate::surroundings::Surroundings;

/// Makes a request until it is answered, unless that takes too long or the session was given up. `tell` is called with
/// the first error.
pub(crate) fn patiently<T>(
    surroundings: &dyn Surroundings,
    is_given_up: &AtomicBool,
    tell: &dyn Fn(&StorageError),
    mut request: impl FnMut() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    let mut since = None;
    let mut pause = STORAGE_PAUSE;
    let mut tries = 0;
    loop {
        let error = match request() {
            Err(error @ StorageError::Transient(_)) => error,
            answer => return answer,
        };
        tries += 1;
        let now = surroundings.steady_now();
        let since = *since.get_or_insert_with(|| {
            tell(&error);
            now
        });
        let has_waited = tries >= STORAGE_TRIES_MIN && now.since(since) >= STORAGE_PATIENCE;
        if has_waited || is_given_up.load(Ordering::Acquire) {
            return Err(error);
        }
        surroundings.pause(pause);
        pause = (pause * 2).min(STORAGE_PAUSE_MAX);
    }
}

/// The records of a running session.
pub(crate) struct PatientRecords {
    pub records: Arc<dyn SessionStorage>,
    pub surroundings: Arc<dyn Surroundings>,
    /// The session was given up, so its requests need not be answered any more.
    pub is_given_up: Arc<AtomicBool>,
    /// Called when a request has to wait.
    pub tell: Box<dyn Fn(&StorageError) + Send + Sync>,
}

impl PatientRecords {
    fn ask<T>(
        &self,
        mut request: impl FnMut(&dyn SessionStorage) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        patiently(&*self.surroundings, &self.is_given_up, &*self.tell, || request(&*self.records))
    }
}

impl SessionStorage for PatientRecords {
    fn read(&self, keys: &[Key], found: &mut Vec<Option<Versioned>>) -> Result<(), StorageError> {
        let known = found.len();
        self.ask(|records| {
            found.truncate(known);
            records.read(keys, found)
        })
    }

    fn decode_thread(&self, thread: ThreadId, row: &Row) -> Result<Option<Box<Live>>, StorageError> {
        self.ask(|records| records.decode_thread(thread, row))
    }

    fn scan(&self, range: Range, limit: usize) -> Result<Vec<Record>, StorageError> {
        self.ask(|records| records.scan(range.clone(), limit))
    }

    fn commit(&self, commit: &mut Commit) -> Result<Outcome, StorageError> {
        self.ask(|records| records.commit(commit))
    }

    fn commit_all(&self, commits: &mut [&mut Commit]) -> Vec<Result<Outcome, StorageError>> {
        let mut outcomes = self.records.commit_all(commits);
        for (commit, outcome) in commits.iter_mut().zip(&mut outcomes) {
            if matches!(outcome, Err(StorageError::Transient(_))) {
                *outcome = self.commit(commit);
            }
        }
        outcomes
    }

    fn commit_records_max(&self) -> usize {
        self.records.commit_records_max()
    }

    fn note_woken(&self, threads: &[ThreadId]) {
        self.records.note_woken(threads);
    }

    fn reserve(&self, count: u64) -> Result<ThreadId, StorageError> {
        self.ask(|records| records.reserve(count))
    }

    fn reserve_first(&self) -> Result<ThreadId, StorageError> {
        self.ask(|records| records.reserve_first())
    }

    fn numbers_reserved_max(&self) -> u64 {
        self.records.numbers_reserved_max()
    }

    fn all(&self) -> Result<Everything, StorageError> {
        self.ask(|records| records.all())
    }

    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, LogEntry)>, StorageError> {
        self.ask(|records| records.history(after, limit))
    }

    fn history_settled(&self) -> u64 {
        self.records.history_settled()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::surroundings::Timestamp;

    /// Surroundings in which time passes only in pauses.
    #[derive(Default)]
    struct Paused(Mutex<Timestamp>);

    impl Surroundings for Paused {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }

        fn steady_now(&self) -> Timestamp {
            self.now()
        }

        fn pause(&self, duration: Duration) {
            let mut now = self.0.lock().unwrap();
            *now = now.after(duration);
        }

        fn random(&self) -> u64 {
            7
        }
    }

    fn locked() -> StorageError {
        StorageError::Transient("locked".to_owned())
    }

    #[test]
    fn a_request_is_made_until_it_is_answered() {
        let (time, told) = (Paused::default(), Mutex::new(0));
        let mut left = 40;
        let answer = patiently(&time, &AtomicBool::new(false), &|_| *told.lock().unwrap() += 1, || {
            left -= 1;
            if left == 0 { Ok(5) } else { Err(locked()) }
        });
        assert_eq!((answer, *told.lock().unwrap()), (Ok(5), 1));
    }

    #[test]
    fn patience_ends_after_minutes() {
        let time = Paused::default();
        let answer = patiently(&time, &AtomicBool::new(false), &|_| {}, || Err::<(), _>(locked()));
        assert_eq!(answer, Err(locked()));
        assert!((STORAGE_PATIENCE..STORAGE_PATIENCE * 2).contains(&time.now().since(Timestamp(0))));
    }

    #[test]
    fn nobody_waits_for_a_session_that_was_given_up_or_for_what_will_not_come() {
        let time = Paused::default();
        let given_up = AtomicBool::new(true);
        assert_eq!(patiently(&time, &given_up, &|_| {}, || Err::<(), _>(locked())), Err(locked()));
        let full = || StorageError::Permanent("full".to_owned());
        assert_eq!(patiently(&time, &AtomicBool::new(false), &|_| {}, || Err::<(), _>(full())), Err(full()));
        assert_eq!(time.now(), Timestamp(0));
    }
}
