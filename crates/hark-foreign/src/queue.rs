//! Calls that wait for a turn: there are as many turns as workers, and a call has one from when it may take a worker until it
//! is over. So no call that waits is in anybody's hands, and one that comes later with a higher priority goes before it.
//!
//! Calls that nobody waits for on a thread of their own are *jobs*: OS threads, as many as turns at most, make them one after
//! the other. A *caller* makes its call itself, and waits in the same order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
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

/// Where a call is in the order: those with a higher priority come first, else those that came first.
type Rank = (Reverse<i32>, u64);

enum Waiting {
    Job(Box<Job>),
    Caller,
}

/// Calls in their order. One of many can be taken out without a look at the others.
#[derive(Default)]
struct Line {
    by_rank: BTreeMap<Rank, Waiting>,
    /// How many of them are jobs.
    jobs: usize,
    /// The rank of the last try of each job's call; one before it is left to run, as it is not the one that is cancelled.
    ranks: HashMap<String, Rank>,
    next: u64,
}

impl Line {
    fn push_job(&mut self, job: Job) {
        let rank = self.rank(job.call.priority);
        self.ranks.insert(job.call.id.clone(), rank);
        self.by_rank.insert(rank, Waiting::Job(Box::new(job)));
        self.jobs += 1;
    }

    fn push_caller(&mut self, priority: i32) -> Rank {
        let rank = self.rank(priority);
        self.by_rank.insert(rank, Waiting::Caller);
        rank
    }

    fn rank(&mut self, priority: i32) -> Rank {
        self.next += 1;
        (Reverse(priority), self.next)
    }

    fn first(&self) -> Option<(Rank, &Waiting)> {
        self.by_rank.first_key_value().map(|(rank, waiting)| (*rank, waiting))
    }

    /// Takes out the first of all, if that is a job.
    fn pop_job(&mut self) -> Option<Job> {
        match self.first()? {
            (rank, Waiting::Job(_)) => self.remove_job(rank),
            (_, Waiting::Caller) => None,
        }
    }

    fn remove_job(&mut self, rank: Rank) -> Option<Job> {
        let Waiting::Job(job) = self.by_rank.remove(&rank)? else { return None };
        self.jobs -= 1;
        if self.ranks.get(&job.call.id) == Some(&rank) {
            self.ranks.remove(&job.call.id);
        }
        Some(*job)
    }

    fn remove_call(&mut self, id: &str) -> Option<Job> {
        let rank = *self.ranks.get(id)?;
        self.remove_job(rank)
    }

    fn remove_jobs(&mut self, is_meant: impl Fn(&Job) -> bool) -> Vec<Job> {
        let meant = |waiting: &Waiting| matches!(waiting, Waiting::Job(job) if is_meant(job));
        let ranks: Vec<Rank> =
            self.by_rank.iter().filter(|(_, waiting)| meant(waiting)).map(|(rank, _)| *rank).collect();
        ranks.into_iter().filter_map(|rank| self.remove_job(rank)).collect()
    }
}

/// The calls that wait, and how many turns there are left.
pub struct Queue {
    turns_max: usize,
    state: Mutex<State>,
    /// A job may be the first, and there may be a turn for it; or there will be no more jobs.
    for_threads: Condvar,
    /// A caller may be the first, and there may be a turn for it; or it may be cancelled.
    for_callers: Condvar,
}

struct State {
    line: Line,
    turns: usize,
    threads: usize,
    idle_threads: usize,
    is_closed: bool,
}

/// A caller's turn, until it is dropped.
pub struct Turn<'a>(&'a Queue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.turns += 1;
        self.0.hand_on(&state);
    }
}

impl Queue {
    /// Nobody waits, and there are so many turns.
    pub fn new(turns_max: usize) -> Queue {
        let (line, turns) = (Line::default(), turns_max);
        let state = State { line, turns, threads: 0, idle_threads: 0, is_closed: false };
        Queue { turns_max, state: Mutex::new(state), for_threads: Condvar::new(), for_callers: Condvar::new() }
    }

    /// Adds a job. True says that a thread is needed for it, which is counted already; false, if it is refused, comes
    /// with the job answered.
    pub fn push(&self, job: Job) -> bool {
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            let error = job.call.cancelled();
            (job.done)(Err(error.into()));
            return false;
        }
        state.line.push_job(job);
        self.hand_on(&state);
        let needs_thread = state.line.jobs > state.idle_threads && state.threads < self.turns_max;
        state.threads += usize::from(needs_thread);
        needs_thread
    }

    /// The first job for a new thread, when it is its turn; none says that the thread is to end, and is not counted any more.
    pub fn first_job(&self) -> Option<Job> {
        self.pop(self.lock(), true)
    }

    /// The next job for a thread whose last one is over.
    pub fn next_job(&self) -> Option<Job> {
        self.pop(self.lock_with_turn(), true)
    }

    /// The first job for a thread that stands in for one that could not be started, and waits for no jobs to come.
    pub fn first_waiting_job(&self) -> Option<Job> {
        self.pop(self.lock(), false)
    }

    /// The next job for such a thread whose last one is over.
    pub fn next_waiting_job(&self) -> Option<Job> {
        self.pop(self.lock_with_turn(), false)
    }

    fn lock_with_turn(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.turns += 1;
        state
    }

    fn pop(&self, mut state: MutexGuard<'_, State>, stays: bool) -> Option<Job> {
        loop {
            if state.turns > 0
                && let Some(job) = state.line.pop_job()
            {
                state.turns -= 1;
                self.hand_on(&state);
                return Some(job);
            }
            self.hand_on(&state);
            if state.is_closed || (state.line.jobs == 0 && !stays) {
                state.threads -= 1;
                return None;
            }
            state.idle_threads += 1;
            let (woken, waited) =
                self.for_threads.wait_timeout(state, QUEUE_THREAD_IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle_threads -= 1;
            if waited.timed_out() && state.line.jobs == 0 {
                state.threads -= 1;
                return None;
            }
        }
    }

    /// Waits for a caller's turn. There is none for one that is cancelled meanwhile, which is asked after each
    /// [`notice_cancelled`](Queue::notice_cancelled).
    pub fn wait_for_turn(&self, priority: i32, is_cancelled: impl Fn() -> bool) -> Option<Turn<'_>> {
        let mut state = self.lock();
        if state.turns > 0 && state.line.first().is_none() {
            state.turns -= 1;
            return Some(Turn(self));
        }
        let own = state.line.push_caller(priority);
        loop {
            let has_turn = state.turns > 0 && state.line.first().is_some_and(|(rank, _)| rank == own);
            if has_turn || state.is_closed || is_cancelled() {
                state.line.by_rank.remove(&own);
                state.turns -= usize::from(has_turn);
                self.hand_on(&state);
                return if has_turn { Some(Turn(self)) } else { None };
            }
            state = self.for_callers.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Callers may have been cancelled.
    pub fn notice_cancelled(&self) {
        let state = self.lock();
        self.for_callers.notify_all();
        drop(state);
    }

    /// Takes out the jobs of a session.
    pub fn remove_session(&self, session: &str) -> Vec<Job> {
        let mut state = self.lock();
        let removed = state.line.remove_jobs(|job| job.call.session() == session);
        self.hand_on(&state);
        removed
    }

    /// Takes out the job of a call.
    pub fn remove_call(&self, id: &str) -> Option<Job> {
        let mut state = self.lock();
        let removed = state.line.remove_call(id);
        self.hand_on(&state);
        removed
    }

    /// Takes no more jobs, and gives back those that wait.
    pub fn close(&self) -> Vec<Job> {
        let mut state = self.lock();
        state.is_closed = true;
        self.for_threads.notify_all();
        self.for_callers.notify_all();
        state.line.remove_jobs(|_| true)
    }

    /// Tells those whose turn it may be.
    fn hand_on(&self, state: &State) {
        match state.line.first() {
            Some((_, Waiting::Job(_))) if state.turns > 0 && state.idle_threads > 0 => self.for_threads.notify_one(),
            Some((_, Waiting::Caller)) if state.turns > 0 => self.for_callers.notify_all(),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn job(priority: i32, id: &str) -> Job {
        let call = Call {
            module: "module".into(),
            function: "function".into(),
            name: "function".into(),
            takes_keywords: false,
            arguments: vec![],
            progress: None,
            id: id.into(),
            attempt: 1,
            timeout: None,
            priority,
            unwanted: Default::default(),
        };
        Job { call, events: Box::new(|_| ()), done: Box::new(|_| ()) }
    }

    fn wait_for_line(queue: &Queue, length: usize) {
        while queue.lock().line.by_rank.len() != length {
            thread::yield_now();
        }
    }

    #[test]
    fn callers_and_jobs_wait_in_one_order() {
        let queue = Queue::new(1);
        let first = queue.wait_for_turn(0, || false).unwrap();
        let (sender, order) = mpsc::channel();
        thread::scope(|scope| {
            for (index, priority) in [0, 7, -1].into_iter().enumerate() {
                let (queue, sender) = (&queue, sender.clone());
                scope.spawn(move || {
                    let turn = queue.wait_for_turn(priority, || false).unwrap();
                    sender.send(format!("caller {priority}")).unwrap();
                    drop(turn);
                });
                wait_for_line(queue, index + 1);
            }
            assert!(queue.push(job(-5, "session/1/1")), "there is no thread yet");
            scope.spawn(|| {
                let mut job = queue.first_job();
                while let Some(one) = job {
                    sender.send(format!("job {}", one.call.priority)).unwrap();
                    job = if one.call.priority == -5 { None } else { queue.next_job() };
                }
                drop(queue.lock_with_turn());
            });
            // However long the thread has waited with that job in sight, it has not taken it.
            wait_for_line(&queue, 4);
            while queue.lock().idle_threads == 0 {
                thread::yield_now();
            }
            for (number, priority) in [(2, 9), (3, 0), (4, 7)] {
                assert!(!queue.push(job(priority, &format!("session/{number}/1"))), "one thread for one turn");
            }
            drop(first);
        });
        drop(sender);
        let order: Vec<String> = order.iter().collect();
        assert_eq!(order, ["job 9", "caller 7", "job 7", "caller 0", "job 0", "caller -1", "job -5"]);
    }

    #[test]
    fn a_caller_that_is_cancelled_waits_no_longer_and_holds_up_nobody() {
        let queue = Queue::new(1);
        let first = queue.wait_for_turn(0, || false).unwrap();
        let is_cancelled = Mutex::new(false);
        thread::scope(|scope| {
            let cancelled = scope.spawn(|| queue.wait_for_turn(5, || *is_cancelled.lock().unwrap()).is_none());
            wait_for_line(&queue, 1);
            let waits = scope.spawn(|| queue.wait_for_turn(0, || false).is_some());
            wait_for_line(&queue, 2);
            *is_cancelled.lock().unwrap() = true;
            queue.notice_cancelled();
            assert!(cancelled.join().unwrap());
            drop(first);
            assert!(waits.join().unwrap());
            // All turns are back.
            assert!(queue.wait_for_turn(0, || true).is_some());
            // What waits at the end is told so.
            let last = queue.wait_for_turn(0, || false);
            let ended = scope.spawn(|| queue.wait_for_turn(0, || false).is_none());
            wait_for_line(&queue, 1);
            assert!(queue.close().is_empty());
            assert!(ended.join().unwrap());
            drop(last);
        });
    }
}
