//! Random numbers from a seed.

use crate::sequence::Sequence;

#[derive(Debug)]
pub(super) struct Chance(Sequence);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        // Hashed, so that neighbouring seeds are unrelated.
        Chance(Sequence::new(Sequence::new(seed).next()))
    }

    pub fn bits(&mut self) -> u64 {
        self.0.next()
    }

    /// A number less than `end`, which must not be 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True with this probability, in thousandths.
    pub fn per_mille(&mut self, cases: u64) -> bool {
        cases > 0 && self.below(1_000) < cases
    }
}
