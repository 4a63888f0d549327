//! Pseudo-random numbers from a seed, for uses where predictability does not matter.

/// A sequence of 64-bit numbers: SplitMix64.
#[derive(Debug)]
pub struct Sequence(u64);

impl Sequence {
    /// The sequence of this seed.
    pub fn new(seed: u64) -> Sequence {
        Sequence(seed)
    }

    /// The next number. The sequence is endless, so this is not an iterator.
    #[allow(clippy::should_implement_trait, reason = "an endless iterator would only answer `Some`")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
