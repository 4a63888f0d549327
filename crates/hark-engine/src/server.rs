//! What a session that is kept asks of the server that has it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::calls::CallPlace;
use crate::dispatch::Hint;
use crate::id::{SessionId, ThreadId};
use crate::leases::HeldThread;
use crate::record::About;
use crate::remote::Upstream;
use crate::report::Report;
use crate::storage::{SessionStorage, StorageError};
use crate::surroundings::Timestamp;

/// Serves sessions of a durable storage, in this process.
pub(crate) trait Server: Send + Sync {
    /// Whom to tell what concerns others than the threads that run here, if that is in another process.
    fn upstream(&self) -> Option<&dyn Upstream>;

    /// A session's records, whose requests wait for a storage that does not answer, until this says that the session was
    /// given up.
    fn patient(
        &self,
        id: &SessionId,
        records: Arc<dyn SessionStorage>,
        is_given_up: &Arc<AtomicBool>,
    ) -> Arc<dyn SessionStorage>;

    /// One more foreign call is to be made.
    fn take_place(&self) -> CallPlace;

    /// Nothing happens in a session for the moment.
    fn park(&self, id: &SessionId);

    /// A session is over here. Answers whether someone waited for its end.
    fn leave(&self, id: &SessionId) -> bool;

    /// A session that nobody waits for has failed here.
    fn note_failure(&self, id: &SessionId, error: StorageError);

    /// A session has come to its end, by a commit of this process.
    fn note_ended(&self, session: &SessionId, about: &About, report: &dyn Fn() -> Report);

    /// A session waits for the storage.
    fn note_wait(&self, id: &SessionId, error: &StorageError);

    /// A broken session that was seen to be over may have been retried before it left the memory here.
    fn look_for_retry(&self, id: &SessionId) -> Result<(), StorageError>;

    /// Another server has gone on with a session that this one had, as far as the storage can tell.
    fn was_taken_over(&self, id: &SessionId) -> bool;

    /// The worker process was lost that had threads of this session.
    fn take_up_lost(&self, id: &SessionId) -> Result<(), StorageError>;

    /// A thread goes on at this time. Answers whether it is to be run now.
    fn note_due(&self, until: Timestamp) -> bool;

    /// A thread of a session has learned that it is cancelled.
    fn note_interrupted(&self, id: &SessionId);

    /// Someone who lives serves this session.
    fn is_served(&self, id: &SessionId) -> Result<bool, StorageError>;

    /// These threads of a session were let in at a gate by a thread of another one.
    fn let_in(&self, id: &SessionId, threads: &[ThreadId]) -> Result<(), StorageError>;

    /// For how long threads are held, where they are leased.
    fn lease(&self) -> Option<Duration>;

    /// How many more threads this process should hold.
    fn room(&self) -> usize;

    /// A thread is out of hand.
    fn note_room(&self);

    /// A call was answered so long after it was made.
    fn note_answered(&self, after: Duration);

    /// A session is given up here: others may take these threads, which were held.
    fn give_back(&self, held: Vec<HeldThread>);

    /// See [`Dispatcher`](crate::Dispatcher).
    fn dispatch(&self, id: &SessionId, hints: &[Hint]);
}
