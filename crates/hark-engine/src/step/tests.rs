//! Races and chains, played step by step on the memory storage. Whatever is decided by `step` alone is seen here
//! without a machine: what a run came to is made up.

use hark_machine::{Error, Thread, Until};

use super::*;
use crate::commit::Outcome;
use crate::conformance::sample::{about, program};
use crate::id::{SessionId, Stamps};
use crate::leases::Terms;
use crate::place::{Pool, Pools};
use crate::record::{Due, Interest, Record, Started, State, Versioned, Waiter, Waiters};
use crate::storage::{Range, SessionStorage, Storage};
use crate::{MemoryStorage, Timestamp};

/// A session's storage, with threads whose steps the tests make.
struct World {
    records: Arc<dyn SessionStorage>,
    stamps: Stamps<'static>,
}

/// A thread that a worker has loaded.
struct LoadedThread {
    loaded: Loaded,
    live: Box<Live>,
    commit: Commit,
}

impl World {
    /// Creates a session with this number of runnable threads.
    fn new(threads: u64) -> World {
        let records = MemoryStorage::default().session(&SessionId::new(Timestamp(0), 0), &program()).unwrap();
        let mut world = World { records, stamps: Stamps::of_seed(1) };
        let mut commit = Commit::new(world.stamps.next());
        start(&about(), new_live(), &mut commit);
        world.records.reserve(threads).unwrap();
        commit.fresh.extend((1..threads).map(|number| Record::Live(ThreadId(number), new_live())));
        assert_eq!(world.records.commit(&mut commit), Ok(Outcome::Done));
        world
    }

    fn read(&self, key: Key) -> Option<Versioned> {
        let mut found = Vec::new();
        self.records.read(&[key], &mut found).unwrap();
        found.pop().unwrap()
    }

    fn future(&self, thread: u64) -> Option<Known> {
        match self.read(Key::Future(ThreadId(thread).into())) {
            Some(Versioned { stamp, record: Record::Future(_, record) }) => Some(Known { stamp, record }),
            _ => None,
        }
    }

    fn is_live(&self, thread: u64) -> bool {
        let live = self.records.scan(Range::Live(ThreadId(thread)), 1).unwrap();
        live.first().is_some_and(|record| record.key() == Key::Live(ThreadId(thread)))
    }

    fn is_ready(&self, thread: u64) -> bool {
        self.read(Key::Ready(ThreadId(thread))).is_some()
    }

    fn load(&mut self, thread: u64) -> LoadedThread {
        let id = ThreadId(thread);
        let Some(Versioned { stamp, record: Record::Live(_, live) }) = self.read(Key::Live(id)) else {
            panic!("thread {thread} is not live");
        };
        let ready = self.read(Key::Ready(id)).map(|ready| ready.stamp);
        let first = (thread == 0).then(|| {
            let session = self.read(Key::Session).and_then(|found| match found.record {
                Record::Session(session) => Some((found.stamp, *session)),
                _ => None,
            });
            Box::new(First { about: about(), session, is_remembered: false, is_alone: false })
        });
        let own = self.future(thread);
        let is_cancelled = ready.is_some() && self.read(Key::Cancel(id)).is_some();
        let loaded = Loaded { live: Some(stamp), ready, own, is_cancelled, first, ..Loaded::nothing(id, false) };
        LoadedThread { loaded, live, commit: Commit::new(self.stamps.next()) }
    }

    fn commit(&mut self, held: LoadedThread, ending: &Ending) -> Result<Plan, Box<LoadedThread>> {
        let LoadedThread { loaded, live, mut commit } = held;
        let mut plan = Plan::default();
        let gathered = commit.gathered();
        step(&loaded, ending, live, Timestamp(1), &mut commit, &mut plan);
        assert!(commit.expect.len() + commit.put.len() + commit.delete.len() <= 32, "{commit:?}");
        match self.records.commit(&mut commit).unwrap() {
            Outcome::Done => Ok(plan),
            _ => {
                let live = commit.take_back(gathered).unwrap_or_else(new_live);
                Err(Box::new(LoadedThread { loaded, live, commit }))
            }
        }
    }

    /// Makes a step without interference.
    fn step(&mut self, thread: u64, ending: &Ending) -> Plan {
        let held = self.load(thread);
        self.commit(held, ending).ok().expect("nothing interferes with this step")
    }

    fn waits(&mut self, thread: u64, future: u64) -> Plan {
        let ending = self.waiting(future);
        self.step(thread, &ending)
    }

    fn waiting(&self, future: u64) -> Ending {
        Ending::Waits(Awaited::Thread(future), self.future(future))
    }

    /// Makes a step that changes the thread's relation to Futures, and then waits for them or continues.
    fn touches(&mut self, thread: u64, futures: &[(u64, Wanted)], ending: &Ending) -> Plan {
        let mut held = self.load(thread);
        for (future, wanted) in futures {
            let touch = Touch { known: self.future(*future), wanted: *wanted, is_new: false, has_record: false };
            held.loaded.touches.insert(ThreadId(*future).into(), touch);
        }
        self.commit(held, ending).ok().expect("nothing interferes with this step")
    }

    fn unawaited(&self) -> Vec<Key> {
        self.records.scan(Range::Unawaited, 9).unwrap().iter().map(Record::key).collect()
    }

    fn following(&self, future: u64) -> Ending {
        Ending::Follows(Awaited::Thread(future), self.future(future))
    }
}

fn new_live() -> Box<Live> {
    Live::new(Thread::new(Value::Null, Vec::new()))
}

fn finished(value: i64) -> Ending {
    Ending::Finished(Value::Integer(value))
}

fn failed(thread: u64) -> Ending {
    Ending::Failed(Arc::new(Failure::new(Error::new("error", "x"), ThreadId(thread), Timestamp(1))))
}

fn ids(numbers: &[u64]) -> Vec<ThreadId> {
    numbers.iter().copied().map(ThreadId).collect()
}

#[track_caller]
fn assert_value(known: Option<Known>, expected: i64) {
    match known.map(|known| known.record) {
        Some(FutureRecord::Resolved(Value::Integer(value))) => assert_eq!(value, expected),
        other => panic!("not resolved: {other:?}"),
    }
}

#[test]
fn a_resolver_wakes_who_waits() {
    let mut world = World::new(2);
    assert_eq!(world.waits(0, 1).invoke, ids(&[]));
    let plan = world.step(1, &finished(7));
    assert_eq!(plan.invoke, ids(&[0]));
    assert!(!plan.look_for_end, "the woken thread will look");
    assert!(world.is_ready(0) && !world.is_live(1));
    assert_value(world.future(1), 7);
    let plan = world.step(0, &finished(8));
    assert!(plan.look_for_end);
    assert!(!world.is_ready(0) && !world.is_live(0));
}

#[test]
fn a_waiter_that_loses_the_race_sees_the_value() {
    let mut world = World::new(2);
    let waiter = world.load(0);
    let waiting = world.waiting(1);
    let plan = world.step(1, &finished(7));
    assert!(plan.look_for_end && plan.invoke.is_empty(), "the resolver does not know of the waiter");
    let waiter = world.commit(waiter, &waiting).expect_err("the Future has changed");
    assert_value(world.future(1), 7);
    assert!(world.commit(*waiter, &finished(8)).is_ok());
}

#[test]
fn a_resolver_that_loses_the_race_sees_the_waiter() {
    let mut world = World::new(2);
    let resolver = world.load(1);
    world.waits(0, 1);
    let mut resolver = world.commit(resolver, &finished(7)).expect_err("the Future has changed");
    resolver.loaded.own = world.future(1);
    let plan = world.commit(*resolver, &finished(7)).ok().expect("nothing else has changed");
    assert_eq!(plan.invoke, ids(&[0]));
}

#[test]
fn a_wake_during_the_run_that_it_wakes_is_not_lost() {
    let mut world = World::new(3);
    world.waits(0, 1);
    // A worker loads thread 0 too early. While it holds the thread, the Future is resolved.
    let mut held = world.load(0);
    assert!(matches!(held.live.status, Status::Waiting(Awaited::Thread(1))));
    let plan = world.step(1, &finished(7));
    assert_eq!(plan.invoke, ids(&[0]));
    // The worker that follows the hint does not find the thread's state.
    let hinted = world.load(0);
    assert!(matches!(hinted.live.state, State::Away));
    held = *world.commit(held, &Ending::Stays).expect_err("the mailbox is not empty");
    held.loaded.ready = world.read(Key::Ready(ThreadId(0))).map(|ready| ready.stamp);
    assert!(held.loaded.ready.is_some());
    assert!(world.commit(held, &finished(8)).is_ok());
    assert!(!world.is_live(0) && !world.is_ready(0));
}

#[test]
fn an_overtaken_worker_cannot_commit() {
    let mut world = World::new(1);
    let slow = world.load(0);
    let mut fast = world.load(0);
    fast.live = new_live();
    assert!(world.commit(fast, &Ending::Yielded).is_ok());
    assert!(world.commit(slow, &finished(1)).is_err());
    assert!(world.future(0).is_none());
}

#[test]
fn what_conflicts_keeps_the_thread_and_what_it_gathered() {
    let mut world = World::new(2);
    let mut held = world.load(0);
    held.commit.fresh.push(Record::Live(ThreadId(2), new_live()));
    let waiting = world.waiting(1);
    world.step(1, &finished(7));
    let held = world.commit(held, &waiting).expect_err("the Future has changed");
    assert!(matches!(held.live.state, State::Present(_)));
    assert!(!world.is_live(2));
    let plan = world.commit(*held, &Ending::Yielded).ok().expect("nothing else has changed");
    assert_eq!(plan.invoke, ids(&[2, 0]));
    assert!(world.is_live(2));
}

#[test]
fn a_child_that_is_awaited_at_once_is_written_with_its_waiter() {
    let mut world = World::new(1);
    let mut held = world.load(0);
    for number in [1, 2] {
        held.commit.fresh.push(Record::Live(ThreadId(number), new_live()));
    }
    let plan = world.commit(held, &Ending::Waits(Awaited::Thread(2), None)).ok().expect("nothing has changed");
    assert_eq!(plan.invoke, ids(&[1, 2]));
    assert_eq!(world.step(1, &finished(1)).invoke, ids(&[]));
    assert_eq!(world.step(2, &finished(2)).invoke, ids(&[0]));
}

#[test]
fn many_may_wait_for_one_future() {
    const WAITERS: u64 = 1_000;
    let mut world = World::new(WAITERS + 1);
    for waiter in 0..WAITERS {
        let plan = world.waits(waiter, WAITERS);
        assert_eq!(!plan.look_again.is_empty(), waiter >= 16, "{waiter}");
    }
    let plan = world.step(WAITERS, &finished(7));
    assert!(plan.wake_rest);
    assert!(world.read(Key::Todo(ThreadId(WAITERS).into())).is_some());
    let mut woken = plan.invoke;
    while !wake_some(&mut world, WAITERS, &mut woken) {}
    woken.sort_unstable();
    assert_eq!(woken, (0..WAITERS).map(ThreadId).collect::<Vec<_>>());
    assert!((0..WAITERS).all(|waiter| world.is_ready(waiter)));
    assert!(world.read(Key::Todo(ThreadId(WAITERS).into())).is_none());
}

/// Returns whether all have been woken.
fn wake_some(world: &mut World, future: u64, woken: &mut Vec<ThreadId>) -> bool {
    let waits = world.records.scan(Range::Waiters(ThreadId(future).into()), 12).unwrap();
    let waiters: Vec<Waiter> = waits
        .iter()
        .map(|record| match record {
            Record::Wait { waiter, .. } => waiter.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let mut commit = Commit::new(world.stamps.next());
    let mut plan = Plan::default();
    let known = world.future(future).expect("it is done");
    let outcome = (Some(known.stamp), matches!(known.record, FutureRecord::Failed(_)));
    wake_batch(&ThreadId(future).into(), &waiters, outcome, &mut commit, &mut plan);
    assert!(commit.put.len() + commit.delete.len() <= 32);
    assert_eq!(world.records.commit(&mut commit), Ok(Outcome::Done));
    woken.append(&mut plan.invoke);
    waiters.is_empty()
}

#[test]
fn a_waiter_beyond_the_sixteenth_is_seen_or_sees() {
    let mut world = World::new(20);
    (0..17).for_each(|waiter| drop(world.waits(waiter, 19)));
    // The thread has read the Future as pending. Its resolver commits and reads the waiters. Only then the thread
    // commits.
    let waiting = world.waiting(19);
    let late = world.load(17);
    assert!(world.step(19, &finished(7)).wake_rest);
    let mut woken = Vec::new();
    while !wake_some(&mut world, 19, &mut woken) {}
    assert_eq!(woken, ids(&[16]));
    let plan = world.commit(late, &waiting).ok().expect("the version of a crowded Future is not expected");
    assert_eq!(plan.look_again, [ThreadId(19).into()]);
    assert_value(world.future(19), 7);
}

#[test]
fn who_waits_twice_is_entered_once() {
    let mut world = World::new(3);
    world.waits(0, 2);
    world.waits(0, 2);
    world.waits(1, 2);
    world.waits(0, 2);
    assert_eq!(world.step(2, &finished(1)).invoke, ids(&[0, 1]));
}

#[test]
fn two_threads_may_return_the_same_future() {
    let mut world = World::new(3);
    for follower in [0, 1] {
        let ending = world.following(2);
        world.step(follower, &ending);
        assert!(world.is_live(follower), "it stops only when its Future has a value");
    }
    assert_eq!(world.step(2, &finished(7)).invoke, ids(&[0, 1]));
    for follower in [0, 1] {
        world.step(follower, &finished(7));
        assert_value(world.future(follower), 7);
    }
}

#[test]
fn a_chain_of_returned_futures_costs_a_step_a_link() {
    const LINKS: u64 = 10_000;
    let mut world = World::new(LINKS + 1);
    for follower in 0..LINKS {
        let ending = world.following(follower + 1);
        world.step(follower, &ending);
    }
    let mut woken = world.step(LINKS, &finished(7)).invoke;
    let mut steps = 0;
    while let Some(follower) = woken.pop() {
        woken.extend(world.step(follower.0, &finished(7)).invoke);
        steps += 1;
    }
    assert_eq!(steps, LINKS);
    assert_value(world.future(0), 7);
}

#[test]
fn a_failure_is_unawaited_until_someone_hears_it() {
    let mut world = World::new(2);
    world.step(1, &failed(1));
    assert_eq!(world.records.scan(Range::Unawaited, 9).unwrap().len(), 1);
    let mut held = world.load(0);
    held.loaded.heard.push(ThreadId(1));
    assert!(world.commit(held, &failed(1)).is_ok());
    let unawaited = world.records.scan(Range::Unawaited, 9).unwrap();
    assert_eq!(unawaited.iter().map(Record::key).collect::<Vec<_>>(), [Key::Unawaited(ThreadId(0))]);
}

#[test]
fn a_failure_that_someone_waits_for_is_awaited() {
    let mut world = World::new(3);
    world.waits(0, 1);
    world.step(1, &failed(1));
    assert!(world.records.scan(Range::Unawaited, 9).unwrap().is_empty());
    let cancelled = Failure::new(Error::new("cancelled", "x"), ThreadId(2), Timestamp(1));
    world.step(2, &Ending::Failed(Arc::new(cancelled)));
    assert!(world.records.scan(Range::Unawaited, 9).unwrap().is_empty(), "a cancelled thread need not be awaited");
}

#[test]
fn a_retried_thread_is_awaited_if_it_was() {
    for was_awaited in [true, false] {
        let mut world = World::new(2);
        let failure = failed(1);
        if was_awaited {
            world.waits(0, 1);
        }
        world.step(1, &failure);
        let mut commit = Commit::new(world.stamps.next());
        let future = world.future(1).map(|known| known.stamp);
        retry(ThreadId(1), new_live(), future, was_awaited, Timestamp(2), &mut commit);
        assert_eq!(world.records.commit(&mut commit), Ok(Outcome::Done));
        assert!(world.is_live(1) && world.is_ready(1));
        world.step(1, &failure);
        assert_eq!(world.records.scan(Range::Unawaited, 9).unwrap().is_empty(), was_awaited);
    }
}

const WATCHES: Wanted = Wanted::Entered(Interest::Failure);
const WAITS: Wanted = Wanted::Entered(Interest::Outcome);

/// The ending of a thread that begins to wait for these Futures.
fn awaits(futures: &[u64], until: Until, deadline: Option<u64>, is_entered: bool) -> Ending {
    let futures = futures.iter().copied().map(Awaited::Thread).collect();
    let wait = Wait { futures, until, at_once: false, timeout: None };
    let awaiting = Box::new(Awaiting::new(&wait, deadline.map(Timestamp), is_entered));
    Ending::Awaits { awaiting, wait: Box::new(wait), is_new: true }
}

#[test]
fn who_needs_all_hears_of_one_value_and_of_every_failure() {
    let mut world = World::new(4);
    world.touches(0, &[(1, WATCHES), (2, WATCHES), (3, WAITS)], &awaits(&[1, 2, 3], Until::All, None, true));
    assert!(world.step(1, &finished(1)).invoke.is_empty(), "it waits for the value of another");
    assert_eq!(world.step(2, &failed(2)).invoke, ids(&[0]));
    assert!(world.unawaited().is_empty());
    assert_eq!(world.step(3, &finished(3)).invoke, ids(&[0]));
}

#[test]
fn a_future_of_which_another_value_is_wanted_has_its_waiter_once() {
    let mut world = World::new(2);
    world.touches(0, &[(1, WATCHES)], &awaits(&[1], Until::All, None, true));
    world.touches(0, &[(1, WAITS)], &awaits(&[1], Until::All, None, true));
    assert!(matches!(world.future(1).unwrap().record, FutureRecord::AwaitedBy(ThreadId(0))));
    assert_eq!(world.step(1, &finished(1)).invoke, ids(&[0]));
}

/// A thread that repeatedly begins and stops waiting for a Future is registered once, and finally leaves only the mark
/// that the Future was awaited.
#[test]
fn who_waits_no_more_leaves_the_waiters() {
    for crowd in [0, 3, 20] {
        let mut world = World::new(crowd + 3);
        let future = crowd + 1;
        (1..=crowd).for_each(|waiter| drop(world.waits(waiter, future)));
        let before = world.future(future).map(|known| Waiters::of(&known.record)).unwrap_or_default();
        for _ in 0..5 {
            world.touches(0, &[(future, WAITS)], &awaits(&[future], Until::All, Some(9), true));
            world.touches(0, &[(future, Wanted::Left)], &Ending::Yielded);
        }
        let after = world.future(future).map(|known| Waiters::of(&known.record));
        assert_eq!(after, Some(Waiters { crowded: crowd > 16, ..before }));
        let waits = world.records.scan(Range::Waiters(ThreadId(future).into()), 99).unwrap().len() as u64;
        assert_eq!(waits, crowd.saturating_sub(16));
        assert!(!world.step(future, &failed(future)).invoke.contains(&ThreadId(0)));
        assert!(world.unawaited().is_empty(), "it was awaited for a while");
    }
}

#[test]
fn a_future_that_was_awaited_only_once_looked_at_is_awaited() {
    let mut world = World::new(2);
    world.touches(0, &[(1, Wanted::Awaited)], &Ending::Yielded);
    assert!(world.step(1, &failed(1)).invoke.is_empty());
    assert!(world.unawaited().is_empty());
    let Some(FutureRecord::Failed(failure)) = world.future(1).map(|known| known.record) else { panic!() };
    assert!(failure.is_awaited);
}

#[test]
fn of_a_crowd_only_those_are_woken_who_want_to_hear() {
    for has_failed in [false, true] {
        let mut world = World::new(42);
        for waiter in 0..40 {
            let wanted = if waiter % 2 == 0 { WAITS } else { WATCHES };
            world.touches(waiter, &[(41, wanted)], &awaits(&[41], Until::All, None, true));
        }
        let plan = world.step(41, &if has_failed { failed(41) } else { finished(1) });
        let mut woken = plan.invoke;
        while !wake_some(&mut world, 41, &mut woken) {}
        woken.sort_unstable();
        let expected = (0..40).filter(|waiter| has_failed || waiter % 2 == 0);
        assert_eq!(woken, expected.map(ThreadId).collect::<Vec<_>>());
        assert!(world.records.scan(Range::Waiters(ThreadId(41).into()), 99).unwrap().is_empty());
    }
}

#[test]
fn children_that_are_awaited_together_are_written_with_their_waiter() {
    let mut world = World::new(1);
    let mut held = world.load(0);
    for number in 1..=100 {
        held.commit.fresh.push(Record::Live(ThreadId(number), new_live()));
        let wanted = if number == 100 { WAITS } else { WATCHES };
        let touch = Touch { known: None, wanted, is_new: true, has_record: false };
        held.loaded.touches.insert(ThreadId(number).into(), touch);
    }
    let futures: Vec<u64> = (1..=100).collect();
    assert!(world.commit(held, &awaits(&futures, Until::All, None, true)).is_ok());
    assert!(world.step(50, &finished(1)).invoke.is_empty());
    assert_eq!(world.step(51, &failed(51)).invoke, ids(&[0]));
    assert_eq!(world.step(100, &finished(2)).invoke, ids(&[0]));
}

#[test]
fn a_wait_that_is_not_entered_is_looked_at_again() {
    let mut world = World::new(2);
    let plan = world.step(0, &awaits(&[1], Until::Any, Some(9), false));
    assert_eq!((plan.invoke, plan.timer), (ids(&[0]), None));
    assert_eq!(world.load(0).live.due(), Some(Due::AtTakeover));
    let mut world = World::new(2);
    let mut held = world.load(0);
    held.loaded.is_resumable = true;
    let plan =
        world.commit(held, &awaits(&[1], Until::Any, Some(9), true)).ok().expect("nothing interferes with this step");
    assert_eq!((plan.invoke, plan.timer), (ids(&[]), Some(Timestamp(9))));
    assert_eq!(world.load(0).live.due(), Some(Due::At(Timestamp(9))));
}

#[test]
fn the_first_thread_looks_for_the_end_even_if_it_wakes_someone() {
    let mut world = World::new(2);
    world.waits(1, 0);
    assert!(world.step(0, &finished(1)).look_for_end);
    let Some(Versioned { stamp, record: Record::Session(session) }) = world.read(Key::Session) else { panic!() };
    assert!(session.first_stopped && session.ended.is_none());
    world.step(1, &finished(1));
    let mut commit = Commit::new(world.stamps.next());
    end(stamp, &session, SessionState::Finished, Timestamp(5), &mut commit);
    assert_eq!(world.records.commit(&mut commit), Ok(Outcome::Done));
    let mut commit = Commit::new(world.stamps.next());
    end(stamp, &session, SessionState::Finished, Timestamp(6), &mut commit);
    assert_eq!(world.records.commit(&mut commit), Ok(Outcome::Conflict), "a session ends once");
}

#[test]
fn a_sleep_and_a_call_are_told_to_whom_it_concerns() {
    let mut world = World::new(1);
    let plan = world.step(0, &Ending::Sleeps(Timestamp(5)));
    assert_eq!((plan.timer, plan.call), (Some(Timestamp(5)), false));
    let plan = world.step(0, &Ending::Calls(1));
    assert_eq!((plan.timer, plan.call), (None, true));
    assert!(matches!(world.load(0).live.status, Status::Calling(1)));
}

fn cancels(threads: &[u64]) -> Option<Box<Cancels>> {
    let threads = threads.iter().map(|thread| (ThreadId(*thread), Demand::default())).collect();
    Some(Box::new(Cancels { threads, ..Cancels::default() }))
}

#[test]
fn a_cancel_is_taken_once_by_the_step_of_its_thread() {
    let mut world = World::new(3);
    let running = world.load(2);
    let mut canceller = world.load(1);
    canceller.loaded.cancels = cancels(&[2]);
    let plan = world.commit(canceller, &finished(1)).ok().expect("nothing interferes with this step");
    assert_eq!(plan.invoke, [ThreadId(2)]);
    assert!(world.read(Key::Cancel(ThreadId(2))).is_some());
    assert!(world.commit(running, &finished(2)).is_err(), "it was cancelled during its run");
    let held = world.load(2);
    assert!(held.loaded.is_cancelled);
    let _ = world.commit(held, &Ending::Stays).ok().expect("nothing interferes with this step");
    assert!(world.load(2).loaded.is_cancelled, "its call is being stopped: it is cancelled when that is done");
    let held = world.load(2);
    let _ = world.commit(held, &failed(2)).ok().expect("nothing interferes with this step");
    assert!(world.read(Key::Cancel(ThreadId(2))).is_none() && !world.is_ready(2) && !world.is_live(2));
}

#[test]
fn a_step_in_sight_of_an_older_record_of_the_session_is_made_again() {
    let mut world = World::new(1);
    let remembering = |world: &mut World| {
        let mut held = world.load(0);
        held.loaded.first.as_mut().unwrap().is_remembered = true;
        held
    };
    let held = remembering(&mut world);
    assert!(world.commit(held, &Ending::Yielded).is_ok(), "the record has not changed");
    let held = remembering(&mut world);
    let Some((stamp, session)) = held.loaded.first.as_ref().unwrap().session.clone() else { panic!("it has begun") };
    let mut cancel = Commit::new(world.stamps.next());
    super::begin_cancel(stamp, &session, Cancelling::Begun, Timestamp(2), &mut cancel);
    assert_eq!(world.records.commit(&mut cancel).unwrap(), Outcome::Done);
    assert!(world.commit(held, &Ending::Yielded).is_err(), "it was cancelled meanwhile");
}

#[test]
fn a_new_thread_can_be_cancelled_by_the_step_that_starts_it() {
    let mut world = World::new(1);
    world.records.reserve(1).unwrap();
    let mut held = world.load(0);
    held.commit.fresh.push(Record::Live(ThreadId(1), new_live()));
    held.loaded.cancels = cancels(&[1]);
    let plan = world.commit(held, &Ending::Yielded).ok().expect("nothing interferes with this step");
    assert_eq!(plan.invoke, [ThreadId(1), ThreadId(0)], "it is invoked once");
    assert!(world.load(1).loaded.is_cancelled);
}

#[test]
fn what_a_thread_has_started_is_cancelled_as_work_of_its_own() {
    let mut world = World::new(2);
    let mut started = Started::default();
    started.add(ThreadId(5));
    let mut held = world.load(1);
    held.loaded.cancels = Some(Box::new(Cancels { started: Some(started.clone()), ..Cancels::default() }));
    let plan = world.commit(held, &failed(1)).ok().expect("nothing interferes with this step");
    assert!(plan.cascade);
    let found = world.read(Key::Cascade(ThreadId(1)));
    assert!(matches!(found, Some(Versioned { record: Record::Cascade(_, kept), .. }) if kept == started));
}

#[test]
fn a_cancelled_promise_fails_for_those_who_wait() {
    let mut world = World::new(2);
    let promise = FutureId::Promise("mail/1".into());
    let waits = Ending::Waits(Awaited::Promise("mail/1".into()), None);
    let _ = world.step(1, &waits);
    let known = match world.read(Key::Future(promise.clone())) {
        Some(Versioned { stamp, record: Record::Future(_, record) }) => Some(Known { stamp, record }),
        _ => None,
    };
    let failure = Arc::new(Failure::new(Error::new("cancelled", "x"), ThreadId(0), Timestamp(1)));
    let mut held = world.load(0);
    let promise_cancelled = Some(CancelledPromise { future: promise.clone(), known, failure });
    held.loaded.cancels = Some(Box::new(Cancels { promise: promise_cancelled, ..Cancels::default() }));
    let plan = world.commit(held, &Ending::Yielded).ok().expect("nothing interferes with this step");
    assert_eq!(plan.invoke, [ThreadId(1), ThreadId(0)]);
    let found = world.read(Key::Future(promise));
    assert!(matches!(found, Some(Versioned { record: Record::Future(_, FutureRecord::Failed(_)), .. })));
}

#[test]
fn a_cancelled_thread_is_looked_at_when_its_time_is_up() {
    let mut world = World::new(3);
    let ending = world.waiting(2);
    let mut held = world.load(1);
    held.live.stops = Some(Timestamp(7));
    let plan = world.commit(held, &ending).ok().expect("nothing interferes with this step");
    assert_eq!(plan.timer, Some(Timestamp(7)));
    let Some(Versioned { record: Record::Live(_, live), .. }) = world.read(Key::Live(ThreadId(1))) else { panic!() };
    assert_eq!(live.due(), Some(crate::record::Due::At(Timestamp(7))));
}

/// A commit where threads are leased, by a process that serves these pools and has room.
fn shared(pools: &[&str], live: Box<Live>, ending: &Ending, woken: &[(u64, &str)]) -> (Commit, Plan) {
    let pools: Pools = pools.iter().map(|name| name.parse::<Pool>().unwrap()).collect();
    let mut commit = Commit::new(Stamps::of_seed(7).next());
    let terms = Terms { now: Timestamp(100), until: Timestamp(900) };
    commit.terms = Some(terms);
    let mut plan = Plan::default();
    let loaded = Loaded { live: Some(Stamps::of_seed(3).next()), ..Loaded::nothing(ThreadId(1), true) };
    for (thread, place) in woken {
        let live = Box::new(Live { demand: demand(place), home: place.parse().unwrap(), ..*new_live() });
        commit.fresh.push(Record::Live(ThreadId(*thread), live));
    }
    step(&loaded, ending, live, Timestamp(100), &mut commit, &mut plan);
    let destinations = Destinations::of(&commit, &pools);
    plan.share(Some(ThreadId(1)), 9, &destinations, &mut commit);
    (commit, plan)
}

fn demand(place: &str) -> Demand {
    Demand { priority: 0, place: place.parse().unwrap() }
}

fn placed(place: &str) -> Box<Live> {
    Box::new(Live { demand: demand(place), home: place.parse().unwrap(), ..*new_live() })
}

fn dues(commit: &Commit) -> Vec<(Key, Option<Due>)> {
    let records = commit.fresh.iter().chain(&commit.put);
    records.map(|record| (record.key(), commit.due(record))).collect()
}

#[test]
fn a_process_keeps_what_it_has_made_runnable_only_if_it_serves_its_place() {
    let (commit, plan) = shared(&["default"], placed(""), &Ending::Yielded, &[(2, "gpu"), (3, ""), (4, "gpu:9")]);
    assert_eq!(plan.invoke, [ThreadId(3), ThreadId(1)]);
    let offered: Vec<(u64, String)> = plan.offered.iter().map(|hint| (hint.thread.0, hint.place.to_string())).collect();
    assert_eq!(offered, [(2, "gpu".to_owned()), (4, "gpu:9".to_owned())]);
    let (kept, left) = (Some(Due::Leased(Timestamp(900))), Some(Due::At(Timestamp(100))));
    let live = |thread| Key::Live(ThreadId(thread));
    assert_eq!(dues(&commit), [(live(2), left), (live(3), kept), (live(4), left), (live(1), kept)]);
    // It has come to another place with a call, and goes back.
    let (commit, plan) = shared(&["gpu"], placed(""), &Ending::Yielded, &[]);
    assert_eq!((plan.invoke.as_slice(), plan.offered.len()), ([].as_slice(), 1));
    assert_eq!(dues(&commit), [(live(1), left)]);
}

#[test]
fn a_call_of_another_place_is_left_to_those_who_serve_it() {
    let (commit, plan) = shared(&["default"], placed("gpu"), &Ending::Moves(4), &[]);
    assert!(!plan.call && plan.invoke.is_empty() && plan.holds.is_empty());
    assert_eq!(plan.offered, [Hint { place: "gpu".parse().unwrap(), ..Hint::now(ThreadId(1)) }]);
    let withdrawn = Some(Due::Withdrawn(Timestamp(100)));
    assert_eq!(dues(&commit), [(Key::Live(ThreadId(1)), withdrawn)], "it has not begun");
    assert!(matches!(&commit.put[0], Record::Live(_, live) if live.status == Status::Calling(4)));
    // A cancelled thread is stopped in time, whoever serves its place.
    let stopping = Box::new(Live { stops: Some(Timestamp(500)), ..*placed("gpu") });
    let (commit, _) = shared(&["default"], stopping, &Ending::Moves(4), &[]);
    let stop = Some(Due::At(Timestamp(500)));
    assert!(dues(&commit).contains(&(Key::Ready(ThreadId(1)), stop)), "{commit:?}");
    let is_anywhere = |record: &Record| matches!(record, Record::Ready(_, demand) if demand.place.is_anywhere());
    assert!(commit.put.iter().any(is_anywhere));
}

#[test]
fn who_waits_is_woken_in_its_place() {
    let mut world = World::new(3);
    let mut held = world.load(1);
    (held.live.home, held.live.demand) = ("gpu".parse().unwrap(), demand("gpu"));
    let ending = world.waiting(2);
    world.commit(held, &ending).ok().expect("nothing interferes with this step");
    let mut held = world.load(2);
    step(&held.loaded, &finished(1), held.live, Timestamp(1), &mut held.commit, &mut Plan::default());
    let is_woken = |record: &Record| matches!(record, Record::Ready(ThreadId(1), woken) if *woken == demand("gpu"));
    assert!(held.commit.put.iter().any(is_woken), "{:?}", held.commit);
}

#[test]
fn a_cancelled_thread_hears_of_it_in_any_place() {
    assert_eq!(placed("").cancelled(), Demand::default());
    assert!(placed("gpu").cancelled().place.is_anywhere());
    let away = Box::new(Live { demand: demand("gpu"), ..*new_live() });
    assert!(away.cancelled().place.is_anywhere(), "its call may be in another place");
}
