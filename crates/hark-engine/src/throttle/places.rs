//! The limits' places that one thread has.

use std::ops::Deref;

use super::HeldPlace;

/// The limits' places that a thread has, or that count for it, and how many times it has asked for one; and in how many tries
/// of calls it is one. A thread that has none of these takes no room for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(Option<Box<Asked>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    requests: u64,
    nested: u32,
    held: Vec<HeldPlace>,
}

impl Places {
    /// Those of a thread that has asked so many times, and is within so many tries.
    pub fn new(requests: u64, nested: u32, held: Vec<HeldPlace>) -> Places {
        let is_empty = requests == 0 && nested == 0 && held.is_empty();
        Places((!is_empty).then(|| Box::new(Asked { requests, nested, held })))
    }

    /// In how many tries of calls the thread is one: each in a thread of its own, which has started the next.
    pub fn nested(&self) -> u32 {
        self.0.as_ref().map_or(0, |asked| asked.nested)
    }

    /// How many times the thread has asked for a place of a limit, or a start of a rate.
    pub fn requests(&self) -> u64 {
        self.0.as_ref().map_or(0, |asked| asked.requests)
    }

    /// The number of a new request.
    pub(crate) fn next_request(&mut self) -> u64 {
        let asked = self.0.get_or_insert_default();
        asked.requests += 1;
        asked.requests
    }

    /// The thread has one more.
    pub(crate) fn push(&mut self, place: HeldPlace) {
        self.0.get_or_insert_default().held.push(place);
    }

    /// The thread keeps only these.
    pub(crate) fn retain(&mut self, keeps: impl FnMut(&HeldPlace) -> bool) {
        if let Some(asked) = &mut self.0 {
            asked.held.retain(keeps);
        }
    }
}

impl Deref for Places {
    type Target = [HeldPlace];

    fn deref(&self) -> &[HeldPlace] {
        self.0.as_ref().map_or(&[], |asked| &asked.held)
    }
}
