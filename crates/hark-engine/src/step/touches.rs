//! The Futures whose waiters a step changes, and the number of records that this affects.

use std::collections::BTreeMap;

use super::Touch;
use crate::id::{FutureId, ThreadId};

/// The changes of a step to the waiters of other threads' Futures.
#[derive(Debug)]
pub struct Touches {
    thread: ThreadId,
    /// None for most steps, which change none.
    of: Option<BTreeMap<FutureId, Touch>>,
    /// The number of affected records. It is cached because a step that collects many touches asks for it each time.
    records: usize,
}

impl Touches {
    /// An empty set, for a step of this thread.
    pub fn new(thread: ThreadId) -> Touches {
        Touches { thread, of: None, records: 0 }
    }

    /// Removes all.
    pub fn clear(&mut self) {
        (self.of, self.records) = (None, 0);
    }

    /// Gives an empty set to a step of another thread.
    pub fn pass_to(&mut self, thread: ThreadId) {
        self.thread = thread;
    }

    /// The number of touched records that other processes may know.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.of.as_ref().is_none_or(BTreeMap::is_empty)
    }

    /// Whether the step changes the waiters of this Future.
    pub fn contains(&self, future: &FutureId) -> bool {
        self.of.as_ref().is_some_and(|of| of.contains_key(future))
    }

    /// Adds a change of this Future's waiters. Returns the previous change of the same Future.
    pub fn insert(&mut self, future: FutureId, touch: Touch) -> Option<Touch> {
        self.records += touch.records(self.thread);
        let before = self.of.get_or_insert_default().insert(future, touch);
        self.forget(before.as_ref());
        before
    }

    /// Adds changes of the waiters of these Futures.
    pub fn extend(&mut self, touches: impl IntoIterator<Item = (FutureId, Touch)>) {
        touches.into_iter().for_each(|(future, touch)| drop(self.insert(future, touch)));
    }

    /// Removes the change of this Future.
    pub fn remove(&mut self, future: &FutureId) {
        let before = self.of.as_mut().and_then(|of| of.remove(future));
        self.forget(before.as_ref());
    }

    /// Takes all changes, ordered by Future.
    pub fn take(&mut self) -> BTreeMap<FutureId, Touch> {
        self.records = 0;
        self.of.take().unwrap_or_default()
    }

    /// All changes, ordered by Future.
    pub fn iter(&self) -> impl Iterator<Item = (&FutureId, &Touch)> {
        self.of.iter().flatten()
    }

    fn forget(&mut self, touch: Option<&Touch>) {
        self.records -= touch.map_or(0, |touch| touch.records(self.thread));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Interest;
    use crate::step::Wanted;

    #[test]
    fn records_are_counted_as_they_come_and_go() {
        let entered = Wanted::Entered(Interest::Outcome);
        let touch = |is_new| Touch { known: None, wanted: entered, is_new, has_record: false };
        let future = |number| FutureId::from(ThreadId(number));
        let mut touches = Touches::new(ThreadId(0));
        assert!(touches.insert(future(1), touch(false)).is_none() && touches.insert(future(2), touch(false)).is_none());
        assert_eq!(touches.records(), 4);
        assert!(touches.insert(future(2), touch(true)).is_some_and(|before| !before.is_new));
        assert_eq!(touches.records(), 2);
        touches.remove(&future(1));
        touches.remove(&future(3));
        assert_eq!((touches.records(), touches.contains(&future(2))), (0, true));
        assert!(touches.insert(future(4), touch(false)).is_none());
        assert_eq!((touches.take().len(), touches.records(), touches.is_empty()), (2, 0, true));
    }
}
