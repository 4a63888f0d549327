//! Lists: chunks of 256 elements under a spine, and a tail that is not full yet.
//!
//! Full chunks never change, so versions of a list share them, and a snapshot can write each once. `rest` is a view:
//! the same body, one element later.

use std::mem;

use triomphe::Arc;

use crate::value::Value;

const CHUNK: usize = 256;

/// The elements of a list, shared by all its views.
#[derive(Debug, Clone, Default)]
pub struct ListBody {
    /// Invariant: each holds exactly `CHUNK` elements.
    chunks: Vec<Arc<Vec<Value>>>,
    /// Invariant: holds fewer than `CHUNK` elements.
    tail: Vec<Value>,
}

/// A list to read: a body from some element on.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    start: usize,
    body: &'a ListBody,
}

impl ListBody {
    /// A body of these elements.
    pub fn from_items(items: Vec<Value>) -> ListBody {
        if items.len() < CHUNK {
            return ListBody { chunks: Vec::new(), tail: items };
        }
        let mut body = ListBody::default();
        body.extend(items);
        body
    }

    /// How many elements it has.
    #[inline]
    pub fn len(&self) -> usize {
        self.chunks.len() * CHUNK + self.tail.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at this index, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&Value> {
        match self.chunks.get(index / CHUNK) {
            Some(chunk) => chunk.get(index % CHUNK),
            None => self.tail.get(index - self.chunks.len() * CHUNK),
        }
    }

    /// Whether one more element changes nothing but the tail.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.tail.len() < self.tail.capacity().min(CHUNK - 1)
    }

    /// Adds an element at the end.
    #[inline]
    pub fn push(&mut self, value: Value) {
        if self.tail.len() == self.tail.capacity() {
            self.grow();
        }
        self.tail.push(value);
        if self.tail.len() == CHUNK {
            self.chunks.push(Arc::new(mem::take(&mut self.tail)));
        }
    }

    /// Once a list has chunks, its next one will most likely fill up too.
    #[cold]
    fn grow(&mut self) {
        let wanted = if self.chunks.is_empty() { (self.tail.len() * 2).clamp(4, CHUNK) } else { CHUNK };
        self.tail.reserve_exact(wanted - self.tail.len());
    }

    /// Forgets the chunks that lie wholly before `start`; answers where `start` is now.
    pub(crate) fn forget_before(&mut self, start: u32) -> u32 {
        let whole = (start as usize / CHUNK).min(self.chunks.len());
        self.chunks.drain(..whole);
        start - (whole * CHUNK) as u32
    }

    /// Moves the containers among the elements out, if nobody else holds the chunk; see [`crate::drop`].
    pub(crate) fn take_containers(&mut self, into: &mut Vec<Value>) {
        let chunks = self.chunks.iter_mut().filter_map(Arc::get_mut);
        for value in chunks.flat_map(|chunk| chunk.iter_mut()).chain(&mut self.tail) {
            if value.is_container() {
                into.push(mem::take(value));
            }
        }
    }
}

impl Extend<Value> for ListBody {
    fn extend<T: IntoIterator<Item = Value>>(&mut self, items: T) {
        items.into_iter().for_each(|item| self.push(item));
    }
}

impl<'a> List<'a> {
    /// The elements of `body` from `start` on.
    #[inline]
    pub(crate) fn new(start: u32, body: &'a ListBody) -> List<'a> {
        List { start: start as usize, body }
    }

    /// How many elements it has.
    #[inline]
    pub fn len(self) -> usize {
        self.body.len() - self.start
    }

    /// Whether it has none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at this index, if there is one.
    #[inline]
    pub fn get(self, index: usize) -> Option<&'a Value> {
        self.body.get(self.start.checked_add(index)?)
    }

    /// Its elements in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a Value> {
        (self.start..self.body.len()).map(move |index| self.body.get(index).expect("the index is below the length"))
    }
}
