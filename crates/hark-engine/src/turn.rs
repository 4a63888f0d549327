//! A turn of a thread: a worker loads it, runs it, decides its step, commits the step, and then acts on it.

mod act;
mod batch;
mod cancel;
mod decide;
mod gates;
mod leases;
mod load;
mod places;
mod run;
mod scratch;
mod waits;
mod waking;

use std::mem;
use std::sync::Arc;

use tracing::{debug, warn};

use crate::calls::CallPlace;
use crate::commit::{Commit, Gathered, Outcome, Renewal};
use crate::foreign::Call;
use crate::history::LogEntry;
use crate::id::{Stamps, ThreadId};
use crate::invoker::{Runner, WorkerSlot};
use crate::limits::{
    DURABLE_THREADS_AT_A_TIME, GATHERED_TIME_MAX, PAUSED_FRESH_MAX, PAUSED_LOG_MAX, PAUSED_OUTPUT_MAX, STEP_TIME_MAX,
    THREADS_AT_A_TIME,
};
use crate::record::{Key, Live, Record, Status, Versioned};
use crate::remote::{Supervised, WorkerReport};
use crate::session::{Paused, Session, TurnEnd, TurnStart};
use crate::step::{self, Ending, Loaded, Plan};
use crate::storage::StorageError;
use crate::surroundings::Timestamp;
use batch::Batch;
use scratch::Scratch;
pub(crate) use waits::AnsweredWait;

/// A worker of a session. It reuses its memory from turn to turn.
pub(crate) struct Worker<'a> {
    session: &'a Session,
    slot: &'a mut dyn WorkerSlot,
    commit: Commit,
    plan: Plan,
    stamps: Stamps<'a>,
    found: Vec<Option<Versioned>>,
    /// Empty data, from a turn that is over.
    spare: Option<Box<Loaded>>,
    /// The number of hints that are done and not yet subtracted from the session's pending work.
    done: u64,
    /// How often the thread was given a value that it awaited within this turn.
    awaits: u32,
    /// The foreign call that the thread's step begins.
    call: Option<Box<Begun>>,
    /// The number of log entries of the commit that have been shown.
    shown: usize,
    /// The step only counts the loss of the thread's worker; the thread runs right after it.
    counts_loss: bool,
    /// Steps to be committed together.
    batch: Batch,
}

/// A decided step that is not yet committed.
struct Decided {
    loaded: Box<Loaded>,
    ending: Ending,
    gathered: Gathered,
}

/// A foreign call to be made once its step is committed.
struct Begun {
    call: Call,
    /// The call's share of the calls in flight.
    place: Option<CallPlace>,
}

/// The result of a commit.
enum Concluded {
    /// The turn is over.
    Over(Pace),
    /// The step must be decided again, because something has changed since it was loaded.
    Again(Box<Loaded>, Box<Live>, Next),
}

/// What to do with a loaded thread.
enum Next {
    /// It runs.
    Run,
    /// The loss of its worker is written first.
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
    /// Its thread has begun a foreign call, which must still be made.
    Called(Box<Begun>),
    /// It used all of its fuel, and its thread stays in memory.
    Paused,
    /// Its step is in the batch.
    Batched,
    /// The loss of its worker is written. It must run now.
    Counted,
}

impl Runner for Session {
    fn run(&self, threads: &[ThreadId], slot: &mut dyn WorkerSlot) -> usize {
        Worker::new(self, slot).run(threads)
    }

    fn threads_at_a_time(&self) -> usize {
        if self.is_resumable() { DURABLE_THREADS_AT_A_TIME } else { THREADS_AT_A_TIME }
    }

    fn has_priorities(&self) -> bool {
        self.program().has_priorities()
    }

    fn priority(&self, thread: ThreadId) -> i32 {
        self.demands.priority(thread)
    }

    fn supervised(self: Arc<Self>) -> Option<Arc<dyn Supervised>> {
        Some(self)
    }
}

impl<'a> Worker<'a> {
    pub fn new(session: &'a Session, slot: &'a mut dyn WorkerSlot) -> Worker<'a> {
        let Scratch { commit, plan, found, loaded } = Scratch::take();
        Worker {
            session,
            slot,
            commit,
            plan,
            stamps: session.stamps(),
            found,
            spare: loaded,
            done: 0,
            awaits: 0,
            call: None,
            shown: 0,
            counts_loss: false,
            batch: Batch::default(),
        }
    }

    /// Gives each of these threads a turn; returns how many had one.
    pub fn run(mut self, threads: &[ThreadId]) -> usize {
        let mut count = 0;
        for &thread in threads {
            if self.session.is_over() {
                count = threads.len();
                break;
            }
            count += 1;
            self.batch.is_open = count < threads.len() || !self.batch.is_empty();
            match self.turns(thread, count == threads.len()) {
                Ok(true) => {}
                // The other threads should not wait for more long turns if another worker is free.
                Ok(false) => break,
                Err(error) => self.session.fail_storage(&error),
            }
            if self.batch.is_due(self.session) {
                self.commit_batch();
            }
        }
        self.commit_batch();
        if self.done > 0 {
            self.session.finish_work(self.done);
        }
        let Worker { commit, plan, found, spare, .. } = self;
        Scratch { commit, plan, found, loaded: spare }.keep();
        count
    }

    /// Gives a thread a turn, and further turns while this worker makes the thread's calls itself, which is fastest if
    /// there is nothing else to do. Returns whether all turns were short.
    fn turns(&mut self, thread: ThreadId, is_last: bool) -> Result<bool, StorageError> {
        loop {
            match self.turn(thread)? {
                Pace::Short => return Ok(true),
                Pace::Batched => return Ok(!self.batch.ends_with_long_turn()),
                Pace::Long | Pace::Paused | Pace::Counted => return Ok(false),
                // Where threads are leased, a call may be withdrawn, so no worker may block on it.
                Pace::Called(begun) if is_last && !self.session.is_leased() && self.slot.begin_blocking() => {
                    self.session.call_blocking(begun.call, begun.place);
                    self.slot.end_blocking();
                }
                Pace::Called(begun) => {
                    self.session.call(begun.call, begun.place);
                    return Ok(true);
                }
            }
        }
    }

    /// Gives a thread a turn, unless another worker has it.
    fn turn(&mut self, thread: ThreadId) -> Result<Pace, StorageError> {
        if !self.session.is_resumable() {
            return self.whole_turn(thread, None);
        }
        let (start, hints) = if self.session.is_supervised() {
            self.session.in_hand.begin_supervised_turn(thread)
        } else {
            (self.session.in_hand.begin_turn(thread), 0)
        };
        let paused = match start {
            TurnStart::Load => None,
            TurnStart::Resume(paused) => Some(paused),
            // The hint counts until that turn, because otherwise the session would look idle in between.
            TurnStart::Deferred => return Ok(Pace::Short),
            TurnStart::Covered => return Ok(self.nothing_to_do()),
        };
        let mut pace = self.whole_turn(thread, paused);
        // Nothing may come in between: if the next worker were lost because of another thread, this thread's loss would have
        // been counted wrongly. While one loss is counted, the thread may be taken from this process once more.
        while matches!(pace, Ok(Pace::Counted)) {
            pace = self.whole_turn(thread, None);
        }
        match pace {
            Ok(Pace::Paused) => return pace,
            Ok(Pace::Batched) => self.batch.note_hints(hints),
            _ => self.end_turn(thread, hints, &pace),
        }
        pace
    }

    /// Releases a thread after a turn that settles this many hints of the supervisor.
    fn end_turn(&mut self, thread: ThreadId, hints: u64, pace: &Result<Pace, StorageError>) {
        let settled = if matches!(pace, Ok(Pace::Short)) { hints } else { 0 };
        match self.session.in_hand.end_turn(thread, settled) {
            TurnEnd::Again => self.slot.invoke(&[thread]),
            TurnEnd::Settled => self.report_settled(thread, settled),
            TurnEnd::Idle => {}
        }
    }

    fn whole_turn(&mut self, thread: ThreadId, paused: Option<Box<Paused>>) -> Result<Pace, StorageError> {
        self.begin_turn();
        if let Some(paused) = paused {
            let Paused { loaded, live, fresh, log, shown, since } = *paused;
            (self.commit.fresh, self.commit.log, self.shown) = (fresh, log, shown);
            return self.go_on(loaded, live, Next::Run, since);
        }
        let Some((mut loaded, mut live)) = self.load(thread)? else { return self.not_live(thread) };
        if self.session.has_places() {
            self.session.demands.note_loaded(thread, &live);
        }
        if self.session.is_leased() {
            self.give_up_old_call(&loaded, &live)?;
            if self.is_anothers(&loaded, &live) {
                return Ok(self.nothing_to_do());
            }
            if self.is_too_large(&loaded, &live) {
                self.hand_on(thread, &live);
                return Ok(self.nothing_to_do());
            }
        }
        if live.losses > 0 {
            // This thread may kill its worker, and the steps of others must not be lost with it.
            self.commit_batch();
            self.begin_turn();
        }
        let stops = live.stops;
        let Some(next) = self.enter(&mut loaded, &mut live)? else { return Ok(self.nothing_to_do()) };
        // A wake during a call has no effect before the call's result, whose step empties the mailbox. Until then only
        // the call's output changes the thread's record.
        let has_nothing_new = loaded.ready.is_none() && live.stops == stops
            || loaded.lacks_place
            || matches!(live.status, Status::Calling(_));
        // A thread that was taken without need must be released.
        let is_let_go = self.session.is_leased()
            && !matches!(live.status, Status::Calling(_))
            && self.session.in_hand.holds(loaded.thread, loaded.live);
        if matches!(next, Next::End(Ending::Stays)) && has_nothing_new && self.session.is_resumable() && !is_let_go {
            // The stored record is up to date, and the mailbox is empty.
            if let Some(until) = live.status.time().filter(|_| !loaded.lacks_place) {
                self.note_time(loaded.thread, until);
            }
            if loaded.ready.is_some() && matches!(live.status, Status::Calling(_)) {
                // The wake may mean that the session is over; the next check would come only after the call.
                self.session.look_closed()?;
            }
            self.leave_if_overtaken(&loaded)?;
            return Ok(self.nothing_to_do());
        }
        let since = if self.session.is_resumable() { self.session.steady_now() } else { Timestamp(0) };
        self.go_on(loaded, live, next, since)
    }

    fn begin_turn(&mut self) {
        self.commit.reset(self.stamps.next());
        self.awaits = 0;
        self.call = None;
        self.shown = 0;
        self.counts_loss = false;
    }

    /// Runs a thread until its step can be committed, and commits it, unless it is put into the batch.
    fn go_on(
        &mut self,
        mut loaded: Box<Loaded>,
        mut live: Box<Live>,
        mut next: Next,
        since: Timestamp,
    ) -> Result<Pace, StorageError> {
        loop {
            let ending = match next {
                Next::Run => {
                    next = self.run_thread(&mut loaded, &mut live)?;
                    continue;
                }
                Next::End(ending) => ending,
                Next::Count => {
                    self.counts_loss = true;
                    Ending::Yielded
                }
            };
            if self.session.is_over() {
                self.leave_if_overtaken(&loaded)?;
                return Ok(Pace::Short);
            }
            if matches!(ending, Ending::Yielded)
                && !self.counts_loss
                && self.has_room(&loaded)
                && loaded.cancels.is_none()
                && self.may_pause(since)
                && !Self::gives_back(&loaded, &live)
                && !self.has_news(&loaded)?
            {
                return Ok(self.pause(loaded, live, since));
            }
            if let Some(first) = &mut loaded.first
                && matches!(ending, Ending::Finished(_) | Ending::Failed(_))
            {
                first.is_alone = self.session.has_one_thread(loaded.live)?;
            }
            self.leave_rest(&mut loaded, &ending)?;
            Self::note_given_back(&mut loaded, &live, &ending);
            let gathered = self.commit.gathered();
            if live.calls == 0 && !matches!(ending, Ending::Calls(_)) {
                self.session.note_step(since);
            }
            self.note_demand(&mut live, &ending);
            step::step(&loaded, &ending, live, self.session.now(), &mut self.commit, &mut self.plan);
            self.share(Some(loaded.thread));
            let mut decided = Decided { loaded, ending, gathered };
            if self.batch.is_open && !self.counts_loss && self.session.is_resumable() {
                return Ok(self.put_in_batch(decided, since));
            }
            let outcome = self.make_commit(&mut decided.loaded)?;
            match self.conclude(decided, outcome)? {
                Concluded::Over(pace) => return Ok(pace),
                Concluded::Again(was_loaded, was_live, then) => (loaded, live, next) = (was_loaded, was_live, then),
            }
        }
    }

    /// Carries out the actions after a commit, or decides the step again.
    fn conclude(&mut self, decided: Decided, outcome: Outcome) -> Result<Concluded, StorageError> {
        let Decided { mut loaded, ending, gathered } = decided;
        debug!(session = %self.session.id(), thread = loaded.thread.0, ?outcome, "a step is committed");
        if outcome == Outcome::Done {
            for token in mem::take(&mut loaded.given_back) {
                self.session.leave_gate(loaded.thread, &token)?;
            }
            let pace = self.act(loaded.thread, &ending);
            loaded.clear();
            self.spare = Some(loaded);
            return pace.map(Concluded::Over);
        }
        let mut live = self.commit.take_back(gathered).unwrap_or_else(|| Live::without_state(Status::Runnable));
        if !self.reload(&mut loaded)? {
            if let Some(stamp) = loaded.live {
                self.session.in_hand.let_go_of(loaded.thread, stamp);
            }
            self.leave_if_overtaken(&loaded)?;
            if self.session.in_hand.holds_any(loaded.thread) {
                // This process stalled for longer than a lease, took the thread again, and gave a hint while this turn
                // was under way. This hint is passed on for it.
                self.slot.invoke(&[loaded.thread]);
                return Ok(Concluded::Over(Pace::Short));
            }
            return Ok(Concluded::Over(self.nothing_to_do()));
        }
        let next = self.reconsider(&mut loaded, &mut live, ending)?;
        Ok(Concluded::Again(loaded, live, next))
    }

    /// Makes the step's commit. If that may take long, another worker takes this one's place.
    fn make_commit(&mut self, loaded: &mut Loaded) -> Result<Outcome, StorageError> {
        if !self.session.is_resumable() {
            return self.session.commit(&mut self.commit, 0);
        }
        self.slot.step_aside();
        let outcome = self.session.commit(&mut self.commit, self.shown);
        self.slot.step_back();
        match outcome? {
            Outcome::Unknown => self.settle_unknown(loaded),
            outcome => Ok(outcome),
        }
    }

    /// Finds out whether a commit whose answer was lost has happened: it is made again. If that conflicts, the first
    /// request may still be carried out later, once the conflicting state is gone. So the thread's record gets another
    /// version, which the request does not expect, before the step is decided again.
    fn settle_unknown(&mut self, loaded: &mut Loaded) -> Result<Outcome, StorageError> {
        let (session, thread) = (self.session, loaded.thread);
        warn!(session = %session.id(), thread = thread.0, "the answer of a commit was lost");
        let witness = self.witness(thread);
        let mut is_done = self.commit.make_known(session.records(), &witness)?
            || self.commit.has_happened(session.records(), witness.clone())?;
        if let Some(stamp) = loaded.live.filter(|_| !is_done) {
            let mut fence = Commit::of_server(self.stamps.next());
            fence.expect.push((Key::Live(thread), Some(stamp)));
            fence.renew = Some(Renewal { thread, progress: None });
            if fence.make_known(session.records(), &Key::Live(thread))? {
                loaded.live = Some(fence.stamp);
                session.in_hand.note_version(thread, stamp, fence.stamp);
            } else {
                is_done = self.commit.has_happened(session.records(), witness)?;
            }
        }
        Ok(if is_done { Outcome::Done } else { Outcome::Conflict })
    }

    /// The record that shows whether the thread's step has happened: its own, which only its steps write, or its
    /// Future's if it has stopped. Other records may since have been rewritten by others.
    fn witness(&self, thread: ThreadId) -> Key {
        let goes_on = |record: &Record| matches!(record, Record::Live(live, _) if *live == thread);
        if self.commit.put.iter().any(goes_on) { Key::Live(thread) } else { Key::Future(thread.into()) }
    }

    /// A step that continues for long is not saved at the end of each turn, unless it has gathered much. It is saved
    /// sooner if it has gathered anything, because somebody may wait for it.
    fn may_pause(&self, since: Timestamp) -> bool {
        let has_gathered = !self.commit.fresh.is_empty() || !self.commit.log.is_empty();
        let at_most = if has_gathered { GATHERED_TIME_MAX } else { STEP_TIME_MAX };
        let now = self.session.steady_now();
        self.session.is_resumable()
            && !self.session.suspends()
            && !self.session.is_winding_down()
            && self.commit.fresh.len() <= PAUSED_FRESH_MAX
            && self.commit.log.len() <= PAUSED_LOG_MAX
            && self.commit.log.iter().map(LogEntry::printed_bytes).sum::<usize>() <= PAUSED_OUTPUT_MAX
            && now.since(since) < at_most
    }

    /// Whether the thread has a new mailbox entry since it was loaded, if it is time to check.
    fn has_news(&mut self, loaded: &Loaded) -> Result<bool, StorageError> {
        if !self.session.in_hand.is_time_to_look(loaded.thread, self.session.steady_now()) {
            return Ok(false);
        }
        let [ready] = self.read([Key::Ready(loaded.thread)])?;
        Ok(ready.is_some_and(|ready| loaded.ready != Some(ready.stamp)))
    }

    fn pause(&mut self, loaded: Box<Loaded>, live: Box<Live>, since: Timestamp) -> Pace {
        let thread = loaded.thread;
        let (fresh, log) = (mem::take(&mut self.commit.fresh), mem::take(&mut self.commit.log));
        let paused = Paused { loaded, live, fresh, log, shown: self.shown, since };
        self.session.in_hand.pause(thread, Box::new(paused));
        // This hint is done, and leads to another one.
        self.slot.invoke(&[thread]);
        Pace::Paused
    }

    /// Reports to the supervisor that these hints are settled.
    fn report_settled(&self, thread: ThreadId, count: u64) {
        // If the session is over here, the supervisor knows, and may already have begun to count again.
        if let Some(upstream) = self.session.upstream().filter(|_| !self.session.is_over()) {
            upstream.report(self.session.id(), WorkerReport::Settled(thread, count));
        }
    }

    /// The hint has no effect: the thread has stopped, or another worker has it and will see the reason for the hint.
    fn nothing_to_do(&mut self) -> Pace {
        self.done += 1;
        Pace::Short
    }
}
