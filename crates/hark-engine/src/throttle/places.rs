//! The places of limits that a thread has.

use std::ops::Deref;

use super::HeldPlace;

/// The places of limits that a thread holds or that count for it, the number of its requests, and its depth of nested
/// tries of calls. Takes little memory if there are none of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(Option<Box<Asked>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    requests: u64,
    nested: u32,
    held: Vec<HeldPlace>,
}

impl Places {
    /// The places of a thread with this number of requests and this depth of nested tries.
    pub fn new(requests: u64, nested: u32, held: Vec<HeldPlace>) -> Places {
        let is_empty = requests == 0 && nested == 0 && held.is_empty();
        Places((!is_empty).then(|| Box::new(Asked { requests, nested, held })))
    }

    /// The depth of nested tries of calls: each try is a thread, started by the one around it.
    pub fn nested(&self) -> u32 {
        self.0.as_ref().map_or(0, |asked| asked.nested)
    }

    /// Whether the thread is an attempt of another thread's call.
    pub fn is_try(&self) -> bool {
        self.nested() > 0
    }

    /// The number of the thread's requests for a place of a limit or a start of a rate.
    pub fn requests(&self) -> u64 {
        self.0.as_ref().map_or(0, |asked| asked.requests)
    }

    /// Starts a new request and returns its number.
    pub(crate) fn next_request(&mut self) -> u64 {
        let asked = self.0.get_or_insert_default();
        asked.requests += 1;
        asked.requests
    }

    /// Adds a place.
    pub(crate) fn push(&mut self, place: HeldPlace) {
        self.0.get_or_insert_default().held.push(place);
    }

    /// Keeps only the places that satisfy a predicate.
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
