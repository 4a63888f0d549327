//! Futures whose waiters a thread is still to leave, and what a step has seen of Futures already.
//!
//! A program may ask for any of many Futures, then for any of the rest, and so on. If each answer had the thread leave the
//! waiters of all and each wait enter it again, that would cost the square of their number. So a thread that gets its answer
//! stays where it is until its step ends, and leaves only those for which it does not wait again by then.

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

/// So many Futures may be missing between two that follow each other, before they are looked for by their names.
const GAP_MAX: usize = 8;

/// The Futures of a wait that has its answer.
#[derive(Debug, Default)]
pub(crate) struct AnsweredWait {
    /// Each once, in the order of the wait. What was seen of one without a value holds until another commit has come before
    /// the step's: then it is not known.
    futures: Vec<(FutureId, Option<Seen>)>,
    /// Where they stand, if they had to be looked for.
    places: HashMap<FutureId, usize>,
    /// The thread is among the waiters of those without a value.
    is_entered: bool,
}

impl AnsweredWait {
    /// Of a thread that is not among the waiters it is only known which Futures are done.
    pub fn new(futures: Vec<FutureId>, seen: Vec<Seen>, is_entered: bool) -> AnsweredWait {
        let keep = |seen: Seen| (is_entered || seen.is_done()).then_some(seen);
        let futures = futures.into_iter().zip(seen.into_iter().map(keep)).collect();
        AnsweredWait { futures, places: HashMap::new(), is_entered }
    }

    /// The place of a Future, which mostly follows this one.
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

    /// What is known of these Futures; nothing of one that must be read.
    pub fn seen_of(&mut self, futures: &[Awaited]) -> Vec<Option<Seen>> {
        let mut after = 0;
        let seen = |awaited: &Awaited| {
            let place = self.place(&awaited.into(), after)?;
            after = place + 1;
            self.futures.get(place).and_then(|(_, seen)| seen.clone())
        };
        futures.iter().map(seen).collect()
    }

    /// Whether the thread stays among the waiters of this Future, which has no value, until the end of the step.
    pub fn keeps(&mut self, future: &FutureId, after: &mut usize) -> bool {
        match self.place(future, *after) {
            Some(place) => {
                *after = place + 1;
                self.is_entered
            }
            None => false,
        }
    }

    /// Of each, whether it is one of these Futures.
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

    /// The thread has got this value, which is not to have two owners.
    pub fn forget(&mut self, future: &FutureId) {
        if let Some((_, seen)) = self.futures.iter_mut().find(|(known, _)| known == future) {
            *seen = None;
        }
    }

    /// Another commit has come before: what had no value then may have one now.
    pub fn forget_pending(&mut self) {
        for (_, seen) in &mut self.futures {
            seen.take_if(|seen| !seen.is_done());
        }
    }
}

impl Worker<'_> {
    /// Notes that the thread leaves the waiters for which it does not wait again with this ending. Where these are many it
    /// does so at once: what has given it its answer is there until the step is committed.
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
            // If it is no longer this worker's, the step's commit finds the same.
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
