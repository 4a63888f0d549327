//! The numbers of new threads.
//!
//! If each reservation is a network request, a session reserves numbers in blocks, so that the counter changes only a
//! few dozen times for a thousand threads. The rest of a block is lost when the session leaves memory, which leaves
//! gaps.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::ThreadId;
use crate::storage::{SessionStorage, StorageError};

#[derive(Debug, Default)]
pub(super) struct ThreadNumbers(Mutex<Block>);

/// The reserved numbers, from `next` up to but not including `end`.
#[derive(Debug, Default)]
struct Block {
    next: u64,
    end: u64,
    /// The size of the last block. The first one has one number, because most sessions start few threads.
    reserved: u64,
}

impl Block {
    /// **Invariant: a child's number is greater than its parent's.** Numbers of a block that is older than the parent
    /// are skipped.
    fn take(&mut self, parent: ThreadId) -> Option<ThreadId> {
        self.next = self.next.max(parent.0 + 1);
        let taken = self.next;
        (taken < self.end).then(|| {
            self.next += 1;
            ThreadId(taken)
        })
    }
}

impl ThreadNumbers {
    /// A number for a thread started by this one.
    pub fn take(&self, records: &dyn SessionStorage, parent: ThreadId) -> Result<ThreadId, StorageError> {
        let most = records.numbers_reserved_max();
        if most <= 1 {
            return records.reserve(1);
        }
        let count = {
            let mut block = self.lock();
            if let Some(taken) = block.take(parent) {
                return Ok(taken);
            }
            block.reserved = (block.reserved * 2).clamp(1, most);
            block.reserved
        };
        let first = records.reserve(count)?;
        let mut block = self.lock();
        // Another worker may have reserved a block at the same time; the larger rest is kept.
        if block.end.saturating_sub(block.next) < count {
            (block.next, block.end) = (first.0 + 1, first.0 + count);
        }
        Ok(first)
    }

    fn lock(&self) -> MutexGuard<'_, Block> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_greater_than_the_parents() {
        let mut block = Block { next: 5, end: 9, reserved: 4 };
        assert_eq!(block.take(ThreadId(0)), Some(ThreadId(5)));
        assert_eq!(block.take(ThreadId(6)), Some(ThreadId(7)));
        assert_eq!(block.take(ThreadId(8)), None);
        assert_eq!(block.take(ThreadId(0)), None, "a skipped number is not used later");
    }
}
