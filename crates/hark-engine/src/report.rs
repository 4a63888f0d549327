//! What a session came to.

use std::fmt;

use hark_machine::{Error, Value};

use crate::failure::Failure;
use crate::history::{HistoryReader, LogEntry};
use crate::id::{SessionId, ThreadId};
use crate::output::OutputItem;
use crate::record::{FutureRecord, Key, Record, Versioned};
use crate::step;
use crate::storage::{Range, SessionStorage, StorageError};

/// How a session ended, or stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Every thread came to its end, or what it failed with was dealt with.
    Finished,
    /// Some thread failed and nothing dealt with it.
    Broken,
    /// It was ended from outside.
    Cancelled,
    /// It is not over, and someone serves it.
    Running,
    /// It was left unfinished and can be taken up again.
    Suspended,
    /// All of its threads were cancelled from outside, and some have not stopped.
    Cancelling,
    /// It is being written to a file.
    Moving,
    /// It was moved to another storage.
    Moved,
    /// It is being read from a file, or that was cut off.
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

/// One root cause of a broken session.
#[derive(Debug, Clone)]
pub struct SessionError {
    /// The thread that raised it.
    pub thread: ThreadId,
    /// The error, with the longest way that it took through those who awaited it, the outermost frame first.
    pub error: Error,
}

/// What a session came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// The session.
    pub session: SessionId,
    /// How it ended, or stands.
    pub status: Status,
    /// The value of its first thread, if it finished.
    pub result: Option<Value>,
    /// What it printed, if that was to be kept.
    pub output: Vec<OutputItem>,
    /// Why it is broken: one entry for each root cause, in the order of their threads.
    pub errors: Vec<SessionError>,
    /// The error of kind `cancelled` that its first thread ended with, which does not make it broken.
    pub cancelled: Option<SessionError>,
    /// How many threads it started, the first included.
    pub threads: u64,
    /// Another process has gone on with it, so that its observer has not seen all that it printed.
    pub was_taken_over: bool,
}

impl Report {
    /// A session that finished, without its output.
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

    /// What the records say of a session, but for its output; `status` is what is known better, such as that nobody runs
    /// it any more.
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

    /// Adds what the session's history has of its output.
    pub(crate) fn read_output(&mut self, records: &dyn SessionStorage) -> Result<(), StorageError> {
        let mut history = HistoryReader::new(records);
        while let Some(page) = history.page()? {
            self.output.extend(page.into_iter().filter_map(LogEntry::into_printed));
        }
        Ok(())
    }

    /// A session that nobody can serve, as its records cannot be read.
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

/// One error for each root: of the failures that nobody awaited, the one with the longest trace.
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
