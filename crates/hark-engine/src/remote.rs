//! Threads that run in other processes, on the same storage.
//!
//! A *supervisor* serves the sessions; its *workers* run their threads and share nothing with it but the storage. The
//! supervisor sends hints down. A worker keeps a thread until it waits or stops; a call in flight stays with the worker that made
//! it. Everything that concerns other threads or other processes goes up, as hints and as reports. When a worker dies, what it
//! had committed stays, and its unsettled hints go to another worker.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::assignment::Assignment;
use crate::dispatch::{Dispatcher, Hint};
use crate::id::{SessionId, ThreadId};
use crate::output::OutputItem;
use crate::storage::StorageError;

/// What a worker reports to its supervisor, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerReport {
    /// The worker no longer has this thread, and has carried out this many hints for it. The hints that followed from them were
    /// sent before.
    Settled(ThreadId, u64),
    /// A thread has learned that it is cancelled.
    Interrupted,
    /// The session printed this.
    Printed(Vec<OutputItem>),
    /// The session is over, as its record says.
    Ended,
    /// The storage does not let the session go on.
    Failed(StorageError),
}

/// The supervisor, as a worker sees it. It runs the threads that a worker sends hints for.
pub trait Upstream: Dispatcher {
    /// Reports on a session.
    fn report(&self, session: &SessionId, report: WorkerReport);
}

/// A session, as the supervisor's invoker sees it.
pub trait Supervised: Send + Sync {
    /// Its id.
    fn id(&self) -> &SessionId;
    /// The worker that had these threads is gone. They will be given to others; what else it may have left undone is done.
    fn lose_worker(self: Arc<Self>, threads: &[ThreadId]);
    /// Hands these threads over to another process, and says what that must know: of a thread whose previous worker died, that it is
    /// lost, so that the loss is counted. Where threads are leased, each goes to a process of its own. When that has ended, it is reported as [`WorkerReport::Settled`] with a count of 1: only then it is known that there
    /// is room for another one.
    fn assign(&self, threads: &[ThreadId]) -> Vec<Assignment>;
    /// A worker has sent these hints.
    fn take_hints(self: Arc<Self>, hints: &[Hint]);
    /// A worker has sent this report.
    fn take_report(self: Arc<Self>, report: WorkerReport);
}
