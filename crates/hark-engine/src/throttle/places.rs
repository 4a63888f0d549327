//! The limits' places that one thread has.

use std::ops::Deref;

use super::HeldPlace;

/// The limits' places that a thread has, or that count for it, and how many times it has asked for one. A thread that
/// never did takes no room for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(Option<Box<Asked>>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    requests: u64,
    held: Vec<HeldPlace>,
}

impl Places {
    /// Those of a thread that has asked so many times.
    pub fn new(requests: u64, held: Vec<HeldPlace>) -> Places {
        if requests == 0 && held.is_empty() { Places(None) } else { Places(Some(Box::new(Asked { requests, held }))) }
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
