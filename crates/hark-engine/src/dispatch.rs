//! The port for hints between processes, so that the threads which a commit makes runnable are run soon.
//!
//! Whoever makes a thread runnable and does not run it dispatches a hint: a process without room for more leased
//! threads, the worker process of a supervisor, and commands such as `hark resolve` from outside. A hint may be lost,
//! duplicated or late. The records say what must be done; a hint only says that it is worth looking now.

use serde::{Deserialize, Serialize};

use crate::id::{SessionId, ThreadId};
use crate::place::Place;
use crate::surroundings::Timestamp;

/// "Look at this thread."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The thread.
    pub thread: ThreadId,
    /// There is nothing to do for it before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Place::is_default")]
    pub place: Place,
}

impl Hint {
    /// Looks at a thread now, in the default place.
    pub fn now(thread: ThreadId) -> Hint {
        Hint { thread, not_before: None, place: Place::default() }
    }

    /// Looks at a thread at this time.
    pub fn at(thread: ThreadId, time: Timestamp) -> Hint {
        Hint { thread, not_before: Some(time), place: Place::default() }
    }
}

/// Reaches the processes that run threads.
pub trait Dispatcher: Send + Sync {
    /// Sends hints for threads of a session to the process that runs them, or to those that may. Without hints it says
    /// that the session has begun, ended, or was moved.
    fn dispatch(&self, session: &SessionId, hints: &[Hint]);
}
