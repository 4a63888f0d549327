//! Futures from whose waiters a thread must still be removed, and the outcomes that a step has already read.
//!
//! A program may ask for any of many Futures, then for any of the rest, and so on. If each answer unregistered the
//! thread from all of them and each wait registered it again, the cost would be quadratic. So a thread that gets its
//! answer stays registered until its step ends, and then leaves only the Futures for which it does not wait again.

use std::collections::HashMap;

use hark_machine::Awaited;

use super::settle::Dealt;
use super::{Seen, Worker};
use crate::id::FutureId;
use crate::limits::STEP_RECORDS_MAX;
use crate::record::Key;
use crate::step::{Ending, Loaded, Touch, Touches, Wanted};
use crate::storage::StorageError;
use crate::turn::load::known;

/// At most this many Futures may be missing between two consecutive ones before they are looked up by name.
const GAP_MAX: usize = 8;

/// The Futures of a wait that has its answer.
#[derive(Debug, Default)]
pub(crate) struct AnsweredWait {
    /// Each Future once, in the order of the wait. The outcome of a pending one is known until another commit precedes
    /// the step's.
    futures: Vec<(FutureId, Option<Seen>)>,
    /// Their positions, if they had to be looked up.
    places: HashMap<FutureId, usize>,
    /// Whether the thread is registered with the pending ones.
    is_entered: bool,
}

impl AnsweredWait {
    /// For a thread that is not registered, only the Futures that are done are known.
    pub fn new(futures: Vec<FutureId>, seen: Vec<Seen>, is_entered: bool) -> AnsweredWait {
        let keep = |seen: Seen| (is_entered || seen.is_done()).then_some(seen);
        let futures = futures.into_iter().zip(seen.into_iter().map(keep)).collect();
        AnsweredWait { futures, places: HashMap::new(), is_entered }
    }

    /// The position of a Future, which mostly follows this one.
    fn place(&mut self, future: &FutureId, after: usize) -> Option<usize> {
        let next = self.futures.iter().enumerate().skip(after).take(GAP_MAX);
        if let Some((place, _)) = next.into_iter().find(|(_, (known, _))| known == future) {
            return Some(place);
        }
        if self.places.len() < self.futures.len() {
            self.places = self.futures.iter().enumerate().map(|(place, (future, _))| (future.clone(), place)).collect();
        }
        self.places.get(future).copied()
    }

    /// The known outcomes of these Futures; none for one that must be read.
    pub fn seen_of(&mut self, futures: &[Awaited]) -> Vec<Option<Seen>> {
        let mut after = 0;
        let seen = |awaited: &Awaited| {
            let place = self.place(&awaited.into(), after)?;
            after = place + 1;
            self.futures.get(place).and_then(|(_, seen)| seen.clone())
        };
        futures.iter().map(seen).collect()
    }

    /// Whether the thread stays registered with this pending Future until the end of the step.
    pub fn keeps(&mut self, future: &FutureId, after: &mut usize) -> bool {
        match self.place(future, *after) {
            Some(place) => {
                *after = place + 1;
                self.is_entered
            }
            None => false,
        }
    }

    /// For each, whether it is one of these Futures.
    fn are_among(&mut self, futures: &[Awaited]) -> Vec<bool> {
        let mut are_among = vec![false; self.futures.len()];
        let mut after = 0;
        for awaited in futures {
            if let Some(place) = self.place(&awaited.into(), after)
                && let Some(is_among) = are_among.get_mut(place)
            {
                *is_among = true;
                after = place + 1;
            }
        }
        are_among
    }

    /// The thread has got this value, which must not have two owners.
    pub fn forget(&mut self, future: &FutureId) {
        if let Some((_, seen)) = self.futures.iter_mut().find(|(known, _)| known == future) {
            *seen = None;
        }
    }

    /// Another commit comes before the step's, so pending Futures may be done by then.
    pub fn forget_pending(&mut self) {
        for (_, seen) in &mut self.futures {
            seen.take_if(|seen| !seen.is_done());
        }
    }
}

impl Worker<'_> {
    /// Notes that the thread unregisters from Futures for which it does not wait again with this ending. If there are
    /// many, it does so at once: the mailbox entry that gave it its answer remains until the step is committed.
    pub(in crate::turn) fn leave_rest(&mut self, loaded: &mut Loaded, ending: &Ending) -> Result<(), StorageError> {
        let Some(mut held) = loaded.held.take_if(|held| held.is_entered) else { return Ok(()) };
        let stays = held.are_among(match ending {
            Ending::Awaits { wait, .. } => &wait.futures,
            Ending::Waits(awaited, _) | Ending::Follows(awaited, _) => std::slice::from_ref(awaited),
            _ => &[],
        });
        let mut left = Vec::new();
        for ((future, seen), stays) in held.futures.iter().zip(&stays) {
            let is_done = seen.as_ref().is_some_and(Seen::is_done);
            if *stays || is_done || loaded.touches.contains(future) || loaded.cancels_promise(future) {
                continue;
            }
            let known = match seen {
                Some(Seen::Pending { known, .. }) => known.clone(),
                _ => {
                    let [found] = self.read([Key::Future(future.clone())])?;
                    known(found)
                }
            };
            let touch = Touch { known, wanted: Wanted::Left, is_new: false, has_record: true };
            if touch.known.is_some() && touch.records(loaded.thread) > 0 {
                left.push((future.clone(), touch));
            }
        }
        loaded.touches.extend(left.iter().cloned());
        if loaded.records() > self.session.records().commit_records_max() - STEP_RECORDS_MAX {
            left.iter().for_each(|(future, _)| loaded.touches.remove(future));
            let mut only = Touches::new(loaded.thread);
            only.extend(left);
            let others = std::mem::replace(&mut loaded.touches, only);
            let heard = std::mem::take(&mut loaded.heard);
            // If this worker no longer has the thread, the step's commit finds the same.
            self.settle_waits(loaded, &mut Dealt::default())?;
            (loaded.touches, loaded.heard) = (others, heard);
            let mut stays = stays.into_iter();
            held.futures.retain(|_| stays.next() == Some(true));
            held.places.clear();
        }
        loaded.held = Some(held);
        Ok(())
    }
}
