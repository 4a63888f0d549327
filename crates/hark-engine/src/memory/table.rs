//! The records in memory that belong neither to a thread nor to its Future. There are few of them.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::failure::Failure;
use crate::id::{FutureId, Stamp, ThreadId};
use crate::record::{FutureRecord, Key, Live, Record, SessionRecord, Started, Status, Versioned, Waiter};

#[derive(Debug, Default)]
pub(super) struct Table {
    session: Option<(Stamp, SessionRecord)>,
    promises: BTreeMap<FutureId, (Stamp, FutureRecord)>,
    waits: BTreeMap<(FutureId, ThreadId), (Stamp, Waiter)>,
    todos: BTreeMap<FutureId, Stamp>,
    cascades: BTreeMap<ThreadId, (Stamp, Started)>,
    unawaited: BTreeMap<ThreadId, (Stamp, Box<Failure>)>,
    /// Failed threads without their states, because a session in memory cannot be retried.
    broken: BTreeMap<ThreadId, Stamp>,
}

impl Table {
    pub fn read(&self, key: &Key) -> Option<Versioned> {
        let stamp = self.stamp(key)?;
        let record = match key {
            Key::Session => Record::Session(Box::new(self.session.as_ref()?.1.clone())),
            Key::Future(future) => Record::Future(future.clone(), self.promises.get(future)?.1.clone()),
            Key::Wait { future, waiter } => {
                let (_, waiter) = self.waits.get(&(future.clone(), *waiter))?;
                wait(future, waiter)
            }
            Key::Todo(future) => Record::Todo(future.clone()),
            Key::Cascade(thread) => Record::Cascade(*thread, self.cascades.get(thread)?.1.clone()),
            Key::Unawaited(thread) => Record::Unawaited(*thread, self.unawaited.get(thread)?.1.clone()),
            Key::Broken(thread) => broken(*thread),
            Key::Live(_) | Key::Ready(_) | Key::Cancel(_) => return None,
        };
        Some(Versioned { stamp, record })
    }

    pub fn stamp(&self, key: &Key) -> Option<Stamp> {
        match key {
            Key::Session => Some(self.session.as_ref()?.0),
            Key::Future(future) => Some(self.promises.get(future)?.0),
            Key::Wait { future, waiter } => Some(self.waits.get(&(future.clone(), *waiter))?.0),
            Key::Todo(future) => self.todos.get(future).copied(),
            Key::Cascade(thread) => Some(self.cascades.get(thread)?.0),
            Key::Unawaited(thread) => Some(self.unawaited.get(thread)?.0),
            Key::Broken(thread) => self.broken.get(thread).copied(),
            Key::Live(_) | Key::Ready(_) | Key::Cancel(_) => None,
        }
    }

    pub fn put(&mut self, record: Record, stamp: Stamp) {
        match record {
            Record::Session(session) => self.session = Some((stamp, *session)),
            Record::Future(future, record) => drop(self.promises.insert(future, (stamp, record))),
            Record::Wait { future, waiter } => {
                self.waits.insert((future, waiter.thread), (stamp, waiter));
            }
            Record::Todo(future) => drop(self.todos.insert(future, stamp)),
            Record::Cascade(thread, started) => drop(self.cascades.insert(thread, (stamp, started))),
            Record::Unawaited(thread, failure) => drop(self.unawaited.insert(thread, (stamp, failure))),
            Record::Broken(thread, _) => drop(self.broken.insert(thread, stamp)),
            Record::Live(..) | Record::Ready(..) | Record::Cancel(_) => {}
        }
    }

    pub fn delete(&mut self, key: &Key) {
        match key {
            Key::Session => self.session = None,
            Key::Future(future) => drop(self.promises.remove(future)),
            Key::Wait { future, waiter } => drop(self.waits.remove(&(future.clone(), *waiter))),
            Key::Todo(future) => drop(self.todos.remove(future)),
            Key::Cascade(thread) => drop(self.cascades.remove(thread)),
            Key::Unawaited(thread) => drop(self.unawaited.remove(thread)),
            Key::Broken(thread) => drop(self.broken.remove(thread)),
            Key::Live(_) | Key::Ready(_) | Key::Cancel(_) => {}
        }
    }

    pub fn waiters(&self, future: &FutureId, limit: usize) -> Vec<Record> {
        let range = (future.clone(), ThreadId(0))..=(future.clone(), ThreadId(u64::MAX));
        let waits = self.waits.range(range).take(limit);
        waits.map(|((future, _), (_, waiter))| wait(future, waiter)).collect()
    }

    pub fn crowds(&self, limit: usize) -> Vec<Record> {
        let mut crowds: Vec<Record> = Vec::new();
        let mut from = Bound::Unbounded;
        while crowds.len() < limit
            && let Some(((future, _), (_, waiter))) = self.waits.range((from, Bound::Unbounded)).next()
        {
            crowds.push(wait(future, waiter));
            from = Bound::Excluded((future.clone(), ThreadId(u64::MAX)));
        }
        crowds
    }

    pub fn todos(&self, limit: usize) -> Vec<Record> {
        self.todos.keys().take(limit).map(|future| Record::Todo(future.clone())).collect()
    }

    pub fn cascades(&self, limit: usize) -> Vec<Record> {
        let cascades = self.cascades.iter().take(limit);
        cascades.map(|(thread, (_, started))| Record::Cascade(*thread, started.clone())).collect()
    }

    pub fn unawaited(&self, limit: usize) -> Vec<Record> {
        let failures = self.unawaited.iter().take(limit);
        failures.map(|(thread, (_, failure))| Record::Unawaited(*thread, failure.clone())).collect()
    }

    pub fn broken(&self, limit: usize) -> Vec<Record> {
        self.broken.keys().take(limit).map(|thread| broken(*thread)).collect()
    }
}

fn wait(future: &FutureId, waiter: &Waiter) -> Record {
    Record::Wait { future: future.clone(), waiter: waiter.clone() }
}

fn broken(thread: ThreadId) -> Record {
    Record::Broken(thread, Live::without_state(Status::Runnable))
}
