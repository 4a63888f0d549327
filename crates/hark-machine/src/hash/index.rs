//! The index from keys to entries: an open-addressing table of 8-byte slots.
//!
//! A slot stores the hash, so that growing needs no keys, and a search compares hardly any key except the right one.

/// Above this load factor, searches would probe too many slots.
const LOAD_MAX: (usize, usize) = (2, 3);

/// A table from hashes to the numbers of entries.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// Invariant: the length is 0 or a power of two, and the load is at most `LOAD_MAX`.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    /// The index of an entry, or `FREE`.
    entry: u32,
}

const FREE: Slot = Slot { hash: 0, entry: u32::MAX };

/// The result of a search.
pub(super) enum Found {
    /// An entry with this index.
    Entry(usize),
    /// No entry; this slot is free.
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

    /// Searches for the entry with this hash for which `is_it` holds.
    ///
    /// Probe distances grow by one each (triangular numbers), which visits every slot of a power of two; the first few
    /// probes stay in the cache line.
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

    /// Fills the free slot found by a search for this hash.
    #[inline]
    pub fn put(&mut self, at: usize, hash: u32, entry: usize) {
        self.slots[at] = Slot { hash, entry: entry as u32 };
    }

    /// Whether the table must grow before another entry is added to this many.
    #[inline]
    pub fn is_full(&self, entries: usize) -> bool {
        entries * LOAD_MAX.1 >= self.slots.len() * LOAD_MAX.0
    }

    /// Doubles the number of slots.
    ///
    /// # Panics
    /// If the entries' indexes no longer fit a slot; their memory would be 64 GB.
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
