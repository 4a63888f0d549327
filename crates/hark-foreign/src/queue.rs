//! Calls that nobody waits for on a thread of their own: OS threads, as many as workers at most, take them in turn.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use hark_engine::{CallError, CallSink};
use hark_machine::Value;

use crate::call::Call;
use crate::limits::QUEUE_THREAD_IDLE_MAX;

/// Takes what a call came to.
pub type Done = Box<dyn FnOnce(Result<Value, CallError>) + Send>;

/// A call and who learns of it.
pub struct Job {
    pub call: Call,
    pub events: CallSink,
    pub done: Done,
}

/// Where a job is in the order: those with a higher priority come first, else those that came first.
type Rank = (Reverse<i32>, u64);

/// Jobs in their order. One of many can be taken out without a look at the others.
#[derive(Default)]
struct Jobs {
    by_rank: BTreeMap<Rank, Job>,
    /// The rank of each call's last try; one before it is left to run, as it is not the one that is cancelled.
    ranks: HashMap<String, Rank>,
    next: u64,
}

impl Jobs {
    fn push(&mut self, job: Job) {
        let rank = (Reverse(job.call.priority), self.next);
        self.next += 1;
        self.ranks.insert(job.call.id.clone(), rank);
        self.by_rank.insert(rank, job);
    }

    fn pop(&mut self) -> Option<Job> {
        let (rank, job) = self.by_rank.pop_first()?;
        if self.ranks.get(&job.call.id) == Some(&rank) {
            self.ranks.remove(&job.call.id);
        }
        Some(job)
    }

    fn remove(&mut self, id: &str) -> Option<Job> {
        self.ranks.remove(id).and_then(|rank| self.by_rank.remove(&rank))
    }

    fn take_all(&mut self) -> Vec<Job> {
        self.ranks.clear();
        mem::take(&mut self.by_rank).into_values().collect()
    }

    fn len(&self) -> usize {
        self.by_rank.len()
    }
}

/// The jobs that wait for a thread.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: Jobs,
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
        state.jobs.push(job);
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
            if let Some(job) = state.jobs.pop() {
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
            if waited.timed_out() && state.jobs.len() == 0 {
                state.threads -= 1;
                return None;
            }
        }
    }

    /// The next job that waits, for a thread that stands in for one that could not be started; none ends that.
    pub fn pop_waiting(&self) -> Option<Job> {
        let mut state = self.lock();
        let job = state.jobs.pop();
        state.threads -= usize::from(job.is_none());
        job
    }

    /// Takes out the jobs of a session.
    pub fn remove_session(&self, session: &str) -> Vec<Job> {
        let mut state = self.lock();
        let (removed, kept): (Vec<Job>, Vec<Job>) =
            state.jobs.take_all().into_iter().partition(|job| job.call.session() == session);
        kept.into_iter().for_each(|job| state.jobs.push(job));
        removed
    }

    /// Takes out the job of a call.
    pub fn remove_call(&self, id: &str) -> Option<Job> {
        self.lock().jobs.remove(id)
    }

    /// Takes no more jobs, and gives back those that wait.
    pub fn close(&self) -> Vec<Job> {
        let mut state = self.lock();
        state.is_closed = true;
        self.changed.notify_all();
        state.jobs.take_all()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
