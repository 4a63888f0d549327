//! Which threads of a session go before others, as `#[priority]` says.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hark_machine::Program;

use crate::commit::Commit;
use crate::id::ThreadId;
use crate::record::{Key, Record, State};

/// The priorities of the threads that this process has written down, but for those that have none: hints have only numbers.
/// A thread that another process has written down is nobody's first until its next step here.
#[derive(Default)]
pub(crate) struct Priorities(Mutex<HashMap<ThreadId, i32>>);

impl Priorities {
    /// Takes note of the threads that this commit, which is about to be made, writes and removes.
    pub fn note(&self, commit: &Commit, program: &Program) {
        let mut all = self.lock();
        for key in &commit.delete {
            if let Key::Live(thread) = key {
                all.remove(thread);
            }
        }
        for record in commit.fresh.iter().chain(&commit.put) {
            let Record::Live(thread, live) = record else { continue };
            let priority = match &live.state {
                State::Present(state) => state.priority(program).unwrap_or(0),
                State::Ended | State::Away => 0,
            };
            match priority {
                0 => all.remove(thread),
                _ => all.insert(*thread, priority),
            };
        }
    }

    /// The priority of a thread, 0 if none is known.
    pub fn of(&self, thread: ThreadId) -> i32 {
        self.lock().get(&thread).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, i32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
