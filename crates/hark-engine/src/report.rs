//! Reports of sessions.

use std::fmt;

use hark_machine::{Error, Value};

use crate::failure::Failure;
use crate::history::{HistoryReader, LogEntry};
use crate::id::{SessionId, ThreadId};
use crate::output::OutputItem;
use crate::record::{FutureRecord, Key, Record, Versioned};
use crate::step;
use crate::storage::{Range, SessionStorage, StorageError};

/// The status of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All threads finished, or their failures were handled.
    Finished,
    /// A thread failed, and the failure was not handled.
    Broken,
    /// It was ended from outside.
    Cancelled,
    /// It is unfinished and being served.
    Running,
    /// It is unfinished, not being served, and can be resumed.
    Suspended,
    /// Its threads were cancelled from outside, but some have not stopped.
    Cancelling,
    /// It is being exported to a file.
    Moving,
    /// It was moved to another storage.
    Moved,
    /// It is being imported from a file, or the import was interrupted.
    Importing,
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Status::Finished => "finished",
            Status::Broken => "broken",
            Status::Cancelled => "cancelled",
            Status::Running => "running",
            Status::Suspended => "suspended",
            Status::Cancelling => "cancelling",
            Status::Moving => "moving",
            Status::Moved => "moved",
            Status::Importing => "importing",
        })
    }
}

/// A root cause of a broken session.
#[derive(Debug, Clone)]
pub struct SessionError {
    /// The thread that raised the error.
    pub thread: ThreadId,
    /// The error, with its longest trace through awaiting threads, outermost frame first.
    pub error: Error,
}

/// A report of a session.
#[derive(Debug, Clone)]
pub struct Report {
    /// The session.
    pub session: SessionId,
    /// Its status.
    pub status: Status,
    /// The value of its first thread, if it finished.
    pub result: Option<Value>,
    /// Its output, if it was to be kept.
    pub output: Vec<OutputItem>,
    /// The root causes, ordered by thread.
    pub errors: Vec<SessionError>,
    /// The error of kind `cancelled` with which its first thread ended, which does not break it.
    pub cancelled: Option<SessionError>,
    /// The number of started threads, including the first.
    pub threads: u64,
    /// Another process has taken over the session, so the observer has not received all of its output.
    pub was_taken_over: bool,
}

impl Report {
    /// A report of a finished session, without its output.
    pub(crate) fn finished(id: &SessionId, result: Value) -> Report {
        Report { result: Some(result), ..Report::empty(id, Status::Finished) }
    }

    pub(crate) fn empty(id: &SessionId, status: Status) -> Report {
        Report {
            session: id.clone(),
            status,
            result: None,
            output: Vec::new(),
            errors: Vec::new(),
            cancelled: None,
            threads: 0,
            was_taken_over: false,
        }
    }

    /// A report from a session's records, without its output. `status` overrides what the records say, for example that
    /// the session is not being served.
    pub(crate) fn of_records(id: &SessionId, records: &dyn SessionStorage, status: Option<Status>) -> Report {
        let mut report = Report::empty(id, status.unwrap_or(Status::Finished));
        if let Err(error) = report.fill(records, status) {
            report.add_storage_error(&error);
            report.status = status.unwrap_or(Status::Broken);
        }
        report
    }

    fn fill(&mut self, records: &dyn SessionStorage, status: Option<Status>) -> Result<(), StorageError> {
        let failures = records.scan(Range::Unawaited, usize::MAX)?;
        self.errors = root_causes(failures.into_iter().filter_map(|record| match record {
            Record::Unawaited(_, failure) => Some(*failure),
            _ => None,
        }));
        if !self.errors.is_empty() {
            self.status = status.unwrap_or(Status::Broken);
        }
        if self.status == Status::Finished {
            let mut found = Vec::new();
            records.read(&[Key::Future(step::FIRST.into())], &mut found)?;
            if let Some(Some(Versioned { record: Record::Future(_, done), .. })) = found.pop() {
                match done {
                    FutureRecord::Resolved(value) => self.result = Some(value),
                    FutureRecord::Failed(failure) => {
                        self.cancelled = Some(SessionError { thread: failure.root, error: failure.error.clone() });
                    }
                    _ => {}
                }
            }
        }
        self.threads = records.reserve(0)?.0;
        Ok(())
    }

    /// Adds the output from the session's history.
    pub(crate) fn read_output(&mut self, records: &dyn SessionStorage) -> Result<(), StorageError> {
        let mut history = HistoryReader::new(records);
        while let Some(page) = history.page()? {
            self.output.extend(page.into_iter().filter_map(LogEntry::into_printed));
        }
        Ok(())
    }

    /// A session that cannot be served, because its records cannot be read.
    pub(crate) fn unserved(id: &SessionId, error: &StorageError) -> Report {
        let mut report = Report::empty(id, Status::Suspended);
        report.add_storage_error(error);
        report
    }

    pub(crate) fn add_storage_error(&mut self, error: &StorageError) {
        let kind = if matches!(error, StorageError::Exhausted(_)) { "exhausted" } else { "storage" };
        let error = Error::new(kind, error.to_string());
        self.errors.push(SessionError { thread: step::FIRST, error });
    }
}

/// One error per root: of the unawaited failures, the one with the longest trace.
pub(crate) fn root_causes(unawaited: impl IntoIterator<Item = Failure>) -> Vec<SessionError> {
    let mut longest: std::collections::BTreeMap<ThreadId, Failure> = std::collections::BTreeMap::new();
    for failure in unawaited {
        match longest.get(&failure.root) {
            Some(known) if known.depth() >= failure.depth() => {}
            _ => drop(longest.insert(failure.root, failure)),
        }
    }
    longest.into_iter().map(|(thread, failure)| SessionError { thread, error: failure.error }).collect()
}
