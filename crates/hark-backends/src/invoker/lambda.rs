//! Invocation by AWS Lambda functions: a hint is an asynchronous invocation, for some threads together, of the function that their place
//! needs. Hints for later are messages of a queue, which AWS delays and turns into invocations of the main function.
//!
//! Hints are collected while requests are under way, so that those of several commits travel together. Whoever dispatches must flush before
//! its process ends or is frozen. A hint that cannot be sent is dropped: its thread is due when its lease has run out, and the recovery,
//! which is invoked now and then, hands it over again.

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

/// A queue delays its messages no longer. Timers that run out later are found by the recovery.
pub const DELAY_MAX: Duration = Duration::from_secs(900);

/// An invocation that follows from so many others in a row is left to the recovery, so that a mistake costs little.
pub const HOPS_MAX: u32 = 10_000;

/// Which function runs the threads of a place.
pub type FunctionOf = Arc<dyn Fn(&Place) -> String + Send + Sync>;

/// The functions and the queue of an instance.
#[derive(Clone)]
pub struct LambdaSettings {
    /// The names of the functions that run threads.
    pub function_of: FunctionOf,
    /// The version or alias of those with the code of this process, if not the newest.
    pub qualifier: Option<String>,
    /// The address of the queue for hints for later, if there is one.
    pub timers: Option<String>,
}

/// Dispatches hints to functions.
pub struct Lambda {
    shared: Arc<Shared>,
}

/// A function, and the version or alias of it that has the code of a session, if that is not the code of this process.
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
    /// By the function that they are for.
    now: BTreeMap<Target, Vec<Assignment>>,
    later: Vec<(Timestamp, Assignment)>,
    /// How many invocations in a row have led to this process.
    hops: u32,
    /// A thread sends what is collected.
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

    /// An invocation begins that has followed from this many others in a row.
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

    /// A function runs what is in any pool: beside the functions nobody runs threads of an instance.
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

    /// Sends what is collected, and what is collected meanwhile.
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
