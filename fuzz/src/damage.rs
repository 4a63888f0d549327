//! Reproducible damage: a random number generator, mutations of bytes, and a loop that runs a target on damaged seeds.

/// A small pseudo-random number generator (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Bytes with a special meaning as a length, an index, a tag or a float.
const TELLING: &[&[u8]] = &[
    &[0],
    &[1],
    &[0x7f],
    &[0x80, 0x01],
    &[0xff],
    &[0xff, 0xff, 0x03],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f],
];

/// Damages some bytes: flips a bit, changes a byte or length, inserts a piece of another seed, or truncates.
pub fn damage(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes[at] = bytes[at].wrapping_add([1, 255][random.below(2)]),
            3 => {
                bytes.splice(at..at + 1, TELLING[random.below(TELLING.len())].iter().copied());
            }
            4 => {
                let end = (at + 1 + random.below(8)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let piece = bytes[at..(at + 1 + random.below(16)).min(bytes.len())].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            6 if !other.is_empty() => {
                let from = random.below(other.len());
                let piece = &other[from..(from + 1 + random.below(32)).min(other.len())];
                let end = (at + random.below(piece.len() + 1)).min(bytes.len());
                bytes.splice(at..end, piece.iter().copied());
            }
            _ if random.below(8) == 0 => bytes.truncate(at),
            _ => bytes[at] = TELLING[random.below(TELLING.len())][0],
        }
    }
}

/// Runs a target on its seeds, then on this many damaged ones.
pub fn fuzz(target: &str, seeds: &[Vec<u8>], times: u64, body: impl Fn(&[u8])) {
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds.iter().for_each(|seed| body(seed));
    for number in 0..times {
        let mut random = Random(number);
        let (seed, other) = (random.below(seeds.len()), random.below(seeds.len()));
        let mut bytes = seeds[seed].clone();
        damage(&mut random, &mut bytes, &seeds[other]);
        let _told = Told { target, number };
        body(&bytes);
    }
}

/// Prints which damage it was, if the body panics.
pub struct Told<'a> {
    /// The name of the target.
    pub target: &'a str,
    /// The seed of the generator.
    pub number: u64,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this was number {} of `{}`", self.number, self.target);
        }
    }
}
