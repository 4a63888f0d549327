//! Suspending threads where nothing asks for it: writing them down, dropping them, reading them back.
//!
//! A debugging option, with which every program also tests that a thread is wholly data.

use hark_machine::{Effect, Error, Host, Program, Thread};

use crate::limits::{TURN_FUEL, TURN_INSTRUCTIONS};
use crate::sequence::Sequence;

/// Where threads are suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspendAt {
    /// Nowhere: they stay in memory.
    Never,
    /// Before each turn, and at every effect that ends one.
    Effects,
    /// After every one of a thread's first 10,000 instructions, then at random ones.
    Instructions {
        /// What the random places are drawn from, together with the thread's number.
        seed: u64,
    },
}

/// Instructions of a thread after each of which it is suspended.
const EVERY_INSTRUCTION: u64 = 10_000;

/// Past those the mean gap is 1 + p / 2,000 after p more instructions. So the first 1,000 suspensions take some 1,300
/// instructions, and ten million take 17,000 suspensions.
const GAP_GROWTH: u64 = 2_000;

/// After so many at random places, large threads are suspended more seldom: a suspension must be paid for by as many
/// instructions as it writes units of [`PAID_BYTES`].
const UNPAID_SUSPENSIONS: u64 = 1_000;
const PAID_BYTES: u64 = 16;

/// How far a thread's suspensions between instructions have come.
#[derive(Debug)]
pub(crate) struct Suspensions {
    random: Sequence,
    /// How many instructions it has run.
    instructions: u64,
    /// How often it was suspended past the first instructions.
    at_random: u64,
    /// The size of its last snapshot.
    bytes: u64,
}

impl Suspensions {
    pub fn new(seed: u64, thread: u64) -> Suspensions {
        let random = Sequence::new(seed ^ thread.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Suspensions { random, instructions: 0, at_random: 0, bytes: 0 }
    }

    /// How many instructions to run until the next suspension.
    fn gap(&mut self) -> u64 {
        let Some(past) = self.instructions.checked_sub(EVERY_INSTRUCTION) else { return 1 };
        self.at_random += 1;
        let widest = 1 + 2 * past / GAP_GROWTH;
        let gap = 1 + self.random.next() % widest;
        if self.at_random <= UNPAID_SUSPENSIONS { gap } else { gap.max(self.bytes / PAID_BYTES) }
    }
}

/// Runs a thread for a turn, suspended where it is to be.
pub(crate) fn run(
    thread: &mut Thread,
    program: &Program,
    host: &mut impl Host,
    suspensions: Option<&mut Suspensions>,
) -> Effect {
    let Some(suspensions) = suspensions else { return run_written(thread, program, host) };
    let mut left = TURN_INSTRUCTIONS;
    loop {
        let gap = suspensions.gap();
        let effect = thread.run_instructions(program, gap, host);
        suspensions.instructions += gap;
        if matches!(effect, Effect::Finished(_) | Effect::Failed(_)) {
            return effect;
        }
        match rewrite(thread, program) {
            Ok(bytes) => suspensions.bytes = bytes,
            Err(error) => return Effect::Failed(error),
        }
        left = left.saturating_sub(gap);
        if left == 0 || !matches!(effect, Effect::OutOfFuel) {
            return effect;
        }
    }
}

/// Runs a thread that is suspended at the effect that ends its turn.
fn run_written(thread: &mut Thread, program: &Program, host: &mut impl Host) -> Effect {
    let effect = thread.run(program, TURN_FUEL, host);
    if matches!(effect, Effect::Finished(_) | Effect::Failed(_)) {
        return effect;
    }
    match rewrite(thread, program) {
        Ok(_) => effect,
        Err(error) => Effect::Failed(error),
    }
}

/// Writes a thread down, drops it and reads it back; answers how many bytes it took.
pub(crate) fn rewrite(thread: &mut Thread, program: &Program) -> Result<u64, Box<Error>> {
    let bytes = thread.snapshot(program);
    *thread = Thread::restore(&bytes, program).map_err(|error| {
        Box::new(Error::new("snapshot", format!("a suspended thread cannot be read back: {error}")))
    })?;
    Ok(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspensions_within(instructions: u64) -> u64 {
        let mut suspensions = Suspensions::new(1, 0);
        while suspensions.instructions < instructions {
            suspensions.instructions += suspensions.gap();
        }
        suspensions.at_random
    }

    #[test]
    fn the_first_instructions_are_each_suspended() {
        let mut suspensions = Suspensions::new(1, 0);
        for _ in 0..EVERY_INSTRUCTION {
            assert_eq!(suspensions.gap(), 1);
            suspensions.instructions += 1;
        }
        assert_eq!(suspensions.at_random, 0);
    }

    #[test]
    fn a_thread_that_goes_on_is_suspended_a_thousand_times_more() {
        assert!(suspensions_within(12_000) >= 1_000);
        let many = suspensions_within(10_000_000);
        assert!((10_000..25_000).contains(&many), "{many}");
    }

    #[test]
    fn a_large_thread_pays_for_its_suspensions() {
        let mut suspensions = Suspensions::new(1, 0);
        suspensions.instructions = EVERY_INSTRUCTION;
        suspensions.bytes = 1 << 20;
        let gaps: Vec<u64> = (0..UNPAID_SUSPENSIONS + 1).map(|_| suspensions.gap()).collect();
        assert_eq!(gaps.first(), Some(&1));
        assert_eq!(gaps.last(), Some(&((1 << 20) / PAID_BYTES)));
    }

    #[test]
    fn places_come_from_the_seed_and_the_thread() {
        let places = |seed, thread| {
            let mut suspensions = Suspensions::new(seed, thread);
            suspensions.instructions = 1_000_000;
            [suspensions.gap(), suspensions.gap(), suspensions.gap(), suspensions.gap()]
        };
        assert_eq!(places(1, 2), places(1, 2));
        assert_ne!(places(1, 2), places(2, 2));
        assert_ne!(places(1, 2), places(1, 3));
    }
}
