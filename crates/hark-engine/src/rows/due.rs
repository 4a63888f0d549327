//! The time when a row must be looked at, as a single number.

use hark_bytecode::wire::WireError;

use crate::codec::CodecError;
use crate::record::Due;
use crate::surroundings::Timestamp;

/// The time when a row must be looked at, as a number that orders the due rows. It contains a parity bit, which detects
/// a flipped bit, and fits into 63 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DueNumber(u64);

/// The maximum time, of 60 bits: 36,000 years in microseconds.
const TIME_MAX: u64 = (1 << 60) - 1;

/// The bits after the time: the kind, and the parity of all others.
const KIND: u64 = 6;
const LEASED: u64 = 2;
const WITHDRAWN: u64 = 4;
const PARITY: u64 = 1;
const FLAG_BITS: u32 = 3;

impl DueNumber {
    /// Before all times: rows to look at when their session is taken over.
    pub const AT_TAKEOVER: DueNumber = DueNumber(0);

    /// The stored number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// From a stored number.
    pub fn new(number: u64) -> DueNumber {
        DueNumber(number)
    }

    /// The greatest number at this time.
    pub fn last_at(time: Timestamp) -> DueNumber {
        DueNumber(time.0.min(TIME_MAX) << FLAG_BITS | KIND | PARITY)
    }

    /// The time, even if the number is otherwise damaged.
    pub fn time(self) -> Timestamp {
        Timestamp(self.0 >> FLAG_BITS)
    }

    /// Decodes the number.
    ///
    /// # Errors
    /// If it contains a flipped bit.
    pub fn due(self) -> Result<Due, CodecError> {
        if self == DueNumber::AT_TAKEOVER {
            return Ok(Due::AtTakeover);
        }
        if !self.0.count_ones().is_multiple_of(2) {
            return Err(WireError::Checksum.into());
        }
        match self.0 & KIND {
            0 => Ok(Due::At(self.time())),
            LEASED => Ok(Due::Leased(self.time())),
            WITHDRAWN => Ok(Due::Withdrawn(self.time())),
            _ => Err(WireError::Checksum.into()),
        }
    }
}

fn bits_of(time: Timestamp) -> u64 {
    // Zero is reserved for `AT_TAKEOVER`, which is before all times.
    time.0.clamp(1, TIME_MAX) << FLAG_BITS
}

impl From<Due> for DueNumber {
    fn from(due: Due) -> DueNumber {
        let bits = match due {
            Due::AtTakeover => return DueNumber::AT_TAKEOVER,
            Due::At(time) => bits_of(time),
            Due::Leased(until) => bits_of(until) | LEASED,
            Due::Withdrawn(time) => bits_of(time) | WITHDRAWN,
        };
        DueNumber(bits | u64::from(bits.count_ones() % 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_the_order_of_times_and_tell_what_they_mean() {
        let times = [1, 2, 1_700_000_000_000_000, 1_101_000_000_000_000_000].map(Timestamp);
        let all = times.iter().flat_map(|time| [Due::At(*time), Due::Leased(*time), Due::Withdrawn(*time)]);
        for due in all.chain([Due::AtTakeover]) {
            assert_eq!(DueNumber::from(due).due().unwrap(), due);
        }
        for pair in times.windows(2) {
            assert!(DueNumber::from(Due::Withdrawn(pair[0])) < DueNumber::from(Due::At(pair[1])));
            assert!(DueNumber::from(Due::Withdrawn(pair[0])) <= DueNumber::last_at(pair[0]));
            assert!(DueNumber::last_at(pair[0]) < DueNumber::from(Due::At(pair[1])));
        }
        assert!(DueNumber::AT_TAKEOVER < DueNumber::from(Due::At(Timestamp(0))));
        assert!(DueNumber::last_at(Timestamp::MAX).get() <= i64::MAX as u64);
    }

    #[test]
    fn a_wrong_bit_is_noticed() {
        let due = DueNumber::from(Due::Leased(Timestamp(1_700_000_000_000_000)));
        for bit in 0..63 {
            assert!(DueNumber::new(due.get() ^ (1 << bit)).due().is_err(), "{bit}");
        }
    }
}
