//! Threads that run in other processes, on the same storage.
//!
//! A *supervisor* serves the sessions; its *workers* run their threads and share nothing with it but the storage. The
//! supervisor gives hints down. A worker goes on with a thread by itself as long as it has it in its hands (a foreign call
//! under way is in its hands); all that concerns others it passes up: hints for other threads, what was printed, times,
//! ends. A worker that dies has committed what it had committed; the hints that it had not settled go to another one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::assignment::Assignment;
use crate::id::{SessionId, ThreadId};
use crate::output::OutputItem;
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

/// What a worker tells its supervisor, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// These threads are to be run.
    Invoke(Vec<ThreadId>),
    /// The worker has this thread no longer, and has carried out so many hints for it. What followed from them was told
    /// before.
    Settled(ThreadId, u64),
    /// This thread goes on at this time.
    Due(ThreadId, Timestamp),
    /// Some thread that goes on at this time was looked at too early.
    Early(Timestamp),
    /// A thread has learned that it is cancelled.
    Interrupted,
    /// This was printed.
    Printed(Vec<OutputItem>),
    /// The session is over, as its record says.
    Ended,
    /// The storage does not work, for this reason.
    Failed(StorageError),
}

/// Where a worker tells what happened.
pub trait Upstream: Send + Sync {
    /// This happened in the session.
    fn tell(&self, session: &SessionId, told: Told);
}

/// A session as a supervisor's invoker knows it.
pub trait Supervised: Send + Sync {
    /// Its id.
    fn id(&self) -> &SessionId;
    /// The worker that had these threads is gone. They will be given to others; what else it may have left undone is done.
    fn lose_worker(self: Arc<Self>, threads: &[ThreadId]);
    /// Those of these threads, which are given to a worker now, whose last one is gone.
    fn take_lost(&self, threads: &[ThreadId]) -> Vec<ThreadId>;
    /// Where threads are leased: hands these threads over, each to a process of its own, and says what that must know. When the process
    /// has ended, that is told as [`Told::Settled`], with a count of 1: only then it is known that there is room for another one.
    fn assign(&self, threads: &[ThreadId]) -> Vec<Assignment>;
    /// A worker has told this.
    fn hear(self: Arc<Self>, told: Told);
}
