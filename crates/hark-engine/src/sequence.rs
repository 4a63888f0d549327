//! Random numbers that a seed decides, where nobody else must be able to tell them or repeat them.

/// A sequence of 64-bit numbers: SplitMix64.
#[derive(Debug)]
pub struct Sequence(u64);

impl Sequence {
    /// The sequence that this seed decides.
    pub fn new(seed: u64) -> Sequence {
        Sequence(seed)
    }

    /// The next number. It never ends, so that it is no iterator.
    #[allow(clippy::should_implement_trait, reason = "an endless iterator would only answer `Some`")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
