//! Memory that an OS thread reuses from one worker to the next, because most workers give only one short turn.

use std::cell::Cell;
use std::num::NonZeroU64;

use crate::commit::Commit;
use crate::id::Stamp;
use crate::record::Versioned;
use crate::step::{Loaded, Plan};

/// Larger vectors, in elements, are freed: they belonged to a thread that did unusually much at once.
const KEPT_MAX: usize = 256;

thread_local! {
    static KEPT: Cell<Option<Scratch>> = const { Cell::new(None) };
}

/// The memory in which a worker builds its steps. Nothing in it outlives a turn.
pub(super) struct Scratch {
    pub commit: Commit,
    pub plan: Plan,
    pub found: Vec<Option<Versioned>>,
    /// Empty.
    pub loaded: Option<Box<Loaded>>,
}

impl Scratch {
    /// The OS thread's memory, or new memory.
    pub fn take() -> Scratch {
        KEPT.take().unwrap_or_else(|| Scratch {
            // Each turn begins its commit with a stamp of its own.
            commit: Commit::of_server(Stamp(NonZeroU64::MIN)),
            plan: Plan::default(),
            found: Vec::new(),
            loaded: None,
        })
    }

    /// Keeps the memory for the next worker, without its contents.
    pub fn keep(mut self) {
        self.commit.reset(Stamp(NonZeroU64::MIN));
        self.commit.terms = None;
        self.plan.clear();
        self.found.clear();
        let Commit { expect, put, delete, fresh, log, .. } = &self.commit;
        let sizes = [expect.capacity(), put.capacity(), delete.capacity(), fresh.capacity(), log.capacity()];
        let heard = self.loaded.as_ref().map_or(0, |loaded| loaded.heard.capacity());
        let others = [self.plan.invoke.capacity(), self.plan.look_again.capacity(), self.found.capacity(), heard];
        if sizes.iter().chain(&others).all(|size| *size <= KEPT_MAX) {
            KEPT.set(Some(self));
        }
    }
}
