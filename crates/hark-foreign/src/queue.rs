//! Calls that nobody waits for on a thread of their own: OS threads, as many as workers at most, take them in turn.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use hark_engine::CallError;
use hark_machine::Value;

use crate::call::Call;
use crate::limits::QUEUE_THREAD_IDLE_MAX;

/// Takes a part of what a call prints.
pub type Output = Box<dyn FnMut(String) + Send>;

/// Takes what a call came to.
pub type Done = Box<dyn FnOnce(Result<Value, CallError>) + Send>;

/// A call and who learns of it.
pub struct Job {
    pub call: Call,
    pub output: Output,
    pub done: Done,
}

/// The jobs that wait for a thread.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle_threads: usize,
    is_closed: bool,
}

impl Queue {
    /// Adds a job. True says that a thread is needed for it, which is counted already; false, if it is refused, comes
    /// with the job answered.
    pub fn push(&self, job: Job, threads_max: usize) -> bool {
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            let error = job.call.cancelled();
            (job.done)(Err(error.into()));
            return false;
        }
        state.jobs.push_back(job);
        if state.idle_threads > 0 {
            self.changed.notify_one();
        }
        let needs_thread = state.jobs.len() > state.idle_threads && state.threads < threads_max;
        state.threads += usize::from(needs_thread);
        needs_thread
    }

    /// The next job for a thread, or none if the thread is to end; it is not counted any more then.
    pub fn pop(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.is_closed {
                state.threads -= 1;
                return None;
            }
            state.idle_threads += 1;
            let (woken, waited) =
                self.changed.wait_timeout(state, QUEUE_THREAD_IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle_threads -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return None;
            }
        }
    }

    /// The next job that waits, for a thread that stands in for one that could not be started; none ends that.
    pub fn pop_waiting(&self) -> Option<Job> {
        let mut state = self.lock();
        let job = state.jobs.pop_front();
        state.threads -= usize::from(job.is_none());
        job
    }

    /// Takes out the jobs of a session.
    pub fn remove(&self, session: &str) -> Vec<Job> {
        let mut state = self.lock();
        let (removed, kept) = mem::take(&mut state.jobs).into_iter().partition(|job| job.call.session() == session);
        state.jobs = kept;
        Vec::from(removed)
    }

    /// Takes no more jobs, and gives back those that wait.
    pub fn close(&self) -> Vec<Job> {
        let mut state = self.lock();
        state.is_closed = true;
        self.changed.notify_all();
        Vec::from(mem::take(&mut state.jobs))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
