//! A worker's way through a thread's turn: load, run, decide, commit, and then act.

mod act;
mod run;

use std::mem;
use std::sync::Arc;

use hark_machine::{Awaited, Error, Value};

use crate::commit::{Commit, Outcome};
use crate::failure::Failure;
use crate::foreign::Call;
use crate::history::{Event, LogEntry};
use crate::id::{Stamps, ThreadId};
use crate::invoker::Seat;
use crate::limits::{GATHERED_TIME_MAX, PAUSED_FRESH_MAX, PAUSED_LOG_MAX, STEP_TIME_MAX};
use crate::output::OutputItem;
use crate::record::{FutureRecord, Key, Live, Record, State, Status, Versioned};
use crate::remote::Told;
use crate::session::{Answered, CallState, Paused, Session, Taken};
use crate::step::{self, Ending, First, Known, Loaded, Plan};
use crate::storage::StorageError;
use crate::surroundings::Timestamp;
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
    /// How many entries of the commit's log have been shown.
    shown: usize,
}

/// What is to be done with a thread that was loaded.
enum Next {
    /// It runs.
    Run,
    /// That its worker was lost is written down first.
    Count,
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
    /// It used all of its fuel, and its thread stays in memory.
    Paused,
}

impl<'a> Worker<'a> {
    pub fn new(session: &'a Session, seat: &'a mut dyn Seat) -> Worker<'a> {
        let mut stamps = session.stamps();
        let commit = Commit::of_server(stamps.next());
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
            shown: 0,
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
                Pace::Long | Pace::Paused => return Ok(false),
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

    /// A turn of a thread that no other worker has.
    fn turn(&mut self, thread: ThreadId) -> Result<Pace, StorageError> {
        if !self.session.is_resumable() {
            return self.whole_turn(thread, None);
        }
        let paused = match self.session.busy.take(thread) {
            Taken::New => None,
            Taken::Paused(paused) => Some(paused),
            // The hint counts until that turn: else the session would look idle while it is still to come.
            Taken::Elsewhere => return Ok(Pace::Short),
            Taken::Hinted => return Ok(self.nothing_to_do()),
        };
        let given = if self.session.upstream().is_some() { self.session.given.before(thread) } else { 0 };
        let pace = self.whole_turn(thread, paused);
        if matches!(pace, Ok(Pace::Paused)) {
            return pace;
        }
        if self.session.busy.leave(thread) {
            self.seat.invoke(&[thread]);
        } else if given > 0 && matches!(pace, Ok(Pace::Short)) && !self.session.calls.is_under_way(thread) {
            self.settle(thread, given);
        }
        pace
    }

    fn whole_turn(&mut self, thread: ThreadId, paused: Option<Box<Paused>>) -> Result<Pace, StorageError> {
        self.commit.reset(self.stamps.next());
        self.awaits = 0;
        self.call = None;
        self.shown = 0;
        let (mut loaded, mut live, mut next, mut since);
        if let Some(paused) = paused {
            let Paused { loaded: was_loaded, live: was_live, fresh, log, shown, since: began } = *paused;
            (loaded, live, next, since) = (was_loaded, was_live, Next::Run, began);
            (self.commit.fresh, self.commit.log, self.shown) = (fresh, log, shown);
        } else {
            let Some(found) = self.load(thread)? else { return self.not_live(thread) };
            (loaded, live) = found;
            let Some(entered) = self.enter(&mut loaded, &mut live)? else { return Ok(self.nothing_to_do()) };
            if matches!(entered, Next::End(Ending::Stays)) && loaded.ready.is_none() && self.session.is_resumable() {
                // It is written down as it is, and so is that nobody has woken it.
                return Ok(self.nothing_to_do());
            }
            next = entered;
            since = if self.session.is_resumable() { self.session.now() } else { Timestamp(0) };
        }
        loop {
            let ending = match next {
                Next::Run => {
                    next = self.run_thread(&mut loaded, &mut live)?;
                    continue;
                }
                Next::End(ending) => ending,
                Next::Count => {
                    since = Timestamp(0);
                    Ending::Yielded
                }
            };
            if self.session.is_over() {
                return Ok(Pace::Short);
            }
            if matches!(ending, Ending::Yielded) && self.may_pause(since) {
                return Ok(self.pause(loaded, live, since));
            }
            if let Some(first) = &mut loaded.first
                && matches!(ending, Ending::Finished(_) | Ending::Failed(_))
            {
                first.is_alone = self.session.has_one_thread(loaded.live.is_none())?;
            }
            let gathered = self.commit.gathered();
            step::step(&loaded, &ending, live, self.session.now(), &mut self.commit, &mut self.plan);
            if self.make_commit(thread)? == Outcome::Done {
                return self.act(thread, &ending);
            }
            live = self.commit.take_back(gathered).unwrap_or_else(|| Live::without_state(Status::Runnable));
            if !self.reload(&mut loaded)? {
                return Ok(self.nothing_to_do());
            }
            next = self.reconsider(&mut loaded, &mut live, ending)?;
        }
    }

    /// Makes the step's commit. Where that takes its time, another worker takes this one's place.
    fn make_commit(&mut self, thread: ThreadId) -> Result<Outcome, StorageError> {
        if !self.session.is_resumable() {
            return self.session.commit(&mut self.commit, 0);
        }
        self.seat.step_aside();
        let outcome = self.session.commit(&mut self.commit, self.shown);
        self.seat.step_back();
        match outcome? {
            Outcome::Unknown => {
                let happened = self.commit.has_happened(self.session.records(), self.witness(thread))?;
                Ok(if happened { Outcome::Done } else { Outcome::Conflict })
            }
            outcome => Ok(outcome),
        }
    }

    /// What tells whether the thread's step has happened: its own record, which only its steps write, or its Future's
    /// if it has stopped. The other records may have been written again by those whom they are for.
    fn witness(&self, thread: ThreadId) -> Key {
        let goes_on = |record: &Record| matches!(record, Record::Live(live, _) if *live == thread);
        if self.commit.put.iter().any(goes_on) { Key::Live(thread) } else { Key::Future(thread.into()) }
    }

    /// A step that goes on for long is not written down at each turn's end, unless it has gathered much. Someone may wait
    /// for the little that it has.
    fn may_pause(&self, since: Timestamp) -> bool {
        let has_gathered = !self.commit.fresh.is_empty() || !self.commit.log.is_empty();
        let at_most = if has_gathered { GATHERED_TIME_MAX } else { STEP_TIME_MAX };
        self.session.is_resumable()
            && !self.session.suspends()
            && self.commit.fresh.len() <= PAUSED_FRESH_MAX
            && self.commit.log.len() <= PAUSED_LOG_MAX
            && self.session.now().since(since) < at_most
    }

    fn pause(&mut self, loaded: Loaded, live: Box<Live>, since: Timestamp) -> Pace {
        let thread = loaded.thread;
        let (fresh, log) = (mem::take(&mut self.commit.fresh), mem::take(&mut self.commit.log));
        let paused = Paused { loaded, live, fresh, log, shown: self.shown, since };
        self.session.busy.pause(thread, Box::new(paused));
        // This hint is carried out, and has led to one more.
        self.seat.invoke(&[thread]);
        Pace::Paused
    }

    /// The thread has stopped, or was never there. In a storage that others write to, that may be because the session is
    /// over.
    fn not_live(&mut self, thread: ThreadId) -> Result<Pace, StorageError> {
        if self.session.is_resumable() {
            self.session.forget_wake(thread, &mut self.commit)?;
            let [session] = self.read([Key::Session])?;
            if let Some(Versioned { record: Record::Session(session), .. }) = session {
                self.session.set_ended(session.state);
            }
        }
        Ok(self.nothing_to_do())
    }

    /// Tells the supervisor that these hints are carried out.
    fn settle(&self, thread: ThreadId, count: u64) {
        self.session.given.settle(thread, count);
        if let Some(upstream) = self.session.upstream() {
            upstream.tell(self.session.id(), Told::Settled(thread, count));
        }
    }

    /// The hint led to nothing: the thread has stopped, or another worker has it, who will see what it was for.
    fn nothing_to_do(&mut self) -> Pace {
        self.done += 1;
        Pace::Short
    }

    /// Reads what a step begins with.
    fn load(&mut self, thread: ThreadId) -> Result<Option<(Loaded, Box<Live>)>, StorageError> {
        let mut loaded = Loaded {
            thread,
            live: None,
            ready: None,
            own: None,
            heard: Vec::new(),
            found_done: None,
            first: None,
            is_resumable: self.session.is_resumable(),
        };
        if thread == step::FIRST {
            let about = self.session.about().clone();
            loaded.first = Some(First { about, session: None, is_alone: false });
            if let Some(live) = self.session.take_unwritten() {
                self.session.log_start(&mut self.commit);
                return Ok(Some((loaded, live)));
            }
        }
        let [live, ready, own] = self.read([Key::Live(thread), Key::Ready(thread), Key::Future(thread.into())])?;
        let Some(Versioned { stamp, record: Record::Live(_, content) }) = live else { return Ok(None) };
        loaded.live = Some(stamp);
        loaded.ready = ready.map(|ready| ready.stamp);
        loaded.own = known(own);
        Ok(self.load_session(&mut loaded)?.then_some((loaded, content)))
    }

    /// Reads again what may have changed. Answers whether the thread is still this worker's.
    fn reload(&mut self, loaded: &mut Loaded) -> Result<bool, StorageError> {
        let thread = loaded.thread;
        let [live, ready, own] = self.read([Key::Live(thread), Key::Ready(thread), Key::Future(thread.into())])?;
        loaded.ready = ready.map(|ready| ready.stamp);
        loaded.own = known(own);
        if !self.load_session(loaded)? {
            return Ok(false);
        }
        let begins = |first: &First| first.session.is_none();
        Ok(match loaded.live {
            Some(stamp) => live.is_some_and(|live| live.stamp == stamp),
            // With this step the session begins, if it has not.
            None => loaded.first.as_ref().is_some_and(begins),
        })
    }

    /// Reads the version of the session's record, for its first thread, which writes it. Answers whether the session
    /// goes on: one that was cancelled must not be made to run again.
    fn load_session(&mut self, loaded: &mut Loaded) -> Result<bool, StorageError> {
        let Some(first) = &mut loaded.first else { return Ok(true) };
        let mut found = Vec::with_capacity(1);
        self.session.records().read(&[Key::Session], &mut found)?;
        let Some(Versioned { stamp, record: Record::Session(session) }) = found.pop().flatten() else {
            first.session = None;
            return Ok(true);
        };
        first.session = Some(stamp);
        self.session.set_ended(session.state);
        Ok(!session.state.is_over())
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
        let was_lost = self.session.orphans.take(loaded.thread);
        let next = match &mut live.status {
            Status::Runnable if matches!(live.state, State::Absent) => return Ok(None),
            Status::Runnable => Next::Run,
            Status::Waiting(awaited) => {
                let awaited = awaited.clone();
                unless_entered(self.consult(loaded, live, awaited)?, loaded.thread)
            }
            Status::Following(awaited) => {
                let awaited = awaited.clone();
                unless_entered(self.follow(loaded, live, awaited)?, loaded.thread)
            }
            Status::Sleeping(until) if self.session.now() < *until => Next::End(Ending::Stays),
            Status::Sleeping(_) => {
                self.log(loaded.thread, Event::Resumed);
                live.status = Status::Runnable;
                Next::Run
            }
            Status::Calling(number) => match self.session.calls.take(loaded.thread, *number) {
                CallState::Over(printed, answer) => self.take_answer(loaded, live, printed, answer),
                CallState::UnderWay => Next::End(Ending::Stays),
                CallState::Unknown => self.call_again(loaded, live, was_lost),
            },
        };
        Ok(Some(if was_lost && matches!(next, Next::Run) { self.count_loss(loaded, live) } else { next }))
    }

    /// What the thread is about to do may be what its worker was lost by. Before it is tried again, it is written down how
    /// often it was.
    fn count_loss(&mut self, loaded: &Loaded, live: &mut Live) -> Next {
        live.losses += 1;
        let max_tries = self.session.options().max_tries;
        if live.losses < max_tries {
            return Next::Count;
        }
        live.losses = 0;
        let message = format!("the thread was given up: the worker that ran it was lost {max_tries} times");
        let failure = Failure::at_root(Error::new("worker_lost", message), loaded.thread);
        Next::End(Ending::Failed(Arc::new(failure)))
    }

    /// The foreign call is over.
    fn take_answer(&mut self, loaded: &Loaded, live: &mut Live, printed: Vec<OutputItem>, answer: Answered) -> Next {
        self.shown = printed.len();
        self.commit.log.extend(printed.into_iter().map(LogEntry::of_output));
        self.log(loaded.thread, Event::Returned);
        live.losses = 0;
        match answer {
            Ok(value) => {
                live.call = None;
                self.resume(live, value)
            }
            Err(error) => self.raise(live, &Failure::at_root(error, loaded.thread), loaded.thread),
        }
    }

    /// What a thread does in the session's history, if there is one.
    fn log(&mut self, thread: ThreadId, event: Event) {
        if self.session.is_resumable() {
            self.commit.log.push(LogEntry { time: self.session.now(), thread, event });
        }
    }

    /// Decides again what was decided on grounds that have changed.
    fn reconsider(&mut self, loaded: &mut Loaded, live: &mut Live, ending: Ending) -> Result<Next, StorageError> {
        match ending {
            Ending::Waits(awaited, _) => self.consult(loaded, live, awaited),
            Ending::Follows(awaited, _) => self.follow(loaded, live, awaited),
            other => Ok(Next::End(other)),
        }
    }

    /// What a thread does that needs this Future's value.
    fn consult(&mut self, loaded: &mut Loaded, live: &mut Live, awaited: Awaited) -> Result<Next, StorageError> {
        let known = self.look_at(&awaited)?;
        note_done(loaded, live, &awaited, known.as_ref());
        match known.as_ref().map(|known| &known.record) {
            Some(FutureRecord::Resolved(value)) => {
                if matches!(live.status, Status::Waiting(_)) {
                    self.log(loaded.thread, Event::Resumed);
                }
                Ok(self.resume(live, value.clone()))
            }
            Some(FutureRecord::Failed(failure)) => {
                self.hear(loaded, &awaited);
                Ok(self.raise(live, failure, loaded.thread))
            }
            _ => Ok(Next::End(Ending::Waits(awaited, known))),
        }
    }

    /// What a thread does that came to its end with this Future.
    fn follow(&mut self, loaded: &mut Loaded, live: &Live, awaited: Awaited) -> Result<Next, StorageError> {
        let known = self.look_at(&awaited)?;
        note_done(loaded, live, &awaited, known.as_ref());
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
            // A thread that is about to be started: nothing can be known of its Future.
            Awaited::Thread(future) if step::starts(&self.commit, ThreadId(*future)) => Ok(None),
            _ => {
                let [future] = self.read([Key::Future(awaited.into())])?;
                Ok(known(future))
            }
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

/// A thread that waits, and is among those who are known to wait, was looked at too early.
fn unless_entered(next: Next, thread: ThreadId) -> Next {
    match &next {
        Next::End(Ending::Waits(_, Some(known)) | Ending::Follows(_, Some(known)))
            if known.record.has_waiter(thread) =>
        {
            Next::End(Ending::Stays)
        }
        _ => next,
    }
}

/// A thread may find that what it waits for is done before anyone has woken it.
fn note_done(loaded: &mut Loaded, live: &Live, awaited: &Awaited, known: Option<&Known>) {
    let waited = matches!(live.status, Status::Waiting(_) | Status::Following(_));
    if waited && loaded.ready.is_none() && known.is_some_and(|known| !known.record.is_pending()) {
        loaded.found_done = Some(awaited.into());
    }
}

fn known(versioned: Option<Versioned>) -> Option<Known> {
    match versioned {
        Some(Versioned { stamp, record: Record::Future(_, record) }) => Some(Known { stamp, record }),
        _ => None,
    }
}
