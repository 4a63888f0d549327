//! The invoker port: hints wait until they are picked at random.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::Shared;
use super::universe::Holding;
use super::world::{Health, Hint, Number};
use crate::id::ThreadId;
use crate::invoker::{Invoker, Runner, TimerId, WorkerSlot};

/// The hints of one server.
pub(super) struct Hints {
    pub universe: Shared,
    pub number: Number,
}

/// A worker of one server. There is one for each paused request, and one more.
pub(super) struct Worker<'a> {
    pub hints: Hints,
    pub runner: &'a Arc<dyn Runner>,
}

impl Hints {
    fn push(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]) {
        let mut world = self.universe.world();
        if let Some(process) = world.processes.get_mut(&self.number).filter(|each| each.health != Health::Dead) {
            process.hints.extend(threads.iter().map(|&thread| Hint { runner: runner.clone(), thread }));
        }
    }

    /// A point at which other processes may act.
    fn pause(&self) {
        // If the server has died, its next request will fail.
        let _ = self.universe.pause(self.number, Holding::Nothing);
    }
}

impl Invoker for Hints {
    fn invoke(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]) {
        self.push(runner, threads);
    }

    fn width(&self) -> usize {
        2
    }

    /// Sessions are submitted, so there is no caller that waits.
    fn serve(&self, _done: &AtomicBool) {}

    fn nudge(&self) {}

    fn forget(&self, runner: &Arc<dyn Runner>) {
        if let Some(process) = self.universe.world().processes.get_mut(&self.number) {
            process.hints.retain(|hint| !Arc::ptr_eq(&hint.runner, runner));
        }
    }
}

impl WorkerSlot for Worker<'_> {
    fn invoke(&mut self, threads: &[ThreadId]) {
        self.hints.push(self.runner, threads);
        self.hints.pause();
    }

    fn invoke_after(&mut self, _thread: ThreadId, _delay: Duration) -> Option<TimerId> {
        unreachable!("timers of sessions that are kept are in the storage");
    }

    fn disarm(&mut self, _timer: TimerId) -> bool {
        unreachable!("timers of sessions that are kept are in the storage");
    }

    fn begin_blocking(&mut self) -> bool {
        self.hints.universe.world().chance.per_mille(500)
    }

    fn end_blocking(&mut self) {}

    fn step_aside(&mut self) {
        self.hints.pause();
    }

    fn step_back(&mut self) {
        self.hints.pause();
    }
}
