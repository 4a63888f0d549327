//! A worker's way through a thread's turn: load, run, decide, commit, and then act.

mod act;
mod run;

use std::mem;
use std::sync::Arc;

use hark_machine::{Awaited, Value};

use crate::commit::{Commit, Outcome};
use crate::failure::Failure;
use crate::foreign::Call;
use crate::id::{Stamps, ThreadId};
use crate::invoker::Seat;
use crate::record::{FutureRecord, Key, Live, Record, State, Status, Versioned};
use crate::session::Session;
use crate::step::{self, Ending, Known, Loaded, Plan};
use crate::storage::StorageError;
use crate::suspend;

/// One worker of a session, with the memory that it uses again from turn to turn.
pub(crate) struct Worker<'a> {
    session: &'a Session,
    seat: &'a mut dyn Seat,
    commit: Commit,
    plan: Plan,
    stamps: Stamps,
    found: Vec<Option<Versioned>>,
    /// Hints carried out that the session has not been told of.
    done: u64,
    /// How many times the thread was given what it awaited within this turn.
    awaits: u32,
    /// The foreign call that the thread's step begins.
    call: Option<Call>,
}

/// What is to be done with a thread that was loaded.
enum Next {
    /// It runs.
    Run,
    /// Its turn ends.
    End(Ending),
}

/// How a turn went.
enum Pace {
    /// It was short.
    Short,
    /// It used all of its fuel.
    Long,
    /// Its thread has begun a foreign call, which is still to be made.
    Called(Call),
}

impl<'a> Worker<'a> {
    pub fn new(session: &'a Session, seat: &'a mut dyn Seat) -> Worker<'a> {
        let mut stamps = session.stamps();
        let commit = Commit::new(stamps.next());
        Worker {
            session,
            seat,
            commit,
            plan: Plan::default(),
            stamps,
            found: Vec::new(),
            done: 0,
            awaits: 0,
            call: None,
        }
    }

    /// Gives each of these threads a turn; answers how many had one.
    pub fn run(mut self, threads: &[ThreadId]) -> usize {
        let mut count = 0;
        for &thread in threads {
            if self.session.is_over() {
                return threads.len();
            }
            count += 1;
            match self.turns(thread, count == threads.len()) {
                Ok(true) => {}
                // The other threads should not wait for more long turns if another worker is free.
                Ok(false) => break,
                Err(error) => self.session.fail_storage(&error),
            }
        }
        if self.done > 0 {
            self.session.remove_activity(self.done);
        }
        count
    }

    /// Gives a thread a turn, and more as long as it makes calls that this worker waits for itself, which is fastest
    /// where there is nothing else to do. Answers whether all were short.
    fn turns(&mut self, thread: ThreadId, is_last: bool) -> Result<bool, StorageError> {
        loop {
            match self.turn(thread)? {
                Pace::Short => return Ok(true),
                Pace::Long => return Ok(false),
                Pace::Called(call) if is_last && self.seat.begin_blocking() => {
                    self.session.call_blocking(call);
                    self.seat.end_blocking();
                }
                Pace::Called(call) => {
                    self.session.call(call);
                    return Ok(true);
                }
            }
        }
    }

    fn turn(&mut self, thread: ThreadId) -> Result<Pace, StorageError> {
        self.commit.reset(self.stamps.next());
        self.awaits = 0;
        self.call = None;
        let Some((mut loaded, mut live)) = self.load(thread)? else { return Ok(self.nothing_to_do()) };
        let Some(mut next) = self.enter(&mut loaded, &mut live)? else { return Ok(self.nothing_to_do()) };
        loop {
            let ending = match next {
                Next::Run => {
                    next = self.run_thread(&mut loaded, &mut live)?;
                    continue;
                }
                Next::End(ending) => ending,
            };
            if self.session.is_over() {
                return Ok(Pace::Short);
            }
            let gathered = self.commit.gathered();
            step::step(&loaded, &ending, live, &mut self.commit, &mut self.plan);
            if self.session.commit(&mut self.commit)? == Outcome::Done {
                return self.act(thread, &ending);
            }
            live = self.commit.take_back(gathered).unwrap_or_else(|| Live::without_state(Status::Runnable));
            if !self.reload(&mut loaded)? {
                return Ok(self.nothing_to_do());
            }
            next = self.reconsider(&mut loaded, &mut live, ending)?;
        }
    }

    /// The hint led to nothing: the thread has stopped, or another worker has it, who will see what it was for.
    fn nothing_to_do(&mut self) -> Pace {
        self.done += 1;
        Pace::Short
    }

    /// Reads what a step begins with.
    fn load(&mut self, thread: ThreadId) -> Result<Option<(Loaded, Box<Live>)>, StorageError> {
        let [live, ready, own] = self.read([Key::Live(thread), Key::Ready(thread), Key::Future(thread)])?;
        let Some(Versioned { stamp, record: Record::Live(_, content) }) = live else { return Ok(None) };
        let ready = ready.map(|ready| ready.stamp);
        Ok(Some((Loaded { thread, live: stamp, ready, own: known(own), heard: Vec::new() }, content)))
    }

    /// Reads again what may have changed. Answers whether the thread is still this worker's.
    fn reload(&mut self, loaded: &mut Loaded) -> Result<bool, StorageError> {
        let thread = loaded.thread;
        let [live, ready, own] = self.read([Key::Live(thread), Key::Ready(thread), Key::Future(thread)])?;
        loaded.ready = ready.map(|ready| ready.stamp);
        loaded.own = known(own);
        Ok(live.is_some_and(|live| live.stamp == loaded.live))
    }

    fn read<const N: usize>(&mut self, keys: [Key; N]) -> Result<[Option<Versioned>; N], StorageError> {
        self.found.clear();
        self.session.records().read(&keys, &mut self.found)?;
        let mut found = self.found.drain(..);
        Ok(std::array::from_fn(|_| found.next().flatten()))
    }

    /// What a thread that was loaded does next. Nothing if another worker has it.
    fn enter(&mut self, loaded: &mut Loaded, live: &mut Live) -> Result<Option<Next>, StorageError> {
        // Before it is given what it waited for, so that it is suspended as it was when it stopped.
        if self.session.suspends()
            && let State::Present(thread) = &mut live.state
            && let Err(error) = suspend::rewrite(thread, self.session.program())
        {
            return Ok(Some(Next::End(Ending::Failed(Arc::new(Failure::at_root(*error, loaded.thread))))));
        }
        let next = match &mut live.status {
            Status::Runnable if matches!(live.state, State::Absent) => return Ok(None),
            Status::Runnable => Next::Run,
            Status::Waiting(awaited) => {
                let awaited = awaited.clone();
                self.consult(loaded, live, awaited)?
            }
            Status::Following(awaited) => {
                let awaited = awaited.clone();
                self.follow(loaded, awaited)?
            }
            Status::Sleeping { until, value } => {
                if self.session.now() < *until {
                    Next::End(Ending::Stays)
                } else {
                    let value = mem::take(value);
                    self.resume(live, value)
                }
            }
            Status::Calling(number) => match self.session.take_answer(loaded.thread, *number) {
                Some(Ok(value)) => self.resume(live, value),
                Some(Err(error)) => self.raise(live, &Failure::at_root(error, loaded.thread), loaded.thread),
                None => Next::End(Ending::Stays),
            },
        };
        Ok(Some(next))
    }

    /// Decides again what was decided on grounds that have changed.
    fn reconsider(&mut self, loaded: &mut Loaded, live: &mut Live, ending: Ending) -> Result<Next, StorageError> {
        match ending {
            Ending::Waits(awaited, _) => self.consult(loaded, live, awaited),
            Ending::Follows(awaited, _) => self.follow(loaded, awaited),
            other => Ok(Next::End(other)),
        }
    }

    /// What a thread does that needs this Future's value.
    fn consult(&mut self, loaded: &mut Loaded, live: &mut Live, awaited: Awaited) -> Result<Next, StorageError> {
        let known = self.look_at(&awaited)?;
        match known.as_ref().map(|known| &known.record) {
            Some(FutureRecord::Resolved(value)) => Ok(self.resume(live, value.clone())),
            Some(FutureRecord::Failed(failure)) => {
                self.hear(loaded, &awaited);
                Ok(self.raise(live, failure, loaded.thread))
            }
            _ => Ok(Next::End(Ending::Waits(awaited, known))),
        }
    }

    /// What a thread does that came to its end with this Future.
    fn follow(&mut self, loaded: &mut Loaded, awaited: Awaited) -> Result<Next, StorageError> {
        let known = self.look_at(&awaited)?;
        Ok(Next::End(match known.as_ref().map(|known| &known.record) {
            Some(FutureRecord::Resolved(value)) => Ending::Finished(value.clone()),
            Some(FutureRecord::Failed(failure)) => {
                self.hear(loaded, &awaited);
                Ending::Failed(failure.clone())
            }
            _ => Ending::Follows(awaited, known),
        }))
    }

    /// A Future's record, if it has one.
    fn look_at(&mut self, awaited: &Awaited) -> Result<Option<Known>, StorageError> {
        match awaited {
            Awaited::Thread(future) if !step::starts(&self.commit, ThreadId(*future)) => {
                let [future] = self.read([Key::Future(ThreadId(*future))])?;
                Ok(known(future))
            }
            // A thread that is about to be started, or in one process a promise: nothing can be known of its Future.
            Awaited::Thread(_) | Awaited::Promise(_) => Ok(None),
        }
    }

    /// The thread is given this Future's error.
    fn hear(&self, loaded: &mut Loaded, awaited: &Awaited) {
        if let Awaited::Thread(future) = awaited {
            loaded.heard.push(ThreadId(*future));
        }
    }

    fn resume(&self, live: &mut Live, value: Value) -> Next {
        live.status = Status::Runnable;
        match &mut live.state {
            State::Present(thread) => {
                thread.resume(value);
                Next::Run
            }
            State::Absent => Next::End(Ending::Stays),
        }
    }

    fn raise(&self, live: &mut Live, failure: &Failure, thread: ThreadId) -> Next {
        match &mut live.state {
            State::Present(state) => {
                let failure = failure.awaited_by(state, self.session.program(), thread);
                Next::End(Ending::Failed(Arc::new(failure)))
            }
            State::Absent => Next::End(Ending::Stays),
        }
    }
}

fn known(versioned: Option<Versioned>) -> Option<Known> {
    match versioned {
        Some(Versioned { stamp, record: Record::Future(_, record) }) => Some(Known { stamp, record }),
        _ => None,
    }
}
