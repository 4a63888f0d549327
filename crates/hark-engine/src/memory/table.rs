//! The records in memory that are not a thread's or a Future's own. There are few of them.

use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::id::{Stamp, ThreadId};
use crate::record::{Key, Record, SessionRecord, Versioned};

#[derive(Debug, Default)]
pub(super) struct Table {
    session: Option<(Stamp, SessionRecord)>,
    waits: BTreeMap<(ThreadId, ThreadId), Stamp>,
    todos: BTreeMap<ThreadId, Stamp>,
    unawaited: BTreeMap<ThreadId, (Stamp, Box<Failure>)>,
}

impl Table {
    pub fn read(&self, key: Key) -> Option<Versioned> {
        let stamp = self.stamp(key)?;
        let record = match key {
            Key::Session => Record::Session(self.session.as_ref()?.1.clone()),
            Key::Wait { future, waiter } => Record::Wait { future, waiter },
            Key::Todo(future) => Record::Todo(future),
            Key::Unawaited(thread) => Record::Unawaited(thread, self.unawaited.get(&thread)?.1.clone()),
            Key::Live(_) | Key::Ready(_) | Key::Future(_) => return None,
        };
        Some(Versioned { stamp, record })
    }

    pub fn stamp(&self, key: Key) -> Option<Stamp> {
        match key {
            Key::Session => Some(self.session.as_ref()?.0),
            Key::Wait { future, waiter } => self.waits.get(&(future, waiter)).copied(),
            Key::Todo(future) => self.todos.get(&future).copied(),
            Key::Unawaited(thread) => Some(self.unawaited.get(&thread)?.0),
            Key::Live(_) | Key::Ready(_) | Key::Future(_) => None,
        }
    }

    pub fn put(&mut self, record: Record, stamp: Stamp) {
        match record {
            Record::Session(session) => self.session = Some((stamp, session)),
            Record::Wait { future, waiter } => drop(self.waits.insert((future, waiter), stamp)),
            Record::Todo(future) => drop(self.todos.insert(future, stamp)),
            Record::Unawaited(thread, failure) => drop(self.unawaited.insert(thread, (stamp, failure))),
            Record::Live(..) | Record::Ready(_) | Record::Future(..) => {}
        }
    }

    pub fn delete(&mut self, key: Key) {
        match key {
            Key::Session => self.session = None,
            Key::Wait { future, waiter } => drop(self.waits.remove(&(future, waiter))),
            Key::Todo(future) => drop(self.todos.remove(&future)),
            Key::Unawaited(thread) => drop(self.unawaited.remove(&thread)),
            Key::Live(_) | Key::Ready(_) | Key::Future(_) => {}
        }
    }

    pub fn waiters(&self, future: ThreadId, limit: usize) -> Vec<Record> {
        let range = (future, ThreadId(0))..=(future, ThreadId(u64::MAX));
        let waits = self.waits.range(range).take(limit);
        waits.map(|((future, waiter), _)| Record::Wait { future: *future, waiter: *waiter }).collect()
    }

    pub fn unawaited(&self, limit: usize) -> Vec<Record> {
        let failures = self.unawaited.iter().take(limit);
        failures.map(|(thread, (_, failure))| Record::Unawaited(*thread, failure.clone())).collect()
    }
}
