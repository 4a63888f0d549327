//! The port for hints between processes, so that the threads which a commit makes runnable are run soon.
//!
//! Whoever makes a thread runnable and does not run it dispatches a hint: a process without room for more leased
//! threads, the worker process of a supervisor, and commands such as `hark resolve` from outside. A hint may be lost,
//! duplicated or late. The records say what must be done; a hint only says that it is worth looking now.

use serde::{Deserialize, Serialize};

use crate::assignment::Assignment;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::leases::Left;
use crate::place::{Place, Pools};
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
    /// The version with which the thread is held, if it is handed over with the hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Stamp>,
    /// What happened to the process that held it before.
    #[serde(default, skip_serializing_if = "Left::is_free")]
    pub left: Left,
    /// The code with which its session goes on, if it is not that of the process that dispatches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Hint {
    /// Looks at a thread now, in the default place.
    pub fn now(thread: ThreadId) -> Hint {
        Hint { thread, not_before: None, place: Place::default(), held: None, left: Left::Free, code: None }
    }

    /// Looks at a thread at this time.
    pub fn at(thread: ThreadId, time: Timestamp) -> Hint {
        Hint { not_before: Some(time), ..Hint::now(thread) }
    }

    /// The same for a process that is started for it.
    pub fn assignment(&self, session: &SessionId) -> Assignment {
        Assignment { session: session.clone(), thread: self.thread, held: self.held, left: self.left }
    }
}

/// Reaches the processes that run threads.
pub trait Dispatcher: Send + Sync {
    /// Sends hints for threads of a session to the process that runs them, or to those that may. Without hints it says
    /// that the session has begun, ended, or was moved.
    fn dispatch(&self, session: &SessionId, hints: &[Hint]);

    /// The pools for whose threads a process is started with each hint, so that none looks for what is due. Such threads are
    /// handed over with their hints, and their timers are dispatched, too, as hints for later.
    fn started_pools(&self) -> Option<&Pools> {
        None
    }

    /// Whether a process with this code can still be started. A session whose code is gone goes on with what there is.
    fn reaches(&self, _code: &str) -> bool {
        true
    }
}
