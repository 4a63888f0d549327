//! The suite of storages whose sessions have servers: who serves which session, and what is to be done in it.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread;

use hark_machine::{Awaited, Thread, Value};

use super::sample::{about, program};
use crate::commit::{Commit, Outcome};
use crate::demand::Demand;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::record::{Key, Live, Record, SessionRecord, SessionState, Status};
use crate::servers::{Claimed, Servers, Unattended, Woken};
use crate::storage::{Storage, StorageError, Tenure};
use crate::surroundings::Timestamp;

const NOW: Timestamp = Timestamp(1_000_000_000);
const LATER: Timestamp = Timestamp(2_000_000_000);
const MUCH_LATER: Timestamp = Timestamp(3_000_000_000);

/// Checks a storage whose sessions have servers, beside what [`check_storage`](super::check_storage) does. `make` opens an empty
/// storage twice, as two processes would: each is a server. One that is dropped is lost, and the other one knows it.
///
/// # Panics
/// If the storage does not fulfill the contract.
pub fn check_servers(make: &dyn Fn() -> [Arc<dyn Storage>; 2]) {
    let checks: [fn(Suite); 6] = [
        who_begins_a_session_is_its_server,
        what_is_given_up_is_claimed_once,
        what_a_lost_server_had_is_claimed_as_lost,
        only_sessions_that_are_not_over_are_claimed,
        of_two_who_claim_each_session_has_one,
        a_server_knows_what_is_to_be_done,
    ];
    for check in checks {
        let [one, other] = make();
        check(Suite { one, other, id: SessionId::new(NOW, 1) });
    }
}

struct Suite {
    one: Arc<dyn Storage>,
    other: Arc<dyn Storage>,
    id: SessionId,
}

fn servers(storage: &dyn Storage) -> &dyn Servers {
    match storage.tenure() {
        Tenure::Servers(servers) => servers,
        _ => panic!("its sessions have no servers"),
    }
}

fn stamp(number: u64) -> Stamp {
    Stamp(NonZeroU64::new(number).expect("a stamp is not 0"))
}

fn session(state: SessionState) -> Record {
    Record::Session(Box::new(SessionRecord { state, ..SessionRecord::new(about()) }))
}

fn live(thread: u64, status: Status) -> Record {
    let mut live = Live::new(Thread::new(Value::Integer(1), vec![Value::Null]));
    live.status = status;
    Record::Live(ThreadId(thread), live)
}

fn commit(storage: &dyn Storage, id: &SessionId, mut commit: Commit) -> Result<Outcome, StorageError> {
    storage.session(id, &program()).expect("a session can be opened").commit(&mut commit)
}

fn begin(storage: &dyn Storage, id: &SessionId) {
    let expect = vec![(Key::Session, None)];
    let begun = Commit { expect, put: vec![session(SessionState::Running)], ..Commit::new(stamp(1)) };
    let records = storage.session(id, &program()).expect("a session can be opened");
    assert_eq!(records.commit(&mut { begun }), Ok(Outcome::Done));
    records.reserve(100).expect("numbers can be reserved");
}

impl Suite {
    fn claimed(&self, was_lost: bool) -> Vec<Claimed> {
        vec![Claimed { session: self.id.clone(), was_lost }]
    }

    /// A step of the session's first thread, as its server makes it.
    fn step(&self, storage: &dyn Storage, number: u64) -> Result<Outcome, StorageError> {
        let put = vec![live(0, Status::Runnable)];
        commit(storage, &self.id, Commit { put, ..Commit::of_server(stamp(number)) })
    }
}

fn who_begins_a_session_is_its_server(suite: Suite) {
    begin(&*suite.one, &suite.id);
    let (one, other) = (servers(&*suite.one), servers(&*suite.other));
    assert_eq!((other.claim(None), other.claim(Some(&suite.id))), (Ok(vec![]), Ok(vec![])), "it has a server");
    assert_eq!((one.is_served(&suite.id), other.is_served(&suite.id)), (Ok(true), Ok(true)));
    let elsewhere = (one.is_served_elsewhere(&suite.id), other.is_served_elsewhere(&suite.id));
    assert_eq!(elsewhere, (Ok(false), Ok(true)));
    assert_eq!((other.hold(&suite.id), one.hold(&suite.id)), (Ok(false), Ok(true)));
    assert_eq!(suite.step(&*suite.one, 2), Ok(Outcome::Done));
    assert_eq!(suite.step(&*suite.other, 3), Err(StorageError::TakenOver), "only its server makes steps");
    let from_outside = Commit { put: vec![Record::Ready(ThreadId(0), Demand::default())], ..Commit::new(stamp(4)) };
    assert_eq!(commit(&*suite.other, &suite.id, from_outside), Ok(Outcome::Done), "anyone may wake threads");
    let nobody = SessionId::new(NOW, 9);
    assert_eq!(
        (one.is_served(&nobody), one.is_served_elsewhere(&nobody), one.hold(&nobody)),
        (Ok(false), Ok(false), Ok(false))
    );
}

fn what_is_given_up_is_claimed_once(suite: Suite) {
    begin(&*suite.one, &suite.id);
    let (one, other) = (servers(&*suite.one), servers(&*suite.other));
    assert_eq!(one.release(Some(&suite.id)), Ok(()));
    assert_eq!((one.is_served(&suite.id), other.is_served_elsewhere(&suite.id)), (Ok(false), Ok(false)));
    assert_eq!(other.claim(Some(&SessionId::new(NOW, 9))), Ok(vec![]), "it is another one that is asked for");
    assert_eq!(other.claim(Some(&suite.id)), Ok(suite.claimed(false)), "nobody was lost");
    assert_eq!((other.claim(None), one.claim(None)), (Ok(vec![]), Ok(vec![])));
    assert_eq!(one.is_served_elsewhere(&suite.id), Ok(true));
    assert_eq!(one.was_taken_over(&suite.id), Ok(true));
    assert_eq!(suite.step(&*suite.one, 2), Err(StorageError::TakenOver));
    assert_eq!(suite.step(&*suite.other, 3), Ok(Outcome::Done));
    assert_eq!(other.release(None), Ok(()));
    assert_eq!(one.claim(None), Ok(suite.claimed(false)));
}

fn what_a_lost_server_had_is_claimed_as_lost(suite: Suite) {
    begin(&*suite.one, &suite.id);
    let Suite { one, other, id } = suite;
    assert_eq!(servers(&*other).claim(None), Ok(vec![]));
    drop(one);
    assert_eq!(servers(&*other).is_served(&id), Ok(false));
    assert_eq!(servers(&*other).claim(None), Ok(vec![Claimed { session: id.clone(), was_lost: true }]));
    assert_eq!(servers(&*other).claim(None), Ok(vec![]));
    assert_eq!(servers(&*other).is_served(&id), Ok(true));
}

fn only_sessions_that_are_not_over_are_claimed(suite: Suite) {
    let states = [SessionState::Finished, SessionState::Broken, SessionState::Cancelled, SessionState::Moved];
    for (state, number) in states.into_iter().zip(2..) {
        let id = SessionId::new(NOW, number);
        begin(&*suite.one, &id);
        let over = Commit { put: vec![session(state)], ..Commit::new(stamp(2)) };
        assert_eq!(commit(&*suite.one, &id, over), Ok(Outcome::Done));
    }
    begin(&*suite.one, &suite.id);
    let moving = Commit { put: vec![session(SessionState::Moving)], ..Commit::new(stamp(2)) };
    assert_eq!(commit(&*suite.one, &suite.id, moving), Ok(Outcome::Done));
    assert_eq!(servers(&*suite.one).release(None), Ok(()));
    assert_eq!(servers(&*suite.other).claim(None), Ok(suite.claimed(false)), "one in transit is not over");
}

fn of_two_who_claim_each_session_has_one(suite: Suite) {
    let ids: Vec<SessionId> = (1..=40).map(|number| SessionId::new(NOW, number)).collect();
    ids.iter().for_each(|id| begin(&*suite.one, id));
    assert_eq!(servers(&*suite.one).release(None), Ok(()));
    let claim = |storage: &Arc<dyn Storage>| {
        let claimed = (0..20).map(|_| servers(&**storage).claim(None).expect("sessions can be claimed"));
        claimed.flatten().map(|claimed| claimed.session).collect::<Vec<_>>()
    };
    let all: Vec<SessionId> = thread::scope(|scope| {
        let claiming = [&suite.one, &suite.other].map(|storage| scope.spawn(move || claim(storage)));
        claiming.into_iter().flat_map(|claiming| claiming.join().expect("a server claims")).collect()
    });
    let different: BTreeSet<&SessionId> = all.iter().collect();
    assert_eq!((all.len(), different.len()), (ids.len(), ids.len()));
}

fn a_server_knows_what_is_to_be_done(suite: Suite) {
    begin(&*suite.one, &suite.id);
    let put = vec![
        live(1, Status::Sleeping(LATER)),
        live(2, Status::Sleeping(MUCH_LATER)),
        live(3, Status::Waiting(Awaited::Thread(9))),
        live(4, Status::Waiting(Awaited::Thread(9))),
        live(5, Status::Runnable),
        Record::Ready(ThreadId(4), Demand::default()),
    ];
    assert_eq!(commit(&*suite.one, &suite.id, Commit { put, ..Commit::new(stamp(7)) }), Ok(Outcome::Done));
    let (one, other) = (servers(&*suite.one), servers(&*suite.other));
    let due = |servers: &dyn Servers, after, now| {
        let agenda = servers.due(after, now, Timestamp::MAX).expect("due threads can be found");
        (agenda.now.into_iter().map(|(_, thread)| thread.0).collect::<Vec<_>>(), agenda.next)
    };
    let before = Timestamp(LATER.0 - 1);
    assert_eq!(due(one, NOW, before), (vec![], Some(LATER)));
    assert_eq!(due(one, before, LATER), (vec![1], Some(MUCH_LATER)));
    assert_eq!(due(one, LATER, MUCH_LATER), (vec![2], None), "what was found before is not found again");
    assert_eq!(one.due(NOW, before, before).expect("due threads can be found").next, None, "it is beyond the horizon");
    let woken = Woken { session: suite.id.clone(), thread: ThreadId(4), stamp: stamp(7) };
    assert_eq!(one.woken(), Ok(vec![woken.clone()]));
    assert_eq!((due(other, NOW, MUCH_LATER), other.woken()), ((vec![], None), Ok(vec![])), "it is another's session");
    assert_eq!(one.release(None), Ok(()));
    assert_eq!(other.claim(None), Ok(suite.claimed(false)));
    assert_eq!(other.active(&suite.claimed(false), LATER), Ok(suite.claimed(false)));
    let threads = |numbers: &[u64]| numbers.iter().copied().map(ThreadId).collect::<Vec<_>>();
    let left = Unattended { interrupted: threads(&[4, 5]), due: threads(&[1]) };
    assert_eq!(other.unattended(&suite.id, LATER), Ok(left));
    assert_eq!((due(one, NOW, LATER).0, due(other, NOW, LATER).0), (vec![], vec![1]));
    assert_eq!((one.woken(), other.woken()), (Ok(vec![]), Ok(vec![woken])));
}
