//! Invocation by AWS Lambda functions. Hints are sent together as asynchronous invocations of the functions that the
//! threads' places need. Hints for later are queue messages, which AWS delays and turns into invocations of the main
//! function.
//!
//! Hints are collected while requests are in flight, so that the hints of several commits are sent together. A process
//! must flush before it ends or is frozen. A hint that cannot be sent is dropped: its thread is due when its lease has
//! expired, and the recovery hands it over again.

mod payload;
mod runtime;
mod sender;

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use hark_engine::{Assignment, Dispatcher, Hint, Place, Pools, SessionId, Surroundings, Timestamp};
use tracing::warn;

use crate::aws::Aws;
use crate::surroundings::System;
pub use payload::{PAYLOAD_BYTES_MAX, THREADS_MAX, Threads};
pub use runtime::{Invocation, RuntimeApi};
use sender::Sender;

/// The maximum delay of a queue message. The recovery finds later timers.
pub const DELAY_MAX: Duration = Duration::from_secs(900);

/// The maximum length of a chain of invocations that cause each other. The recovery continues longer ones, so that an
/// endless chain costs little.
pub const HOPS_MAX: u32 = 10_000;

/// Chooses the function for the threads of a place.
pub type FunctionOf = Arc<dyn Fn(&Place) -> String + Send + Sync>;

/// The functions and the queue of an instance.
#[derive(Clone)]
pub struct LambdaSettings {
    /// The names of the functions that run threads.
    pub function_of: FunctionOf,
    /// Their version or alias with the code of this process, if it is not the newest.
    pub qualifier: Option<String>,
    /// The address of the queue for hints for later, if there is one.
    pub timers: Option<String>,
}

/// Dispatches hints to functions.
pub struct Lambda {
    shared: Arc<Shared>,
}

/// A function, and its version or alias with the code of a session, if that is not the code of this process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    function: String,
    code: Option<String>,
}

struct Shared {
    sender: Sender,
    function_of: FunctionOf,
    state: Mutex<State>,
    has_changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The collected hints, by function.
    now: BTreeMap<Target, Vec<Assignment>>,
    later: Vec<(Timestamp, Assignment)>,
    /// The length of the chain of invocations that led to this one.
    hops: u32,
    /// Whether an OS thread is sending the collected hints.
    is_sending: bool,
}

impl Lambda {
    /// Dispatches to these functions.
    pub fn new(aws: Aws, settings: LambdaSettings) -> Lambda {
        let function_of = settings.function_of.clone();
        let sender = Sender::new(aws, settings);
        let shared = Shared { sender, function_of, state: Mutex::default(), has_changed: Condvar::new() };
        Lambda { shared: Arc::new(shared) }
    }

    /// Notes that an invocation begins, at the end of a chain of this many others.
    pub fn set_hops(&self, hops: u32) {
        self.shared.lock().hops = hops;
    }

    /// Waits until all hints are sent.
    pub fn flush(&self) {
        let mut state = self.shared.lock();
        while state.is_sending {
            state = self.shared.has_changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Dispatcher for Lambda {
    fn dispatch(&self, session: &SessionId, hints: &[Hint]) {
        let mut state = self.shared.lock();
        let horizon = System.steady_now().after(DELAY_MAX);
        for hint in hints {
            let assignment = hint.assignment(session);
            match hint.not_before {
                // The recovery finds it in time.
                Some(until) if until > horizon => {}
                Some(until) => state.later.push((until, assignment)),
                None => {
                    let function = (self.shared.function_of)(&hint.place);
                    let target = Target { function, code: hint.code.clone() };
                    state.now.entry(target).or_default().push(assignment);
                }
            }
        }
        if state.is_sending || state.is_empty() {
            return;
        }
        let shared = self.shared.clone();
        let started = thread::Builder::new().name("hark-hints".to_owned()).spawn(move || shared.send_all());
        match started {
            Ok(_) => state.is_sending = true,
            Err(error) => {
                drop(state);
                warn!(%error, "no thread can be started for hints");
                self.shared.send_all();
            }
        }
    }

    /// Functions run threads of every pool, because nothing else runs the threads of an instance.
    fn started_pools(&self) -> Option<&Pools> {
        Some(&Pools::All)
    }

    fn reaches(&self, code: &str) -> bool {
        let function = (self.shared.function_of)(&Place::default());
        self.shared.sender.reaches(Target { function, code: Some(code.to_owned()) })
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.now.is_empty() && self.later.is_empty()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the collected hints, and those collected meanwhile.
    fn send_all(&self) {
        loop {
            let mut state = self.lock();
            if state.is_empty() {
                state.is_sending = false;
                self.has_changed.notify_all();
                return;
            }
            let (now, later) = (mem::take(&mut state.now), mem::take(&mut state.later));
            let hops = state.hops + 1;
            drop(state);
            if hops > HOPS_MAX {
                warn!(hops, "threads are left to the recovery: too many invocations follow from each other");
                continue;
            }
            self.sender.send(now, later, hops);
        }
    }
}
