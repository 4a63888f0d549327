//! The suite of the byte port: what the engine relies on, beneath what whole records show of it.
//!
//! [`check_storage`](super::check_storage) sees records, and the engine repairs or hides some of what a storage does wrong with their
//! rows until a session needs it. So this suite makes changes of rows itself, with the rows that the engine would write.

mod changes;
mod due;
mod listing;
mod moving;
mod parts;
mod scans;

use std::num::NonZeroU64;
use std::sync::Arc;

use hark_machine::{Thread, Value};

use super::sample::{about, program};
use crate::codec::row::{Sealer, encode};
use crate::commit::Outcome;
use crate::id::{FutureId, SessionId, Stamp, ThreadId};
use crate::record::{About, Due, FutureRecord, Interest, Key, Live, Record, SessionRecord, SessionState, Waiter};
use crate::rows::{KeptProgram, Lookup, Row, RowChange, RowStorage, SessionRows};
use crate::surroundings::Timestamp;

/// Checks a storage of rows. `make` gives an empty one each time. What is due is checked where the engine takes threads
/// ([`RowTenure::Due`](crate::rows::RowTenure::Due)).
///
/// # Panics
/// If the storage does not fulfill the contract.
pub fn check_rows(make: &dyn Fn() -> Arc<dyn RowStorage>) {
    let checks = [changes::CHECKS, scans::CHECKS, parts::CHECKS, listing::CHECKS, due::CHECKS, moving::CHECKS];
    for check in checks.into_iter().flatten() {
        let storage = make();
        let id = SessionId::new(Timestamp(1_000_000), 1);
        let rows = storage.session(&id).expect("a session can be opened");
        let suite = Suite { storage, id, rows };
        suite.begin(&suite.id);
        check(&suite);
    }
}

type Check = fn(&Suite);

struct Suite {
    storage: Arc<dyn RowStorage>,
    id: SessionId,
    rows: Arc<dyn SessionRows>,
}

/// The version of the record of a session that has begun.
const BEGUN: u64 = 1_000_000;

fn stamp(number: u64) -> Stamp {
    Stamp(NonZeroU64::new(number).expect("a stamp is not 0"))
}

fn change(number: u64) -> RowChange {
    RowChange {
        stamp: stamp(number),
        by_server: false,
        expect: Vec::new(),
        fresh: Vec::new(),
        put: Vec::new(),
        delete: Vec::new(),
        renew: None,
        parts: Vec::new(),
        history: Vec::new(),
        program: None,
    }
}

fn session(state: SessionState, ended: Option<u64>) -> Record {
    let about = About { program: program().hash().to_string(), ..(*about()).clone() };
    Record::Session(Box::new(SessionRecord {
        state,
        ended: ended.map(Timestamp),
        ..SessionRecord::new(Arc::new(about))
    }))
}

/// A thread with this argument.
fn live(thread: u64, argument: i64) -> Record {
    Record::Live(ThreadId(thread), Live::new(Thread::new(Value::Null, vec![Value::Integer(argument)])))
}

fn broken(thread: u64) -> Record {
    Record::Broken(ThreadId(thread), Live::new(Thread::new(Value::Null, vec![Value::Null])))
}

fn resolved(future: impl Into<FutureId>, value: i64) -> Record {
    Record::Future(future.into(), FutureRecord::Resolved(Value::Integer(value)))
}

fn promise(name: &str) -> FutureId {
    FutureId::Promise(name.into())
}

fn wait(future: impl Into<FutureId>, waiter: u64) -> Record {
    Record::Wait { future: future.into(), waiter: Waiter::new(ThreadId(waiter), Interest::Outcome) }
}

impl Suite {
    /// The session as another process has it.
    fn elsewhere(&self) -> Arc<dyn SessionRows> {
        self.storage.session(&self.id).expect("a session can be opened")
    }

    fn row_of(&self, id: &SessionId, number: u64, record: &Record, due: Option<Due>) -> (Key, Row) {
        let encoded = encode(record, due, stamp(number), &Sealer::new(id), &program());
        (encoded.key, encoded.row)
    }

    /// A record as the commit of this number writes it.
    fn row(&self, number: u64, record: &Record) -> (Key, Row) {
        self.row_of(&self.id, number, record, None)
    }

    fn rows(&self, number: u64, records: &[Record]) -> Vec<(Key, Row)> {
        records.iter().map(|record| self.row(number, record)).collect()
    }

    fn beginning(&self, id: &SessionId) -> RowChange {
        RowChange {
            expect: vec![(Key::Session, None)],
            put: vec![self.row_of(id, BEGUN, &session(SessionState::Running, None), None)],
            program: Some(KeptProgram(program())),
            ..change(BEGUN)
        }
    }

    fn begin(&self, id: &SessionId) {
        // Where sessions have servers, a server's numbers are its own.
        let others = || self.storage.session(id).expect("a session can be opened");
        let rows = if *id == self.id { self.rows.clone() } else { others() };
        assert_eq!(rows.commit(self.beginning(id)), Ok(Outcome::Done));
        rows.reserve(2_000).expect("numbers can be reserved");
    }

    fn done(&self, change: RowChange) {
        assert_eq!(self.rows.commit(change), Ok(Outcome::Done));
    }

    fn put(&self, number: u64, records: &[Record]) {
        self.done(RowChange { put: self.rows(number, records), ..change(number) });
    }

    fn read(&self, key: &Key) -> Option<Row> {
        let mut found = self.elsewhere().read(&[Lookup { key, known: None }]).expect("rows can be read");
        assert_eq!(found.len(), 1, "there is an entry for each key");
        found.pop().flatten()
    }

    fn version(&self, key: &Key) -> Option<u64> {
        self.read(key).map(|row| row.stamp.0.get())
    }
}
