//! The port for hints between processes, so that threads run soon after a commit has made them runnable.
//!
//! A process that makes a thread runnable but does not run it dispatches a hint. Such processes are those without room
//! for more leased threads, the workers of a supervisor, and commands such as `hark resolve`. A hint may be lost,
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
    /// The version of the code that the session needs, if it is not that of the dispatching process.
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

    /// The assignment for a process that is started for this hint.
    pub fn assignment(&self, session: &SessionId) -> Assignment {
        Assignment { session: session.clone(), thread: self.thread, held: self.held, left: self.left }
    }
}

/// Sends hints to the processes that run threads.
pub trait Dispatcher: Send + Sync {
    /// Sends hints for threads of a session to the process that runs them, or to all processes that may. An empty list
    /// announces that the session has begun, ended or been moved.
    fn dispatch(&self, session: &SessionId, hints: &[Hint]);

    /// The pools where each hint starts a process, so that no process polls for due threads. Their threads are handed
    /// over with the hints, and their timers are dispatched as hints for later.
    fn started_pools(&self) -> Option<&Pools> {
        None
    }

    /// Whether a process with this code can still be started. A session whose code has been removed continues with the
    /// code of the process that runs it.
    fn reaches(&self, _code: &str) -> bool {
        true
    }
}
