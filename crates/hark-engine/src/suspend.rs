//! Suspends threads in additional places: encodes them, drops them, and decodes them again.
//!
//! This is a debugging option. With it, every program also tests that the state of a thread is fully serializable.

use hark_machine::{Apart, Effect, Error, Host, Program, Thread};

use crate::limits::{TURN_FUEL, TURN_INSTRUCTIONS};
use crate::sequence::Sequence;

/// The places where threads are suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspendAt {
    /// Nowhere: threads stay in memory.
    Never,
    /// Before each turn, and at every effect that ends a turn.
    Effects,
    /// After each of the first 10,000 instructions of a thread, then after random ones; less often if the thread is
    /// large.
    Instructions {
        /// The seed of the random places, which also depend on the thread's number.
        seed: u64,
    },
}

/// The number of instructions of a thread after each of which it is suspended.
const EVERY_INSTRUCTION: u64 = 10_000;

/// After these, the mean gap is 1 + p / 2,000 after p more instructions. So the next 1,000 suspensions take about 1,300
/// instructions, and ten million instructions have about 17,000 suspensions.
const GAP_GROWTH: u64 = 2_000;

/// After a thread has written this many bytes, larger threads are suspended less often: between two suspensions there
/// are as many instructions as the thread has units of [`PAID_BYTES`]. A thread of 400 bytes completes its first 10,000
/// instructions before; for a thread whose stack grows by a record every few instructions, it is about the first
/// thousand.
const UNPAID_BYTES: u64 = 4_000_000;
const PAID_BYTES: u64 = 16;

/// The progress of a thread's suspensions between instructions.
#[derive(Debug)]
pub(crate) struct Suspensions {
    random: Sequence,
    /// The number of executed instructions.
    instructions: u64,
    /// The size of its last snapshot, and the total size of all.
    last_bytes: u64,
    total_bytes: u64,
}

impl Suspensions {
    pub fn new(seed: u64, thread: u64) -> Suspensions {
        let random = Sequence::new(seed ^ thread.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Suspensions { random, instructions: 0, last_bytes: 0, total_bytes: 0 }
    }

    /// The number of instructions until the next suspension.
    fn gap(&mut self) -> u64 {
        let past = self.instructions.saturating_sub(EVERY_INSTRUCTION);
        let widest = 1 + 2 * past / GAP_GROWTH;
        let gap = 1 + self.random.next() % widest;
        if self.total_bytes <= UNPAID_BYTES { gap } else { gap.max(self.last_bytes / PAID_BYTES) }
    }

    /// Records a suspension that took this many bytes.
    fn note(&mut self, bytes: u64) {
        self.last_bytes = bytes;
        self.total_bytes += bytes;
    }
}

/// Runs a thread for a turn, and suspends it at the chosen places.
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
            Ok(bytes) => suspensions.note(bytes),
            Err(error) => return Effect::Failed(error),
        }
        left = left.saturating_sub(gap);
        if left == 0 || !matches!(effect, Effect::OutOfFuel) {
            return effect;
        }
    }
}

/// Runs a thread for a turn, and suspends it at the effect that ends the turn.
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

/// Encodes a thread, drops it and decodes it again. Returns its size in bytes.
pub(crate) fn rewrite(thread: &mut Thread, program: &Program) -> Result<u64, Box<Error>> {
    let mut in_files = Apart::nothing();
    let bytes = thread.snapshot_without(program, &mut in_files);
    *thread = Thread::restore_with(&bytes, program, &in_files).map_err(|error| {
        Box::new(Error::new("snapshot", format!("a suspended thread cannot be read back: {error}")))
    })?;
    Ok(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of suspensions of a thread of this size within this many instructions.
    fn suspensions_within(instructions: u64, bytes: u64) -> u64 {
        let mut suspensions = Suspensions::new(1, 0);
        let mut times = 0;
        while suspensions.instructions < instructions {
            suspensions.instructions += suspensions.gap();
            suspensions.note(bytes);
            times += 1;
        }
        times
    }

    #[test]
    fn the_first_instructions_are_each_suspended() {
        assert_eq!(suspensions_within(EVERY_INSTRUCTION, 400), EVERY_INSTRUCTION);
    }

    #[test]
    fn a_thread_that_goes_on_is_suspended_a_thousand_times_more() {
        assert!(suspensions_within(12_000, 100) >= EVERY_INSTRUCTION + 1_000);
        let many = suspensions_within(10_000_000, 100);
        assert!((20_000..35_000).contains(&many), "{many}");
    }

    #[test]
    fn a_large_thread_pays_for_its_suspensions() {
        let mut suspensions = Suspensions::new(1, 0);
        let bytes = UNPAID_BYTES / 10;
        let gaps: Vec<u64> = std::iter::repeat_with(|| {
            suspensions.note(bytes);
            suspensions.gap()
        })
        .take(12)
        .collect();
        assert_eq!(gaps, [[1; 10].as_slice(), &[bytes / PAID_BYTES; 2]].concat());
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
