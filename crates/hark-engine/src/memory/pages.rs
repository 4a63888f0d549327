//! The records of threads in memory, in pages of 64 threads.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::commit::Renewal;
use crate::demand::Demand;
use crate::id::{FutureId, Stamp, ThreadId};
use crate::record::{FutureRecord, Key, Live, Record, Status, Versioned};

const ROWS: u64 = 64;

/// Pages by number. They never move, so finding one needs no lock: each group is twice as large as the one before.
#[derive(Debug)]
pub(super) struct Pages {
    groups: [OnceLock<Box<[Mutex<Page>]>>; 64],
}

/// 64 threads and their Futures.
#[derive(Debug, Default)]
pub(super) struct Page {
    futures: Vec<Option<FutureRow>>,
    /// Freed when all 64 have stopped, because only the Futures of stopped threads must remain.
    lives: Vec<LiveRow>,
    live_count: u64,
}

#[derive(Debug)]
struct FutureRow {
    stamp: Stamp,
    record: FutureRecord,
}

#[derive(Debug, Default)]
struct LiveRow {
    /// The version of `live/n`, while it exists.
    stamp: Option<Stamp>,
    /// The version of `ready/n`, while it exists. Only a live thread needs it, and it is deleted with the thread.
    ready: Option<Stamp>,
    /// The version of `cancel/n`, likewise.
    cancel: Option<Stamp>,
    /// The thread that started it.
    parent: ThreadId,
    /// Absent while a worker runs the thread.
    live: Option<Box<Live>>,
}

/// The page of a thread's records.
pub(super) fn page_of(thread: ThreadId) -> u64 {
    thread.0 / ROWS
}

/// The first thread of a page.
pub(super) fn first_of(page: u64) -> ThreadId {
    ThreadId(page * ROWS)
}

fn row_of(thread: ThreadId) -> usize {
    (thread.0 % ROWS) as usize
}

impl Default for Pages {
    fn default() -> Pages {
        Pages { groups: [const { OnceLock::new() }; 64] }
    }
}

impl Pages {
    /// Locks a page, creating it if necessary.
    pub fn lock(&self, number: u64) -> MutexGuard<'_, Page> {
        // Group g has 2^g pages, starting with page 2^g - 1.
        let group = (number + 1).ilog2();
        let pages = self.groups[group as usize].get_or_init(|| (0..1_u64 << group).map(|_| Mutex::default()).collect());
        let index = (number + 1 - (1 << group)) as usize;
        pages[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    pub fn read(&mut self, key: &Key) -> Option<Versioned> {
        let stamp = self.stamp(key)?;
        let record = match key {
            Key::Live(thread) => {
                let live = self.lives.get_mut(row_of(*thread))?.live.take();
                Record::Live(*thread, live.unwrap_or_else(|| Live::without_state(Status::Runnable)))
            }
            // The session knows the demands of all its threads.
            Key::Ready(thread) => Record::Ready(*thread, Demand::default()),
            Key::Cancel(thread) => Record::Cancel(*thread),
            Key::Future(FutureId::Thread(thread)) => {
                Record::Future((*thread).into(), self.future(*thread)?.record.clone())
            }
            _ => return None,
        };
        Some(Versioned { stamp, record })
    }

    pub fn stamp(&self, key: &Key) -> Option<Stamp> {
        match key {
            Key::Live(thread) => self.lives.get(row_of(*thread))?.stamp,
            Key::Ready(thread) => self.lives.get(row_of(*thread))?.ready,
            Key::Cancel(thread) => self.lives.get(row_of(*thread))?.cancel,
            Key::Future(FutureId::Thread(thread)) => Some(self.future(*thread)?.stamp),
            _ => None,
        }
    }

    pub fn put(&mut self, record: Record, stamp: Stamp) {
        match record {
            Record::Live(thread, live) => {
                let row = row_at(&mut self.lives, row_of(thread));
                self.live_count += u64::from(row.stamp.is_none());
                row.stamp = Some(stamp);
                row.parent = live.parent;
                row.live = Some(live);
            }
            // A stopped thread need not be woken, and its row may be gone.
            Record::Ready(thread, _) => {
                if let Some(row) = self.lives.get_mut(row_of(thread)).filter(|row| row.stamp.is_some()) {
                    row.ready = Some(stamp);
                }
            }
            Record::Cancel(thread) => {
                if let Some(row) = self.lives.get_mut(row_of(thread)).filter(|row| row.stamp.is_some()) {
                    row.cancel = Some(stamp);
                }
            }
            Record::Future(FutureId::Thread(thread), record) => {
                *row_at(&mut self.futures, row_of(thread)) = Some(FutureRow { stamp, record });
            }
            _ => {}
        }
    }

    pub fn renew(&mut self, renewal: Renewal, stamp: Stamp) {
        if let Some(row) = self.lives.get_mut(row_of(renewal.thread)).filter(|row| row.stamp.is_some()) {
            row.stamp = Some(stamp);
            if let Some(live) = row.live.as_mut().filter(|_| renewal.progress.is_some()) {
                live.progress = renewal.progress;
            }
        }
    }

    pub fn delete(&mut self, key: &Key) {
        match key {
            Key::Live(thread) => self.delete_live(row_of(*thread)),
            Key::Ready(thread) => {
                if let Some(row) = self.lives.get_mut(row_of(*thread)) {
                    row.ready = None;
                }
            }
            Key::Cancel(thread) => {
                if let Some(row) = self.lives.get_mut(row_of(*thread)) {
                    row.cancel = None;
                }
            }
            Key::Future(FutureId::Thread(thread)) => {
                if let Some(row) = self.futures.get_mut(row_of(*thread)) {
                    *row = None;
                }
            }
            _ => {}
        }
    }

    pub fn scan_live(&self, from: ThreadId, limit: usize, found: &mut Vec<Record>, first: ThreadId) {
        for (index, row) in self.lives.iter().enumerate() {
            let thread = ThreadId(first.0 + index as u64);
            if row.stamp.is_none() || thread < from {
                continue;
            }
            if found.len() == limit {
                return;
            }
            let status = row.live.as_ref().map_or(Status::Runnable, |live| live.status.clone());
            let places = row.live.as_ref().map(|live| live.places.clone()).unwrap_or_default();
            let live = Live { parent: row.parent, places, ..*Live::without_state(status) };
            found.push(Record::Live(thread, Box::new(live)));
        }
    }

    fn future(&self, thread: ThreadId) -> Option<&FutureRow> {
        self.futures.get(row_of(thread))?.as_ref()
    }

    fn delete_live(&mut self, row: usize) {
        let Some(row) = self.lives.get_mut(row).filter(|row| row.stamp.is_some()) else { return };
        *row = LiveRow::default();
        self.live_count -= 1;
        if self.live_count == 0 && self.lives.len() as u64 == ROWS {
            self.lives = Vec::new();
        }
    }
}

/// The row with this index, created if necessary.
fn row_at<T: Default>(rows: &mut Vec<T>, index: usize) -> &mut T {
    if rows.len() <= index {
        rows.resize_with(index + 1, T::default);
    }
    &mut rows[index]
}
