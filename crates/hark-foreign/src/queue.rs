//! The queue of calls that wait for a turn. There are as many turns as workers, and a call has a turn from when it may
//! take a worker until it is over. So a waiting call is held by no thread, and a later one with a higher priority goes
//! first.
//! Calls that no caller's thread waits for are *jobs*. They are run by OS threads, at most as many as there are turns.
//! A *caller* makes its call itself, and waits in the same order.
//!
//! A thread whose calls are short takes the next ones out of the queue and sends them ahead to its worker (`ahead.rs`).
//! The queue knows which workers these are, and takes the calls back for a call of higher priority or an idle thread.

mod line;
mod pace;

use std::cmp::Reverse;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use hark_engine::{CallError, CallSink};
use hark_machine::Value;

use crate::ahead::Ahead;
use crate::call::Call;
use crate::limits::QUEUE_THREAD_IDLE_MAX;

pub use line::Placed;
use line::{Line, Waiting};
use pace::Pacer;
pub use pace::Rate;

/// Receives the result of a call.
pub type Done = Box<dyn FnOnce(Result<Value, CallError>) + Send>;

/// A call and the receivers of its events and result.
pub struct Job {
    pub call: Call,
    pub events: CallSink,
    pub done: Done,
}

/// Higher than any priority.
const NOTHING_SENT: i64 = i64::MAX;

/// The waiting calls and the free turns.
pub struct Queue {
    turns_max: usize,
    state: Mutex<State>,
    /// Notified when the first in line may be a job and there may be a turn for it, or when the queue is closed.
    for_threads: Condvar,
    /// Notified when the first in line may be a caller and there may be a turn for it, or when a caller may be
    /// cancelled.
    for_callers: Condvar,
    /// A lower bound of the priorities of all calls sent ahead; [`NOTHING_SENT`] if there are none.
    lowest_sent: AtomicI64,
}

struct State {
    line: Line,
    /// Spaces the calls that have a rate.
    pacer: Pacer,
    /// The calls sent ahead to each worker.
    workers: Vec<Weak<Ahead>>,
    turns: usize,
    threads: usize,
    idle_threads: usize,
    is_closed: bool,
}

impl State {
    /// Registers the start of a call. If the call must wait, returns until when instead.
    fn pace(&mut self, call: &Call) -> Option<Instant> {
        let rate = call.rate.as_ref()?;
        self.pacer.begin(rate, Instant::now())
    }

    /// Puts the jobs whose time has come back into the line. Returns the time of the next one.
    fn release_due(&mut self) -> Option<Instant> {
        self.pacer.next_release()?;
        let now = Instant::now();
        while let Some(placed) = self.pacer.release(Some(now)) {
            self.line.put(placed);
        }
        self.pacer.next_release()
    }

    /// Puts all jobs of the pacer back into the line, where they can be searched. None begins early because of this.
    fn release_all(&mut self) {
        while let Some(placed) = self.pacer.release(None) {
            self.line.put(placed);
        }
    }
}

/// A caller's turn, until it is dropped.
pub struct Turn<'a>(&'a Queue);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.turns += 1;
        if state.line.first().is_none() && self.0.has_sent() && state.idle_threads > 0 {
            // That thread takes back calls that were sent ahead.
            self.0.for_threads.notify_one();
        }
        self.0.hand_on(&state);
    }
}

impl Queue {
    /// An empty queue with this number of turns.
    pub fn new(turns_max: usize) -> Queue {
        let (line, turns) = (Line::default(), turns_max);
        let (pacer, workers) = (Pacer::default(), Vec::new());
        let state = State { line, pacer, workers, turns, threads: 0, idle_threads: 0, is_closed: false };
        Queue {
            turns_max,
            state: Mutex::new(state),
            for_threads: Condvar::new(),
            for_callers: Condvar::new(),
            lowest_sent: AtomicI64::new(NOTHING_SENT),
        }
    }

    /// Registers a new worker, to which calls may be sent ahead.
    pub fn add_worker(&self, ahead: &Arc<Ahead>) {
        let mut state = self.lock();
        state.workers.retain(|each| each.strong_count() > 0);
        state.workers.push(Arc::downgrade(ahead));
    }

    /// Adds a job. Returns true if the caller must start a thread for it; that thread is already counted. A closed
    /// queue refuses the job, answers it and returns false.
    pub fn push(&self, job: Job) -> bool {
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            let error = job.call.cancelled();
            (job.done)(Err(error.into()));
            return false;
        }
        let priority = i64::from(job.call.priority);
        state.line.push_job(job);
        if priority > self.lowest_sent.load(Ordering::SeqCst) {
            self.take_back(&mut state, |job| i64::from(job.call.priority) < priority);
        }
        self.hand_on(&state);
        self.needs_thread(&mut state)
    }

    /// Whether a new thread is needed for the waiting jobs. If so, it is already counted.
    fn needs_thread(&self, state: &mut State) -> bool {
        let needs_thread = state.line.jobs > state.idle_threads && state.threads < self.turns_max;
        state.threads += usize::from(needs_thread);
        needs_thread
    }

    /// Uncounts a thread that could not be started.
    pub fn forget_thread(&self) {
        self.lock().threads -= 1;
    }

    /// The workers that have calls sent ahead to them.
    fn with_calls_ahead(&self, state: &State) -> Vec<Arc<Ahead>> {
        if !self.has_sent() {
            return Vec::new();
        }
        // Before the search, so that calls sent after it are recorded after this.
        self.lowest_sent.store(NOTHING_SENT, Ordering::SeqCst);
        let mut found = Vec::new();
        for ahead in state.workers.iter().filter_map(Weak::upgrade) {
            if let Some(lowest) = ahead.lowest_priority() {
                self.note_sent(lowest);
                found.push(ahead);
            }
        }
        found
    }

    /// Whether calls may have been sent ahead.
    fn has_sent(&self) -> bool {
        self.lowest_sent.load(Ordering::SeqCst) != NOTHING_SENT
    }

    fn note_sent(&self, priority: i64) {
        self.lowest_sent.fetch_min(priority, Ordering::SeqCst);
    }

    /// Records that jobs were sent ahead, with the lowest of their priorities. Returns whether a call of higher
    /// priority, or a free turn, has appeared meanwhile.
    pub fn has_come_too_late(&self, priority: i64) -> bool {
        let state = self.lock();
        self.note_sent(priority);
        state.turns > 0 || state.line.first().is_some_and(|((Reverse(first), _), _)| i64::from(first) > priority)
    }

    /// Takes back the calls that have not begun from all workers that were sent a matching job. Returns these workers.
    fn take_back(&self, state: &mut State, is_meant: impl Fn(&Job) -> bool) -> Vec<Arc<Ahead>> {
        let mut workers = self.with_calls_ahead(state);
        workers.retain(|ahead| ahead.has(&is_meant));
        for ahead in &workers {
            ahead.take_back().0.into_iter().for_each(|placed| state.line.put(placed));
        }
        workers
    }

    /// Takes the first jobs, to send them ahead to a worker: at most `most` and not more than the worker's share; none
    /// if there is a free turn. Stops at the first job that does not match.
    pub fn pop_ahead(&self, most: usize, is_meant: impl Fn(&Call) -> bool) -> Vec<Placed> {
        let mut state = self.lock();
        if state.is_closed || state.turns > 0 {
            return Vec::new();
        }
        let share = most.min(state.line.jobs / self.turns_max);
        let mut popped = Vec::with_capacity(share);
        while popped.len() < share
            && let Some(placed) = state.line.pop_job(|job| is_meant(&job.call))
        {
            popped.push(placed);
        }
        popped
    }

    /// Puts jobs back in their places. Returns the same as [`push`](Queue::push).
    pub fn put_back(&self, jobs: Vec<Placed>) -> bool {
        if jobs.is_empty() {
            return false;
        }
        let mut state = self.lock();
        jobs.into_iter().for_each(|placed| state.line.put(placed));
        self.hand_on(&state);
        self.needs_thread(&mut state)
    }

    /// Waits for the first job of a new thread. After `None` the thread must end; it is no longer counted.
    pub fn first_job(&self) -> Option<Job> {
        self.pop(self.lock(), true)
    }

    /// Waits for the next job of a thread whose last one is over.
    pub fn next_job(&self) -> Option<Job> {
        self.pop(self.lock_with_turn(), true)
    }

    /// The first job for a caller's thread that stands in for one that could not be started. It does not wait for new
    /// jobs.
    pub fn first_waiting_job(&self) -> Option<Job> {
        self.pop(self.lock(), false)
    }

    /// The next job for such a thread.
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
            let release = state.release_due();
            if state.turns > 0 && state.line.first().is_none() {
                self.take_back(&mut state, |_| true);
            }
            if state.turns > 0
                && let Some(placed) = state.line.pop_job(|_| true)
            {
                if let Some(until) = state.pace(&placed.job.call) {
                    state.pacer.hold(until, placed);
                    continue;
                }
                state.turns -= 1;
                self.hand_on(&state);
                return Some(*placed.job);
            }
            self.hand_on(&state);
            let has_jobs = state.line.jobs > 0 || release.is_some();
            if state.is_closed || !(has_jobs || stays) {
                state.threads -= 1;
                return None;
            }
            state.idle_threads += 1;
            let time = release.map_or(QUEUE_THREAD_IDLE_MAX, |until| until.saturating_duration_since(Instant::now()));
            let (woken, waited) = self.for_threads.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle_threads -= 1;
            if waited.timed_out() && state.line.jobs == 0 && state.pacer.next_release().is_none() {
                state.threads -= 1;
                return None;
            }
        }
    }

    /// Waits for a caller's turn. Returns `None` if the caller is cancelled meanwhile, which is checked after each
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
                state.line.remove_caller(own);
                state.turns -= usize::from(has_turn);
                self.hand_on(&state);
                return if has_turn { Some(Turn(self)) } else { None };
            }
            state = self.for_callers.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A caller that has its turn is about to begin this call. If the call must wait, returns until when instead.
    pub fn pace(&self, call: &Call) -> Option<Instant> {
        call.rate.as_ref()?;
        self.lock().pace(call)
    }

    /// Waits until this time, or until the caller is cancelled.
    pub fn wait_until(&self, until: Instant, is_cancelled: impl Fn() -> bool) {
        let mut state = self.lock();
        while !state.is_closed && !is_cancelled() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.for_callers.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lets waiting callers check whether they are cancelled.
    pub fn notice_cancelled(&self) {
        let state = self.lock();
        self.for_callers.notify_all();
        drop(state);
    }

    /// Removes the jobs of a session.
    pub fn remove_session(&self, session: &str) -> Vec<Job> {
        let mut state = self.lock();
        state.release_all();
        let is_meant = |job: &Job| job.call.session() == session;
        self.cancel_ahead(&mut state, is_meant);
        let removed = state.line.remove_jobs(is_meant);
        self.hand_on(&state);
        removed
    }

    /// Removes the job of a cancelled call.
    pub fn remove_call(&self, id: &str) -> Option<Job> {
        let mut state = self.lock();
        state.release_all();
        self.cancel_ahead(&mut state, |job| job.call.id == id);
        let removed = state.line.remove_call(id);
        self.hand_on(&state);
        removed
    }

    /// Removes the job of a call that is to be made elsewhere, unless it has begun.
    pub fn withdraw_call(&self, id: &str) -> Option<Job> {
        let mut state = self.lock();
        state.release_all();
        self.take_back(&mut state, |job| job.call.id == id);
        let removed = state.line.remove_call(id);
        self.hand_on(&state);
        removed
    }

    /// Takes back the matching calls that were sent ahead. Those that have begun are marked as cancelled.
    fn cancel_ahead(&self, state: &mut State, is_meant: impl Fn(&Job) -> bool) {
        for ahead in self.take_back(state, &is_meant) {
            ahead.cancel(&is_meant);
        }
    }

    /// Closes the queue and returns the waiting jobs.
    pub fn close(&self) -> Vec<Job> {
        let mut state = self.lock();
        state.is_closed = true;
        state.release_all();
        self.for_threads.notify_all();
        self.for_callers.notify_all();
        for ahead in self.with_calls_ahead(&state) {
            ahead.close().0.into_iter().for_each(|placed| state.line.put(placed));
        }
        state.line.remove_jobs(|_| true)
    }

    /// Notifies the caller that may have the next turn.
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
            ends_with_process: false,
            priority,
            rate: None,
            unwanted: Default::default(),
        };
        Job { call, events: Box::new(|_| ()), done: Box::new(|_| ()) }
    }

    fn wait_for_line(queue: &Queue, length: usize) {
        while queue.lock().line.len() != length {
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
            // The thread has had the job in sight for a while, but has not taken it.
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
            // All turns are free again.
            assert!(queue.wait_for_turn(0, || true).is_some());
            // Waiting callers learn that the queue was closed.
            let last = queue.wait_for_turn(0, || false);
            let ended = scope.spawn(|| queue.wait_for_turn(0, || false).is_none());
            wait_for_line(&queue, 1);
            assert!(queue.close().is_empty());
            assert!(ended.join().unwrap());
            drop(last);
        });
    }
}
