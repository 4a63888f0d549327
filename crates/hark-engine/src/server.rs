//! The interface of a stored session to its server.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::calls::CallPlace;
use crate::deadline::Deadline;
use crate::dispatch::Hint;
use crate::id::{SessionId, ThreadId};
use crate::leases::HeldThread;
use crate::place::Pools;
use crate::record::About;
use crate::remote::Upstream;
use crate::report::Report;
use crate::storage::{SessionStorage, StorageError};
use crate::surroundings::Timestamp;

/// Serves sessions of a durable storage, in this process.
pub(crate) trait Server: Send + Sync {
    /// The supervisor to notify, if it is in another process.
    fn upstream(&self) -> Option<&dyn Upstream>;

    /// A session's records, whose requests wait for an unresponsive storage, until `is_given_up` says that the session
    /// was given up.
    fn patient(
        &self,
        id: &SessionId,
        records: Arc<dyn SessionStorage>,
        is_given_up: &Arc<AtomicBool>,
    ) -> Arc<dyn SessionStorage>;

    /// Takes a place for another foreign call.
    fn take_place(&self) -> CallPlace;

    /// Nothing can happen in the session for the moment.
    fn park(&self, id: &SessionId);

    /// A session is over here. Returns whether someone waited for its end.
    fn leave(&self, id: &SessionId) -> bool;

    /// A session without waiters has failed here.
    fn note_failure(&self, id: &SessionId, error: StorageError);

    /// A session has ended with a commit of this process.
    fn note_ended(&self, session: &SessionId, about: &About, report: &dyn Fn() -> Report);

    /// A session waits for the storage.
    fn note_wait(&self, id: &SessionId, error: &StorageError);

    /// A broken session that was over may have been retried before it left the memory here.
    fn look_for_retry(&self, id: &SessionId) -> Result<(), StorageError>;

    /// Whether another server has taken over a session of this one, as far as the storage can tell.
    fn was_taken_over(&self, id: &SessionId) -> bool;

    /// The worker process that had threads of this session was lost.
    fn take_up_lost(&self, id: &SessionId) -> Result<(), StorageError>;

    /// A process that ran assigned threads has ended without reporting when the first thread that it has left is due.
    fn note_end_unknown(&self);

    /// A thread continues at this time. Returns whether it must be run now.
    fn note_due(&self, until: Timestamp) -> bool;

    /// A thread of the session has noticed that it is cancelled.
    fn note_interrupted(&self, id: &SessionId);

    /// Whether a live process serves this session.
    fn is_served(&self, id: &SessionId) -> Result<bool, StorageError>;

    /// These threads of a session were let in at a gate by a thread of another session.
    fn let_in(&self, id: &SessionId, threads: &[ThreadId]) -> Result<(), StorageError>;

    /// The duration of leases, where threads are leased.
    fn lease(&self) -> Option<Duration>;

    /// How many more threads this process should hold.
    fn room(&self) -> usize;

    /// A thread is no longer in hand.
    fn note_room(&self);

    /// A call was answered this long after it was made.
    fn note_answered(&self, after: Duration);

    /// Where threads are leased: a step of a thread that makes no calls took this long.
    fn note_step(&self, took: Duration);

    /// A session is given up here: others may take these held threads.
    fn give_back(&self, held: Vec<HeldThread>);

    /// See [`Dispatcher`](crate::Dispatcher).
    fn dispatch(&self, id: &SessionId, hints: &[Hint]);

    /// See [`Dispatcher`](crate::Dispatcher).
    fn started_pools(&self) -> Option<&Pools>;

    /// A hint has come for a thread that this process does not hold.
    fn note_unheld(&self, id: &SessionId, thread: ThreadId);

    /// The time at which this process is stopped, if that is known.
    fn deadline(&self) -> Option<Deadline>;
}
