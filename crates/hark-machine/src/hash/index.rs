//! Where each key's entry is: an open-addressing table of 8-byte slots.
//!
//! A slot keeps the hash that it was found by, so that growing looks at no key, and a search at hardly any but the one
//! that it is for.

/// Beyond this part of the slots a search would meet too many others.
const LOAD_MAX: (usize, usize) = (2, 3);

/// A table from hashes to the numbers of entries.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// Invariant: none, or a power of two, of which at most `LOAD_MAX` are in use.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    /// The number of an entry, or `FREE`.
    entry: u32,
}

const FREE: Slot = Slot { hash: 0, entry: u32::MAX };

/// Where a search ended.
pub(super) enum Found {
    /// At the entry with this number.
    Entry(usize),
    /// At this slot, which is free.
    Free(usize),
}

impl Slot {
    fn is_free(self) -> bool {
        self.entry == FREE.entry
    }
}

impl Index {
    /// Whether it has no slots yet, and so must not be searched.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Looks for the entry with this hash that `is_it`.
    ///
    /// The steps grow by one each, which leads past every slot of a power of two; the first few stay in the cache line.
    #[inline]
    pub fn find(&self, hash: u32, is_it: impl Fn(usize) -> bool) -> Found {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        let mut step = 0;
        loop {
            let slot = self.slots[at];
            if slot.is_free() {
                return Found::Free(at);
            }
            if slot.hash == hash && is_it(slot.entry as usize) {
                return Found::Entry(slot.entry as usize);
            }
            step += 1;
            at = (at + step) & mask;
        }
    }

    /// Makes use of the free slot that a search with this hash ended at.
    #[inline]
    pub fn put(&mut self, at: usize, hash: u32, entry: usize) {
        self.slots[at] = Slot { hash, entry: entry as u32 };
    }

    /// Whether there is no room for one more than so many entries.
    #[inline]
    pub fn is_full(&self, entries: usize) -> bool {
        entries * LOAD_MAX.1 >= self.slots.len() * LOAD_MAX.0
    }

    /// Doubles the number of slots.
    ///
    /// # Panics
    /// If there are so many entries that their numbers do not fit their slots; their memory would be 64 GB.
    #[cold]
    pub fn grow(&mut self) {
        let count = (self.slots.len() * 2).max(16);
        assert!(count <= 1 << 32, "a hash has fewer than 2,800,000,000 entries");
        let old = std::mem::replace(&mut self.slots, vec![FREE; count]);
        for slot in old.into_iter().filter(|slot| !slot.is_free()) {
            if let Found::Free(at) = self.find(slot.hash, |_| false) {
                self.slots[at] = slot;
            }
        }
    }
}
