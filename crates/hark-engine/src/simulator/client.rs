//! Actions on sessions from outside, by processes that serve nothing, and that may die as well.

use super::storage::DiskStorage;
use super::universe::Universe;
use super::world::{Health, Process};
use crate::id::SessionId;
use crate::outside::{Outside, OutsideError};
use crate::record::SessionState;
use crate::storage::StorageError;
use hark_machine::Value;

/// An action on a session from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Resolves this promise with this value.
    Resolve(&'static str, i64),
    /// Fails this promise with this message.
    Fail(&'static str, &'static str),
    /// Repairs `unready` and retries, once the session is broken.
    Retry,
    /// Cancels all of its threads, which clean up.
    Cancel,
    /// Ends it at once.
    CancelNow,
}

/// The progress of an act.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Progress {
    pub is_done: bool,
    /// A process is doing it.
    is_busy: bool,
    /// It was tried before, possibly by a process that died midway.
    was_tried: bool,
}

impl Universe {
    /// The acts that can be tried now.
    pub(super) fn possible_acts(&self) -> Vec<(SessionId, usize)> {
        let world = self.world();
        let progress = self.progress();
        let mut possible = Vec::new();
        for id in world.sessions() {
            let state = world.disk.state(&id);
            for (index, act) in self.scenario().acts.iter().enumerate() {
                let known = progress.get(&(id.clone(), index)).copied().unwrap_or_default();
                let is_time = *act != Act::Retry || state == Some(SessionState::Broken) || known.was_tried;
                // A late result of an old attempt may break it again.
                let is_again = *act == Act::Retry && state == Some(SessionState::Broken) && world.count.suspicions > 0;
                if (!known.is_done || is_again) && !known.is_busy && is_time {
                    possible.push((id.clone(), index));
                }
            }
        }
        possible
    }

    /// Whether all acts on this session are done.
    pub(super) fn is_all_done_to(&self, id: &SessionId) -> bool {
        let progress = self.progress();
        let is_cancelled = self.world().disk.state(id) == Some(SessionState::Cancelled);
        let is_done = |(index, act): (usize, &Act)| {
            // A session that was cancelled before it broke is never retried.
            is_cancelled && *act == Act::Retry || progress.get(&(id.clone(), index)).is_some_and(|known| known.is_done)
        };
        self.scenario().acts.iter().enumerate().all(is_done)
    }

    /// Tries an act, in a separate process.
    pub(super) fn try_act(&self, id: &SessionId, index: usize) {
        let act = self.scenario().acts[index];
        let was_tried = {
            let mut progress = self.progress();
            let known = progress.entry((id.clone(), index)).or_default();
            known.is_busy = true;
            known.was_tried
        };
        let number = self.new_number();
        {
            let mut world = self.world();
            world.processes.insert(number, Process::default());
            if act == Act::Retry {
                world.repaired.insert(id.clone());
            }
            world.tell(|| format!("{number} does {act:?}"));
        }
        let storage = DiskStorage::of(self.shared(), number);
        let surroundings = self.surroundings();
        let done = Outside::open(&*storage, &*surroundings, id).and_then(|outside| match act {
            Act::Resolve(promise, value) => outside.resolve(promise, Value::Integer(value)).map(|_| ()),
            Act::Fail(promise, message) => outside.fail(promise, message).map(|_| ()),
            Act::Retry => outside.retry(),
            Act::Cancel => outside.cancel(),
            Act::CancelNow => outside.cancel_now(),
        });
        let mut world = self.world();
        let has_died = world.health(number) == Health::Dead;
        world.processes.remove(&number);
        world.tell(|| format!("{number} did {act:?}: {done:?}"));
        let is_done = match done {
            Ok(()) | Err(OutsideError::WrongState(_)) => true,
            Err(OutsideError::AlreadyDone(_)) if was_tried => true,
            Err(OutsideError::Storage(_)) if has_died => false,
            // It is tried again.
            Err(OutsideError::Storage(StorageError::Transient(_))) => false,
            Err(error) => {
                world.faults.push(format!("{act:?}: {error}"));
                true
            }
        };
        let mut progress = self.progress();
        let known = progress.entry((id.clone(), index)).or_default();
        *known = Progress { is_done, is_busy: false, was_tried: true };
    }
}
