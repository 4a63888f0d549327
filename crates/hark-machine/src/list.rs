//! Lists: chunks of 256 elements, followed by a tail that is not full yet.
//!
//! Versions of a list share full chunks. A shared chunk is copied before it changes, and a snapshot writes each chunk
//! once. `rest` is a view: the same body, starting one element later. Elements before a view's start are free room: the
//! only owner of a body can put new elements there.

use std::{iter, mem};

use triomphe::Arc;

use crate::value::Value;

const CHUNK: usize = 256;

/// The elements of a list, shared by all views of it.
#[derive(Debug, Clone, Default)]
pub struct ListBody {
    /// Invariant: each holds exactly `CHUNK` elements.
    chunks: Vec<Arc<Vec<Value>>>,
    /// Invariant: holds fewer than `CHUNK` elements.
    tail: Vec<Value>,
}

/// A view of a list for reading: the elements of a body from `start` on.
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
        items.into_iter().collect()
    }

    /// A body of this many chunks, all sharing the memory of one.
    #[cfg(test)]
    pub(crate) fn of_equal_chunks(count: usize) -> ListBody {
        let chunk = Arc::new(vec![Value::Null; CHUNK]);
        ListBody { chunks: vec![chunk; count], tail: Vec::new() }
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

    /// Whether `push` would only write to the tail.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.tail.len() < self.tail.capacity().min(CHUNK - 1)
    }

    /// Adds an element at the end.
    #[inline(always)]
    pub fn push(&mut self, value: Value) {
        if self.tail.len() == self.tail.capacity() {
            self.grow();
        }
        self.tail.push(value);
        if self.tail.len() == CHUNK {
            self.chunks.push(Arc::new(mem::take(&mut self.tail)));
        }
    }

    /// Once a list has chunks, the next one will most likely fill up too.
    #[cold]
    fn grow(&mut self) {
        let wanted = if self.chunks.is_empty() { (self.tail.len() * 2).clamp(4, CHUNK) } else { CHUNK };
        self.tail.reserve_exact(wanted - self.tail.len());
    }

    /// Adds an element before `start`, the start of the only view, and returns the new start.
    pub(crate) fn push_front(&mut self, start: u32, value: Value) -> u32 {
        let start = if start == 0 { self.make_front_room() } else { start } - 1;
        if let Some(slot) = self.slot(start as usize) {
            *slot = value;
        }
        start
    }

    /// Inserts room before the first element, proportional to the length, so that the amortized cost per element is
    /// constant. Returns the number of free places.
    #[cold]
    fn make_front_room(&mut self) -> u32 {
        if self.chunks.is_empty() {
            // At most enough to make the tail a chunk.
            let room = (CHUNK - self.tail.len()).min(self.tail.len().max(4));
            self.tail.splice(0..0, iter::repeat_n(Value::Null, room));
            if self.tail.len() == CHUNK {
                self.chunks.push(Arc::new(mem::take(&mut self.tail)));
            }
            return room as u32;
        }
        // All new chunks share one allocation, which is copied on the first write.
        let room = (self.chunks.len() / 4).max(1);
        let empty = Arc::new(vec![Value::Null; CHUNK]);
        self.chunks.splice(0..0, iter::repeat_n(empty, room));
        (room * CHUNK) as u32
    }

    /// Replaces an element.
    pub(crate) fn set(&mut self, index: usize, value: Value) {
        if let Some(slot) = self.slot(index) {
            *slot = value;
        }
    }

    /// An element for writing; its chunk is copied if it is shared.
    fn slot(&mut self, index: usize) -> Option<&mut Value> {
        let chunked = self.chunks.len() * CHUNK;
        match self.chunks.get_mut(index / CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).get_mut(index % CHUNK),
            None => self.tail.get_mut(index - chunked),
        }
    }

    /// Drops the chunks that lie entirely before `start`; returns the new start.
    pub(crate) fn forget_before(&mut self, start: u32) -> u32 {
        let whole = (start as usize / CHUNK).min(self.chunks.len());
        self.chunks.drain(..whole);
        start - (whole * CHUNK) as u32
    }

    /// Returns the elements from `start` on, moved out of unshared chunks and copied from shared ones.
    pub(crate) fn take_items(&mut self, start: usize) -> Vec<Value> {
        let mut items = Vec::with_capacity(self.len() - start);
        let chunked = self.chunks.len() * CHUNK;
        for (number, chunk) in self.chunks.iter_mut().enumerate().skip(start / CHUNK) {
            let skipped = start.saturating_sub(number * CHUNK);
            match Arc::get_mut(chunk) {
                Some(own) => items.extend(own.iter_mut().skip(skipped).map(mem::take)),
                None => items.extend_from_slice(&chunk[skipped..]),
            }
        }
        items.extend(self.tail.iter_mut().skip(start.saturating_sub(chunked)).map(mem::take));
        items
    }

    /// Moves out the values that hold other values, unless the chunk is shared; see [`crate::drop`].
    pub(crate) fn take_containers(&mut self, into: &mut Vec<Value>) {
        let chunks = self.chunks.iter_mut().filter_map(Arc::get_mut);
        for value in chunks.flat_map(|chunk| chunk.iter_mut()).chain(&mut self.tail) {
            if value.holds_values() {
                into.push(mem::take(value));
            }
        }
    }
}

impl FromIterator<Value> for ListBody {
    fn from_iter<T: IntoIterator<Item = Value>>(items: T) -> ListBody {
        let mut items = items.into_iter();
        let mut body = ListBody::default();
        loop {
            // Once a list has chunks, the next one will most likely fill up too.
            let length = if body.chunks.is_empty() { items.size_hint().0.min(CHUNK) } else { CHUNK };
            let mut chunk = Vec::with_capacity(length);
            chunk.extend(items.by_ref().take(CHUNK));
            if chunk.len() < CHUNK {
                body.tail = chunk;
                return body;
            }
            body.chunks.push(Arc::new(chunk));
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

    /// The elements from an index up to but not including another, which is at most the length, as a list that shares
    /// the chunks.
    pub(crate) fn part(self, from: usize, to: usize) -> Value {
        let (from, to) = (self.start + from, self.start + to);
        if to - from < CHUNK {
            return Value::list((from..to).filter_map(|index| self.body.get(index)).cloned().collect());
        }
        let (first, end) = (from / CHUNK, to / CHUNK);
        let chunked = self.body.chunks.len() * CHUNK;
        let chunks = self.body.chunks[first..end.min(self.body.chunks.len())].to_vec();
        let tail = (end * CHUNK).min(chunked)..to;
        let tail = tail.filter_map(|index| self.body.get(index)).cloned().collect();
        Value::List((from - first * CHUNK) as u32, Arc::new(ListBody { chunks, tail }))
    }

    /// The elements in order, as contiguous slices.
    #[inline]
    pub(crate) fn rows(self) -> impl Iterator<Item = &'a [Value]> {
        let chunks = self.body.chunks.iter().map(|chunk| chunk.as_slice()).chain([self.body.tail.as_slice()]);
        let mut skipped = self.start % CHUNK;
        chunks.skip(self.start / CHUNK).map(move |row| &row[mem::take(&mut skipped)..])
    }

    /// Its elements in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a Value> + DoubleEndedIterator {
        (self.start..self.body.len()).map(move |index| self.body.get(index).expect("the index is below the length"))
    }
}
