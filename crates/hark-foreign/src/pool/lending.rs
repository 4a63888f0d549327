//! Assigning a worker to a call: an idle one, a new one, or the next one that comes back.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::{PicklePlace, Shared, State};
use crate::ahead::Ahead;
use crate::death::Process;
use crate::limits::{SHORTAGE_TIME_MAX, SHORTAGE_WAIT, START_TURN};
use crate::package;
use crate::scratch::Scratch;
use crate::worker::{self, Plan, StartError, Worker};

/// Why a call gets no worker.
pub(super) enum NoWorker {
    Cancelled,
    Unusable(String),
    Short(String),
}

impl State {
    /// Counts a worker that is about to start.
    ///
    /// # Errors
    /// If too many others are starting: the time to wait. It may be shorter, if one of them is ready earlier.
    fn begin_start(&mut self, at_a_time: usize) -> Result<Instant, Duration> {
        let now = Instant::now();
        let left = |begun: &Instant| START_TURN.checked_sub(now.duration_since(*begun)).filter(|time| !time.is_zero());
        let turns = self.starting.iter().filter_map(left);
        match turns.clone().min() {
            Some(time) if turns.count() >= at_a_time => Err(time),
            _ => {
                self.starting.push(now);
                self.workers += 1;
                Ok(now)
            }
        }
    }

    fn end_start(&mut self, begun: Instant, is_ready: bool) {
        if let Some(place) = self.starting.iter().position(|other| *other == begun) {
            self.starting.swap_remove(place);
        }
        self.workers -= usize::from(!is_ready);
    }
}

impl Shared {
    /// A worker for this call: an idle one, a new one, or the next that comes back.
    ///
    /// If resources are too short for a new worker, one that comes back will do. If there is none, the shortage may
    /// pass.
    pub(super) fn lend(&self, number: u64) -> Result<Worker, NoWorker> {
        let begun = Instant::now();
        loop {
            match self.try_to_lend(number) {
                Err(NoWorker::Short(why)) => {
                    let state = self.lock();
                    if state.workers == 0 && begun.elapsed() >= SHORTAGE_TIME_MAX {
                        return Err(NoWorker::Short(why));
                    }
                    drop(self.wait(state, SHORTAGE_WAIT));
                }
                other => return other,
            }
        }
    }

    fn try_to_lend(&self, number: u64) -> Result<Worker, NoWorker> {
        let mut state = self.lock();
        loop {
            if state.is_closed || state.calls.get(&number).is_none_or(|call| call.is_cancelled) {
                return Err(NoWorker::Cancelled);
            }
            if let Some(worker) = state.idle.pop() {
                if worker.seems_alive() {
                    if let Some(call) = state.calls.get_mut(&number) {
                        call.has_begun = true;
                        call.run_in(worker.process(), Some(worker.ahead()));
                    }
                    return Ok(worker);
                }
                state.workers -= 1;
            } else if state.workers < self.workers_max {
                match state.begin_start(self.starting_max) {
                    Ok(begun) => {
                        if let Some(call) = state.calls.get_mut(&number) {
                            call.has_begun = true;
                        }
                        drop(state);
                        return self.start(Some(number), begun);
                    }
                    Err(time) => state = self.wait(state, time),
                }
            } else {
                state = self.wait(state, Duration::MAX);
            }
        }
    }

    /// Starts the first worker before there is a call for it. If that fails, the first call starts one, and says why it cannot.
    pub(super) fn start_ahead(&self) {
        let mut state = self.lock();
        if state.is_closed || state.workers > 0 {
            return;
        }
        let Ok(begun) = state.begin_start(self.starting_max) else { return };
        drop(state);
        if let Ok(worker) = self.start(None, begun) {
            self.keep(worker);
        }
    }

    /// Starts a worker, for this call if there is one.
    fn start(&self, call: Option<u64>, begun: Instant) -> Result<Worker, NoWorker> {
        let run_in = |process: &Process, ahead: Option<&Arc<Ahead>>| {
            let mut state = self.lock();
            if let Some(call) = call.and_then(|number| state.calls.get_mut(&number)) {
                call.run_in(process, ahead);
            }
        };
        let scratch = self.scratch();
        let plan = Plan {
            guard: &self.guard,
            interpreter: &self.interpreter.path,
            origin: self.interpreter.origin,
            project: &self.project,
            python_src: &self.python_src,
            scratch: scratch.as_ref(),
            time_max: self.start_time_max,
        };
        let started = worker::start(plan, |process| run_in(process, None));
        match &started {
            Ok(worker) => {
                debug!("a Python process is started");
                self.queue.add_worker(worker.ahead());
                run_in(worker.process(), Some(worker.ahead()));
            }
            Err(error) => warn!(?error, "no Python process can be started"),
        }
        self.lock().end_start(begun, started.is_ok());
        self.changed.notify_one();
        started.map_err(|error| match error {
            StartError::Unusable(problem) => NoWorker::Unusable(problem),
            StartError::Short(why) => NoWorker::Short(why),
        })
    }

    fn scratch(&self) -> Option<Arc<Scratch>> {
        let mut state = self.lock();
        if state.scratch.is_none() && !state.is_closed && !state.has_no_files {
            let parent = match &self.pickles {
                PicklePlace::Temporary => package::temporary_folder(),
                PicklePlace::Folder(folder) => Ok(folder.clone()),
            };
            state.scratch = parent.and_then(|parent| Scratch::new(&parent)).ok().map(Arc::new);
        }
        state.scratch.clone()
    }

    /// Keeps a worker for the next call.
    pub(super) fn keep(&self, worker: Worker) {
        let mut state = self.lock();
        if state.is_closed {
            state.workers -= 1;
            drop(state);
            drop(worker);
            self.changed.notify_one();
            return;
        }
        state.idle.push(worker);
        if state.waiting > 0 {
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Ends a worker, so that another one may be started.
    pub(super) fn end(&self, worker: Worker) {
        self.lock().workers -= 1;
        drop(worker);
        self.changed.notify_one();
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State>, time_max: Duration) -> MutexGuard<'a, State> {
        state.waiting += 1;
        let (mut state, _) = self.changed.wait_timeout(state, time_max).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state
    }
}
