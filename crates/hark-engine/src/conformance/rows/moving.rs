//! A session that is moved while another process takes its threads: it runs here or is moved, and never both.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{BEGUN, Check, Suite, change, live, program, session, stamp};
use crate::commit::Outcome;
use crate::conformance::leases::without_sessions;
use crate::demand::Demand;
use crate::encoded::Encoded;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::leases::{KnownSession, Leases, Left, Taken, Terms};
use crate::outside::{ExportError, Outside, OutsideError};
use crate::place::Pools;
use crate::record::{Due, Key, Record, SessionState};
use crate::rows::{
    DueKind, DueNumber, DueRow, DueRows, Row, RowChange, RowStorage, RowTenure, SessionEntry, SessionRows, SetDue,
};
use crate::space::Space;
use crate::storage::{Catalog, Filter, Storage, StorageError};
use crate::surroundings::{Surroundings, Timestamp};

pub(super) const CHECKS: &[Check] =
    &[no_thread_is_taken_of_a_session_that_is_moving, no_session_is_moved_of_which_a_thread_is_taken];

const NOW: Timestamp = Timestamp(1_000_000_000);
const LATER: Timestamp = Timestamp(2_000_000_000);

fn terms(now: Timestamp) -> Terms {
    Terms { now, until: now.after(Duration::from_secs(100)) }
}

fn no_thread_is_taken_of_a_session_that_is_moving(suite: &Suite) {
    let RowTenure::Due(_) = suite.storage.tenure() else { return };
    let (ready, at) = (Record::Ready(ThreadId(2), Demand::default()), Some(Due::At(NOW)));
    let put = [(live(1, 1), at), (live(2, 1), None), (ready, at)];
    suite.done(RowChange {
        put: put.iter().map(|(record, due)| suite.row_of(&suite.id, 1, record, *due)).collect(),
        ..change(1)
    });
    let moves = RowChange { put: suite.rows(2, &[session(SessionState::Moving, None)]), ..change(2) };
    let storage = Interrupted { storage: suite.storage.clone(), by: Mutex::new(Some((suite.rows.clone(), moves))) };
    let storage = Encoded::new(Arc::new(storage));
    let take = |now, number| {
        let taken = storage.take(None, &Pools::All, terms(now), stamp(number), 9);
        without_sessions(taken.expect("threads can be taken"))
    };
    assert_eq!(take(NOW, 3), [], "it was marked before its threads were leased");
    assert_eq!(storage.has_held_threads(&suite.id, NOW), Ok(false), "nothing is left in the mover's way");
    suite.put(4, &[session(SessionState::Running, None)]);
    let taken = |thread, held| {
        let (session, left, known) = (suite.id.clone(), Left::Free, KnownSession::Nothing);
        Taken { session, thread: ThreadId(thread), demand: Demand::default(), held, left, known }
    };
    assert_eq!(take(LATER, 5), [taken(1, Some(stamp(3))), taken(2, None)], "the move was undone");
}

fn no_session_is_moved_of_which_a_thread_is_taken(suite: &Suite) {
    let RowTenure::Due(_) = suite.storage.tenure() else { return };
    let at = Some(Due::At(NOW));
    for (number, records) in [
        (1, [(live(1, 1), at)].as_slice()),
        (2, &[(live(1, 1), None), (Record::Ready(ThreadId(1), Demand::default()), at)]),
    ] {
        let put = records.iter().map(|(record, due)| suite.row_of(&suite.id, number, record, *due)).collect();
        suite.done(RowChange { put, ..change(number) });
        let storage = Encoded::new(suite.storage.clone());
        let (_, record) = storage.record(&suite.id).expect("it can be read").expect("it has begun");
        let records = storage.session(&suite.id, &program()).expect("a session can be opened");
        let take = || {
            let taken =
                storage.take(None, &Pools::All, terms(NOW), stamp(10 + number), 9).expect("threads can be taken");
            assert_eq!(taken.len(), 1);
        };
        let surroundings = Between { looks: Mutex::new(0), happens: &take };
        let mover = Outside::with_records(&storage, &surroundings, &suite.id, record, program(), records);
        let moved = mover.export(|_| Ok::<(), ()>(()));
        assert!(matches!(moved, Err(ExportError::Refused(OutsideError::Served))), "{number}: {moved:?}");
        let state = suite.read(&Key::Session).and_then(|row| row.listing).map(|listing| listing.state);
        assert_eq!(state.as_deref(), Some("running"));
    }
    assert_ne!(suite.version(&Key::Session), Some(BEGUN), "it was marked, and the mark was taken back");
}

/// Time, in which something happens between the look whether a session is held and its mark.
struct Between<'a> {
    looks: Mutex<usize>,
    happens: &'a (dyn Fn() + Sync),
}

impl Surroundings for Between<'_> {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn steady_now(&self) -> Timestamp {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        *looks += 1;
        if *looks == 2 {
            (self.happens)();
        }
        NOW
    }

    fn pause(&self, _: Duration) {}

    fn random(&self) -> u64 {
        *self.looks.lock().unwrap_or_else(PoisonError::into_inner) as u64
    }
}

/// A storage in which a change is made before due times are set for the first time.
struct Interrupted {
    storage: Arc<dyn RowStorage>,
    by: Mutex<Option<(Arc<dyn SessionRows>, RowChange)>>,
}

impl Interrupted {
    fn due_rows(&self) -> &dyn DueRows {
        match self.storage.tenure() {
            RowTenure::Due(rows) => rows,
            _ => unreachable!("only storages whose engine leases threads are interrupted"),
        }
    }
}

impl DueRows for Interrupted {
    fn lease(&self) -> Duration {
        self.due_rows().lease()
    }

    fn due(
        &self,
        kind: DueKind<'_>,
        only: Option<&SessionId>,
        after: DueNumber,
        until: DueNumber,
        limit: usize,
    ) -> Result<Vec<DueRow>, StorageError> {
        self.due_rows().due(kind, only, after, until, limit)
    }

    fn set_due(&self, changes: &[SetDue]) -> Result<Vec<bool>, StorageError> {
        if let Some((rows, change)) = self.by.lock().unwrap_or_else(PoisonError::into_inner).take() {
            assert_eq!(rows.commit(change), Ok(Outcome::Done));
        }
        self.due_rows().set_due(changes)
    }
}

impl RowStorage for Interrupted {
    fn name(&self) -> String {
        self.storage.name()
    }

    fn session(&self, id: &SessionId) -> Result<Arc<dyn SessionRows>, StorageError> {
        self.storage.session(id)
    }

    fn space(&self) -> &dyn Space {
        self.storage.space()
    }

    fn tenure(&self) -> RowTenure<'_> {
        RowTenure::Due(self)
    }

    fn put_program(&self, hash: &str, program: &[u8]) -> Result<(), StorageError> {
        self.storage.put_program(hash, program)
    }

    fn program(&self, hash: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.storage.program(hash)
    }

    fn summary(&self, id: &SessionId) -> Result<Option<Row>, StorageError> {
        self.storage.summary(id)
    }

    fn sessions(&self, filter: &Filter) -> Result<Vec<SessionEntry>, StorageError> {
        self.storage.sessions(filter)
    }

    fn remove(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.storage.remove(id, expected)
    }

    fn clear(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.storage.clear(id, expected)
    }

    fn wait_for_news(&self, at_most: Duration) -> bool {
        self.storage.wait_for_news(at_most)
    }

    fn ring(&self) {
        self.storage.ring();
    }

    fn announce(&self) {
        self.storage.announce();
    }
}
