//! Threads that run in other processes on the same storage.
//!
//! A *supervisor* serves the sessions; its *workers* run their threads and share nothing with it but the storage. The
//! supervisor sends hints down. A worker keeps a thread until it waits or stops; a call in flight stays with the worker
//! that made it. Everything that concerns other threads or other processes is sent up, as hints and as reports. The
//! commits of a worker that dies remain valid, and its unsettled hints go to another worker.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::assignment::{Assignment, AssignmentEnd};
use crate::dispatch::{Dispatcher, Hint};
use crate::id::{SessionId, ThreadId};
use crate::output::OutputItem;
use crate::storage::StorageError;

/// What a worker reports to its supervisor, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerReport {
    /// The worker no longer has this thread, and has handled this number of hints for it. The hints that followed from
    /// them were sent before.
    Settled(ThreadId, u64),
    /// Where threads are leased: the process that ran this assigned thread is done with it, after this time. If the
    /// process was lost, there is no report of the end.
    Returned(Option<AssignmentEnd>, Duration),
    /// A thread has noticed that it is cancelled.
    Interrupted,
    /// The session printed this.
    Printed(Vec<OutputItem>),
    /// The session is over, according to its record.
    Ended,
    /// The storage does not let the session continue.
    Failed(StorageError),
}

/// The supervisor, as seen by a worker. It runs the threads for which a worker sends hints.
pub trait Upstream: Dispatcher {
    /// Reports on a session.
    fn report(&self, session: &SessionId, report: WorkerReport);
}

/// A session, as seen by the supervisor's invoker.
pub trait Supervised: Send + Sync {
    /// Its id.
    fn id(&self) -> &SessionId;
    /// The worker that had these threads is lost. They will be given to others; everything else it may have left undone
    /// is done here.
    fn lose_worker(self: Arc<Self>, threads: &[ThreadId]);
    /// Hands these threads over to another process, and returns what that process must know: for example that the
    /// previous worker of a thread was lost, so that the loss is counted. Where threads are leased, each goes to its
    /// own process. When that has ended, this must be reported as [`WorkerReport::Returned`], or as
    /// [`WorkerReport::Settled`] with a count of 1: only then is there room for another one.
    fn assign(&self, threads: &[ThreadId]) -> Vec<Assignment>;
    /// A worker has sent these hints.
    fn take_hints(self: Arc<Self>, hints: &[Hint]);
    /// A worker has sent this report.
    fn take_report(self: Arc<Self>, report: WorkerReport);
}
