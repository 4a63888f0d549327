//! The suite of storages whose threads are leased.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hark_machine::{Awaited, Thread, Value};

use super::sample::{about, program};
use crate::commit::{Commit, Outcome};
use crate::demand::Demand;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::leases::{HeldThread, KnownSession, Leases, Left, Taken, Terms};
use crate::place::{Place, Pool, Pools};
use crate::record::{FutureRecord, Key, Live, Record, SessionRecord, SessionState, Status};
use crate::step::FIRST;
use crate::storage::{SessionStorage, Storage, Tenure};
use crate::surroundings::Timestamp;

const NOW: Timestamp = Timestamp(1_000_000_000);
const LATER: Timestamp = Timestamp(2_000_000_000);
const MUCH_LATER: Timestamp = Timestamp(3_000_000_000);

/// Checks a storage whose threads are leased, beside what [`check_storage`](super::check_storage) does. `make` gives an empty
/// one each time.
///
/// # Panics
/// If the storage does not fulfill the contract.
pub fn check_leases(make: &dyn Fn() -> Arc<dyn Storage>) {
    let checks: [fn(&Suite); 11] = [
        what_is_left_to_others_is_taken_once,
        what_is_kept_is_taken_when_its_lease_has_run_out,
        what_is_taken_has_another_version_and_is_the_same,
        mailboxes_are_taken_with_their_threads,
        timers_are_taken_when_their_times_come,
        leases_are_renewed_by_who_has_them,
        only_sessions_that_run_are_looked_at,
        of_many_who_take_each_thread_has_one,
        a_thread_is_taken_only_by_those_who_serve_its_pool,
        threads_of_other_pools_hide_none,
        a_cancelled_thread_is_taken_whatever_its_pool,
    ];
    checks.into_iter().for_each(|check| check(&Suite::new(make())));
}

/// Checks that due threads are taken by priority, beside what [`check_leases`] does. A storage whose index is not ordered by
/// priority does not pass it.
///
/// # Panics
/// If the storage does not fulfill the contract.
pub fn check_priorities(make: &dyn Fn() -> Arc<dyn Storage>) {
    those_of_a_higher_priority_are_taken_first(&Suite::new(make()));
}

struct Suite {
    storage: Arc<dyn Storage>,
    id: SessionId,
    records: Arc<dyn SessionStorage>,
}

fn stamp(number: u64) -> Stamp {
    Stamp(NonZeroU64::new(number).expect("a stamp is not 0"))
}

fn live(status: Status) -> Box<Live> {
    let mut live = Live::new(Thread::new(Value::Integer(1), vec![Value::Null]));
    live.status = status;
    live
}

fn terms(now: Timestamp) -> Terms {
    Terms { now, until: now.after(Duration::from_secs(100)) }
}

impl Suite {
    /// A session that runs, in an empty storage.
    fn new(storage: Arc<dyn Storage>) -> Suite {
        let id = SessionId::new(NOW, 1);
        let records = storage.session(&id, &program()).expect("a session can be opened");
        let suite = Suite { storage, id, records };
        suite.begin(SessionState::Running);
        suite
    }

    fn leases(&self) -> &dyn Leases {
        match self.storage.tenure() {
            Tenure::Leases(leases) => leases,
            _ => panic!("its threads are not leased"),
        }
    }

    fn commit(&self, number: u64, put: Vec<Record>, kept: &[ThreadId]) {
        let mut commit = Commit { put, kept: kept.to_vec(), terms: Some(terms(NOW)), ..Commit::new(stamp(number)) };
        assert_eq!(self.records.commit(&mut commit), Ok(Outcome::Done));
    }

    fn begin(&self, state: SessionState) {
        let session = SessionRecord { state, ..SessionRecord::new(about()) };
        let mut commit = Commit { put: vec![Record::Session(Box::new(session))], ..Commit::new(stamp(99)) };
        commit.expect = vec![(Key::Session, None)];
        assert_eq!(self.records.commit(&mut commit), Ok(Outcome::Done));
        self.records.reserve(1_000).expect("numbers can be reserved");
    }

    fn take(&self, now: Timestamp, number: u64) -> Vec<Taken> {
        let taken = self.leases().take(None, &Pools::All, terms(now), stamp(number), 1_000);
        without_sessions(taken.expect("threads can be taken"))
    }

    fn taken(&self, thread: u64, held: Option<u64>, left: Left) -> Taken {
        Taken {
            session: self.id.clone(),
            thread: ThreadId(thread),
            demand: Demand::default(),
            held: held.map(stamp),
            left,
            known: KnownSession::Nothing,
        }
    }

    fn held(&self, thread: u64, number: u64) -> HeldThread {
        HeldThread { session: self.id.clone(), thread: ThreadId(thread), stamp: stamp(number) }
    }
}

/// What was taken, without what is known of the sessions.
pub(super) fn without_sessions(taken: Vec<Taken>) -> Vec<Taken> {
    taken.into_iter().map(|taken| Taken { known: KnownSession::Nothing, ..taken }).collect()
}

fn runnable(thread: u64) -> Record {
    Record::Live(ThreadId(thread), live(Status::Runnable))
}

fn what_is_left_to_others_is_taken_once(suite: &Suite) {
    suite.commit(1, vec![runnable(1), runnable(2), runnable(3)], &[ThreadId(2)]);
    assert_eq!(suite.leases().take(None, &Pools::All, terms(NOW), stamp(2), 1).expect("it can be taken").len(), 1);
    assert_eq!(suite.take(NOW, 3).len(), 1);
    assert_eq!(suite.take(NOW, 4), [], "the one that is kept is not due");
    assert_eq!(suite.leases().next_due(&Pools::All, NOW, MUCH_LATER), Ok(Some(terms(NOW).until)));
    assert_eq!(suite.leases().next_due(&Pools::All, NOW, NOW.after(Duration::from_secs(1))), Ok(None));
}

fn what_is_kept_is_taken_when_its_lease_has_run_out(suite: &Suite) {
    suite.commit(1, vec![runnable(1)], &[ThreadId(1)]);
    assert_eq!(suite.take(LATER, 2), [suite.taken(1, Some(1), Left::Lost)]);
    assert_eq!(suite.take(LATER, 3), []);
    assert_eq!(suite.take(MUCH_LATER, 4), [suite.taken(1, Some(2), Left::Lost)], "who has taken it was lost, too");
}

fn what_is_taken_has_another_version_and_is_the_same(suite: &Suite) {
    suite.commit(1, vec![runnable(1)], &[]);
    assert_eq!(suite.take(NOW, 2), [suite.taken(1, Some(1), Left::Free)]);
    let mut found = Vec::new();
    suite.records.read(&[Key::Live(ThreadId(1))], &mut found).expect("records can be read");
    let found = found.pop().flatten().expect("it is live");
    assert_eq!(found.stamp, stamp(2));
    let Record::Live(_, found) = found.record else { panic!("another record") };
    assert_eq!(found.status, Status::Runnable);
    let late = Commit { expect: vec![(Key::Live(ThreadId(1)), Some(stamp(1)))], ..Commit::new(stamp(3)) };
    let mut late = Commit { put: vec![runnable(1)], ..late };
    assert_eq!(suite.records.commit(&mut late), Ok(Outcome::Conflict), "whoever had it before has it no more");
}

fn mailboxes_are_taken_with_their_threads(suite: &Suite) {
    let waiting = Record::Live(ThreadId(1), live(Status::Waiting(Awaited::Thread(9))));
    suite.commit(1, vec![waiting, runnable(2)], &[]);
    suite.commit(
        2,
        vec![Record::Ready(ThreadId(1), Demand::default()), Record::Ready(ThreadId(2), Demand::default())],
        &[],
    );
    assert_eq!(suite.take(NOW, 3), [suite.taken(1, None, Left::Free), suite.taken(2, Some(1), Left::Free)]);
    assert_eq!(suite.take(NOW, 4), []);
    let mut found = Vec::new();
    suite.records.read(&[Key::Ready(ThreadId(1))], &mut found).expect("records can be read");
    assert_eq!(found.pop().flatten().map(|found| found.stamp), Some(stamp(2)), "a mailbox keeps its version");
    assert!(suite.take(LATER, 5).contains(&suite.taken(1, None, Left::Lost)));
    suite.commit(6, vec![Record::Ready(ThreadId(1), Demand::default())], &[ThreadId(1)]);
    assert_eq!(suite.take(NOW, 7), [], "whoever has woken it goes on with it");
}

fn timers_are_taken_when_their_times_come(suite: &Suite) {
    let sleeping = |thread, until| Record::Live(ThreadId(thread), live(Status::Sleeping(until)));
    suite.commit(1, vec![sleeping(1, LATER), sleeping(2, MUCH_LATER)], &[]);
    assert_eq!(suite.take(NOW, 2), []);
    assert_eq!(suite.leases().next_due(&Pools::All, NOW, Timestamp::MAX), Ok(Some(LATER)));
    assert_eq!(suite.take(LATER, 3), [suite.taken(1, Some(1), Left::Free)]);
}

fn leases_are_renewed_by_who_has_them(suite: &Suite) {
    suite.commit(1, vec![runnable(1), runnable(2)], &[ThreadId(1), ThreadId(2)]);
    let held = [suite.held(1, 1), suite.held(2, 7), suite.held(3, 1)];
    assert_eq!(suite.leases().renew(&held, MUCH_LATER), Ok(vec![true, false, false]));
    assert_eq!(suite.take(LATER, 2), [suite.taken(2, Some(1), Left::Lost)], "the other one is leased for longer");
    suite
        .leases()
        .give_back(&[suite.held(1, 1), suite.held(2, 1)], Left::Free, LATER)
        .expect("threads can be given back");
    assert_eq!(suite.take(LATER, 3), [suite.taken(1, Some(1), Left::Free)], "nobody was lost");
    suite.leases().give_back(&[suite.held(1, 3)], Left::Withdrawn, LATER).expect("threads can be given back");
    assert_eq!(suite.take(LATER, 4), [suite.taken(1, Some(3), Left::Withdrawn)], "its call has not begun");
    assert_eq!(suite.take(MUCH_LATER, 5), [suite.taken(1, Some(4), Left::Lost), suite.taken(2, Some(2), Left::Lost)]);
}

fn only_sessions_that_run_are_looked_at(suite: &Suite) {
    suite.commit(1, vec![runnable(1)], &[]);
    let other = SessionId::new(NOW, 2);
    assert_eq!(suite.leases().take(Some(&other), &Pools::All, terms(NOW), stamp(2), 9), Ok(vec![]));
    let taken = suite.leases().take(Some(&suite.id), &Pools::All, terms(NOW), stamp(2), 9);
    assert_eq!(taken.map(without_sessions), Ok(vec![suite.taken(1, Some(1), Left::Free)]));
    suite.commit(3, vec![runnable(2)], &[]);
    let session = SessionRecord { state: SessionState::Finished, ..SessionRecord::new(about()) };
    suite.commit(4, vec![Record::Session(Box::new(session))], &[]);
    assert_eq!(suite.take(NOW, 5), []);
    assert_eq!(suite.leases().abandoned(NOW), Ok(vec![]));
    let session = |retrying| SessionRecord { retrying, ..SessionRecord::new(about()) };
    suite.commit(6, vec![Record::Session(Box::new(session(true)))], &[]);
    assert_eq!(suite.leases().abandoned(NOW), Ok(vec![suite.id.clone()]), "a retry may have been left half-way");
    suite.commit(7, vec![Record::Session(Box::new(session(false))), Record::Todo(FIRST.into())], &[]);
    assert_eq!(suite.leases().abandoned(NOW), Ok(vec![]), "whoever wrote that down may be at it");
    assert_eq!(suite.leases().abandoned(LATER), Ok(vec![suite.id.clone()]));
    let stopped = SessionRecord { first_stopped: true, ..SessionRecord::new(about()) };
    let mut last = Commit { put: vec![Record::Session(Box::new(stopped))], ..Commit::new(stamp(8)) };
    last.delete = vec![Key::Todo(FIRST.into())];
    assert_eq!(suite.records.commit(&mut last), Ok(Outcome::Done));
    assert_eq!(suite.leases().abandoned(LATER), Ok(vec![]), "it has other threads");
    let mut last = Commit::new(stamp(9));
    last.delete = vec![Key::Live(ThreadId(1)), Key::Live(ThreadId(2))];
    last.put = [1, 2].map(|thread| Record::Future(ThreadId(thread).into(), FutureRecord::Resolved(Value::Null))).into();
    assert_eq!(suite.records.commit(&mut last), Ok(Outcome::Done));
    assert_eq!(
        suite.leases().abandoned(LATER),
        Ok(vec![suite.id.clone()]),
        "whoever ended its last thread may be lost"
    );
}

fn of_many_who_take_each_thread_has_one(suite: &Suite) {
    for (number, first) in (1..200).step_by(20).enumerate() {
        suite.commit(1 + number as u64, (first..(first + 20).min(200)).map(runnable).collect(), &[]);
    }
    let taken: Vec<Vec<Taken>> = thread::scope(|scope| {
        let takers: Vec<_> = (0..4_u64)
            .map(|taker| {
                scope.spawn(move || {
                    let take = |round| {
                        let stamp = stamp(1_000 * (taker + 1) + round);
                        suite.leases().take(None, &Pools::All, terms(NOW), stamp, 7).expect("threads can be taken")
                    };
                    (0..100_u64).flat_map(take).collect()
                })
            })
            .collect();
        takers.into_iter().map(|taker| taker.join().expect("a taker takes")).collect()
    });
    let threads: Vec<ThreadId> = taken.iter().flatten().map(|taken| taken.thread).collect();
    let different: BTreeSet<ThreadId> = threads.iter().copied().collect();
    assert_eq!((threads.len(), different.len()), (199, 199));
}

fn pools(names: &[&str]) -> Pools {
    names.iter().map(|name| name.parse::<Pool>().expect("a pool has this name")).collect()
}

fn demand(place: &str) -> Demand {
    Demand { priority: 0, place: place.parse().expect("it is a place") }
}

fn placed(thread: u64, place: &str, status: Status) -> Record {
    Record::Live(ThreadId(thread), Box::new(Live { demand: demand(place), ..*live(status) }))
}

impl Suite {
    fn take_of(&self, pools: &Pools, now: Timestamp, number: u64, most: usize) -> Vec<(u64, String)> {
        let taken = self.leases().take(None, pools, terms(now), stamp(number), most).expect("threads can be taken");
        taken.iter().map(|taken| (taken.thread.0, taken.demand.place.to_string())).collect()
    }
}

fn a_thread_is_taken_only_by_those_who_serve_its_pool(suite: &Suite) {
    let (default, gpu, both) = (pools(&["default"]), pools(&["gpu"]), pools(&["default", "gpu"]));
    let can_run = |thread, place| placed(thread, place, Status::Runnable);
    suite.commit(1, vec![can_run(1, ""), can_run(2, "gpu"), can_run(3, "gpu:2048"), can_run(4, ":9")], &[]);
    let waits = |thread| placed(thread, "gpu", Status::Waiting(Awaited::Thread(9)));
    suite.commit(2, vec![waits(5), Record::Ready(ThreadId(5), demand("gpu"))], &[]);
    suite.commit(3, vec![placed(6, "gpu", Status::Sleeping(LATER)), placed(7, "", Status::Sleeping(MUCH_LATER))], &[]);
    let text = |threads: &[(u64, &str)]| -> Vec<(u64, String)> {
        threads.iter().map(|(thread, place)| (*thread, (*place).to_owned())).collect()
    };
    assert_eq!(suite.take_of(&pools(&["cpu"]), NOW, 4, 9), [], "nobody takes them all the same");
    assert_eq!(suite.take_of(&default, NOW, 5, 9), text(&[(1, ""), (4, ":9")]));
    assert_eq!(suite.take_of(&default, NOW, 6, 9), []);
    let next = |pools| suite.leases().next_due(pools, NOW, Timestamp::MAX).expect("what is due next can be found");
    assert_eq!(next(&default), Some(terms(NOW).until));
    assert_eq!(next(&gpu), Some(LATER), "what is due now is not next");
    assert_eq!(next(&both), Some(terms(NOW).until));
    assert_eq!(next(&pools(&["cpu"])), None, "nothing of it is worth a look");
    assert_eq!(suite.take_of(&both, NOW, 7, 1).len(), 1);
    assert_eq!(suite.take_of(&gpu, NOW, 8, 9).len(), 2);
    assert_eq!(suite.take_of(&Pools::All, NOW, 9, 9), []);
    assert_eq!(suite.take_of(&gpu, LATER, 10, 9).len(), 4, "those of lost processes, and who slept");
    assert_eq!(suite.take_of(&default, LATER, 11, 9), text(&[(1, ""), (4, ":9")]), "those of lost processes");
    let mut found = Vec::new();
    suite.records.read(&[Key::Live(ThreadId(3)), Key::Ready(ThreadId(5))], &mut found).expect("records can be read");
    let demands: Vec<Option<Demand>> = found
        .into_iter()
        .map(|found| match found?.record {
            Record::Live(_, live) => Some(live.demand),
            Record::Ready(_, demand) => Some(demand),
            _ => None,
        })
        .collect();
    assert_eq!(demands, [Some(demand("gpu:2048")), Some(demand("gpu"))]);
}

fn threads_of_other_pools_hide_none(suite: &Suite) {
    for number in 0..10 {
        let crowd = (1..=20).map(|thread| placed(20 * number + thread, "gpu", Status::Runnable));
        suite.commit(1 + number, crowd.collect(), &[]);
    }
    suite.commit(20, vec![placed(201, "", Status::Runnable), placed(202, "cpu", Status::Runnable)], &[]);
    assert_eq!(suite.take_of(&pools(&["default"]), LATER, 21, 1), [(201, String::new())]);
    assert_eq!(suite.take_of(&pools(&["cpu"]), LATER, 22, 1), [(202, "cpu".to_owned())]);
    assert_eq!(suite.take_of(&pools(&["gpu"]), LATER, 23, 1_000).len(), 200);
}

fn a_cancelled_thread_is_taken_whatever_its_pool(suite: &Suite) {
    let can_run = |thread| placed(thread, "gpu", Status::Runnable);
    let cancelled = |thread| Record::Ready(ThreadId(thread), Demand { place: Place::anywhere(), ..Demand::default() });
    suite.commit(1, vec![can_run(1), can_run(2), placed(3, "gpu", Status::Waiting(Awaited::Thread(9)))], &[]);
    suite.commit(2, vec![can_run(4)], &[ThreadId(4)]);
    suite.commit(3, vec![cancelled(1), cancelled(3), cancelled(4)], &[]);
    let taken = |pools: &Pools, number| {
        let taken = suite.leases().take(None, pools, terms(NOW), stamp(number), 9).expect("threads can be taken");
        taken.iter().map(|taken| (taken.thread.0, taken.held)).collect::<Vec<_>>()
    };
    let expected = [(1, Some(stamp(1))), (3, None), (4, None)];
    assert_eq!(taken(&pools(&["default"]), 4), expected, "the fourth one is another process's");
    assert_eq!(taken(&pools(&["cpu"]), 5), []);
    assert_eq!(taken(&pools(&["gpu"]), 6), [(2, Some(stamp(1)))]);
    suite.commit(7, vec![cancelled(2)], &[]);
    assert_eq!(taken(&pools(&["cpu"]), 8), [(2, None)], "by any process");
}

fn those_of_a_higher_priority_are_taken_first(suite: &Suite) {
    let of = |priority, status| Box::new(Live { demand: Demand::of_priority(priority), ..*live(status) });
    let can_run = |thread, priority| Record::Live(ThreadId(thread), of(priority, Status::Runnable));
    suite.commit(1, (1..=100).map(|thread| can_run(thread, -9)).collect(), &[]);
    suite.commit(2, vec![can_run(101, 0), can_run(102, 7), can_run(103, -1)], &[]);
    let waits = Record::Live(ThreadId(104), of(8, Status::Waiting(Awaited::Thread(9))));
    suite.commit(3, vec![waits, Record::Ready(ThreadId(104), Demand::of_priority(8))], &[]);
    let mut order = Vec::new();
    for number in 4..10 {
        let taken =
            suite.leases().take(None, &Pools::All, terms(NOW), stamp(number), 1).expect("a thread can be taken");
        order.extend(taken.iter().map(|taken| (taken.thread.0.max(100), taken.demand.priority)));
    }
    assert_eq!(order, [(104, 8), (102, 7), (101, 0), (103, -1), (100, -9), (100, -9)]);
    let next = suite.leases().next_due(&Pools::All, NOW, MUCH_LATER);
    assert_eq!(next, Ok(Some(terms(NOW).until)), "the earliest, whatever its priority");
}
