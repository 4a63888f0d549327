//! The storage in memory, which is the reference for all others.
//!
//! Threads are numbered densely, so their records are in pages of 64, each with its own lock. The few records of other
//! kinds are in ordered maps. Nothing is encoded, and a thread's state is moved out to its reader.

mod pages;
mod space;
mod table;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hark_machine::Program;
use smallvec::SmallVec;

use crate::commit::{Commit, Outcome, Renewal};
use crate::id::{FutureId, SessionId, Stamp, ThreadId};
use crate::limits::LOCAL_COMMIT_RECORDS_MAX;
use crate::record::{Key, Record, Versioned};
use crate::space::Space;
use crate::storage::{Range, SessionStorage, Storage, StorageError, reserved};
use pages::{Page, Pages};
use space::MemorySpace;
use table::Table;

/// Stores sessions for as long as they are referenced.
#[derive(Debug, Default, Clone)]
pub struct MemoryStorage {
    space: Arc<MemorySpace>,
}

impl Storage for MemoryStorage {
    fn session(&self, _id: &SessionId, _program: &Arc<Program>) -> Result<Arc<dyn SessionStorage>, StorageError> {
        Ok(Arc::new(MemorySession::default()))
    }

    fn space(&self) -> &dyn Space {
        &*self.space
    }
}

#[derive(Debug, Default)]
struct MemorySession {
    pages: Pages,
    /// Lock order: the table, then pages by their number.
    table: Mutex<Table>,
    next_thread: AtomicU64,
    /// No thread before this one is live. Threads stop for good and new ones have greater numbers, so the search for a
    /// live thread need not start from the beginning each time.
    first_live: AtomicU64,
}

/// The place of a record.
enum Home {
    Page(u64),
    Table,
}

fn home(key: &Key) -> Home {
    match key {
        Key::Live(thread) | Key::Ready(thread) | Key::Cancel(thread) | Key::Future(FutureId::Thread(thread)) => {
            Home::Page(pages::page_of(*thread))
        }
        _ => Home::Table,
    }
}

/// The locks held by a commit: those of all its records.
struct Locked<'a> {
    table: Option<MutexGuard<'a, Table>>,
    /// Invariant: sorted by number. At most two, unless many threads are started or woken.
    pages: SmallVec<[(u64, MutexGuard<'a, Page>); 2]>,
}

impl SessionStorage for MemorySession {
    fn read(&self, keys: &[Key], found: &mut Vec<Option<Versioned>>) -> Result<(), StorageError> {
        // Adjacent keys of the same page are read under one lock.
        let mut held: Option<(u64, MutexGuard<'_, Page>)> = None;
        for key in keys {
            match home(key) {
                Home::Table => found.push(lock(&self.table).read(key)),
                Home::Page(number) => {
                    if held.as_ref().is_none_or(|(known, _)| *known != number) {
                        drop(held.take());
                        held = Some((number, self.pages.lock(number)));
                    }
                    found.push(held.as_mut().and_then(|(_, page)| page.read(key)));
                }
            }
        }
        Ok(())
    }

    fn scan(&self, range: Range, limit: usize) -> Result<Vec<Record>, StorageError> {
        match range {
            Range::Live(from) => Ok(self.scan_live(from, limit)),
            Range::Waiters(future) => Ok(lock(&self.table).waiters(&future, limit)),
            Range::Crowds => Ok(lock(&self.table).crowds(limit)),
            Range::Todos => Ok(lock(&self.table).todos(limit)),
            Range::Cascades => Ok(lock(&self.table).cascades(limit)),
            Range::Broken => Ok(lock(&self.table).broken(limit)),
            Range::Unawaited => Ok(lock(&self.table).unawaited(limit)),
        }
    }

    fn commit(&self, commit: &mut Commit) -> Result<Outcome, StorageError> {
        let mut locked = self.lock_all(commit);
        if !commit.expect.iter().all(|(key, stamp)| locked.stamp(key) == *stamp) {
            return Ok(Outcome::Conflict);
        }
        for records in [&mut commit.fresh, &mut commit.put] {
            for record in records.drain(..) {
                locked.put(record, commit.stamp);
            }
        }
        for key in commit.delete.drain(..) {
            locked.delete(&key);
        }
        if let Some(renewal) = commit.renew.take() {
            locked.renew(renewal, commit.stamp);
        }
        commit.expect.clear();
        Ok(Outcome::Done)
    }

    fn commit_records_max(&self) -> usize {
        LOCAL_COMMIT_RECORDS_MAX
    }

    fn reserve(&self, count: u64) -> Result<ThreadId, StorageError> {
        reserved(self.next_thread.fetch_add(count, Ordering::Relaxed), count)
    }
}

impl MemorySession {
    fn lock_all(&self, commit: &Commit) -> Locked<'_> {
        let mut numbers: SmallVec<[u64; 8]> = SmallVec::new();
        let mut table = false;
        let mut note = |home| match home {
            Home::Table => table = true,
            // Records of a page are mostly adjacent.
            Home::Page(number) if numbers.last() == Some(&number) => {}
            Home::Page(number) => numbers.push(number),
        };
        commit.expect.iter().for_each(|(key, _)| note(home(key)));
        commit.delete.iter().for_each(|key| note(home(key)));
        commit.put.iter().for_each(|record| note(home(&record.key())));
        commit.fresh.iter().for_each(|record| note(home(&record.key())));
        if numbers.len() > 1 {
            numbers.sort_unstable();
            numbers.dedup();
        }
        let mut locked = Locked { table: table.then(|| lock(&self.table)), pages: SmallVec::new() };
        for number in numbers {
            locked.pages.push((number, self.pages.lock(number)));
        }
        locked
    }

    fn scan_live(&self, from: ThreadId, limit: usize) -> Vec<Record> {
        let known = self.first_live.load(Ordering::Acquire);
        let end = self.next_thread.load(Ordering::Acquire);
        let start = from.0.max(known);
        let mut found = Vec::new();
        let mut number = pages::page_of(ThreadId(start));
        while found.len() < limit && pages::first_of(number).0 < end {
            self.pages.lock(number).scan_live(ThreadId(start), limit, &mut found, pages::first_of(number));
            number += 1;
        }
        if from.0 <= known {
            let first = match found.first() {
                Some(Record::Live(thread, _)) => thread.0,
                _ => start,
            };
            self.first_live.fetch_max(first, Ordering::AcqRel);
        }
        found
    }
}

impl Locked<'_> {
    fn page(&mut self, number: u64) -> Option<&mut Page> {
        let index = self.pages.binary_search_by_key(&number, |(known, _)| *known).ok()?;
        self.pages.get_mut(index).map(|(_, page)| &mut **page)
    }

    fn stamp(&mut self, key: &Key) -> Option<Stamp> {
        match home(key) {
            Home::Page(number) => self.page(number).and_then(|page| page.stamp(key)),
            Home::Table => self.table.as_ref().and_then(|table| table.stamp(key)),
        }
    }

    fn put(&mut self, record: Record, stamp: Stamp) {
        match home(&record.key()) {
            Home::Page(number) => {
                if let Some(page) = self.page(number) {
                    page.put(record, stamp);
                }
            }
            Home::Table => {
                if let Some(table) = &mut self.table {
                    table.put(record, stamp);
                }
            }
        }
    }

    fn renew(&mut self, renewal: Renewal, stamp: Stamp) {
        if let Some(page) = self.page(pages::page_of(renewal.thread)) {
            page.renew(renewal, stamp);
        }
    }

    fn delete(&mut self, key: &Key) {
        match home(key) {
            Home::Page(number) => {
                if let Some(page) = self.page(number) {
                    page.delete(key);
                }
            }
            Home::Table => {
                if let Some(table) = &mut self.table {
                    table.delete(key);
                }
            }
        }
    }
}

/// Locks a mutex, ignoring poisoning: no step of a change can panic, so nothing is half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
