//! The limits of one thread. Each is documented in the guide and tested.

/// The most activation records of one thread: a little more than a million, as the language promises.
pub const RECORDS_MAX: usize = 1 << 20;

/// The most registers of one thread, over all its records: 16 bytes each, so that a thread stays under 1 GB.
pub const REGISTERS_MAX: usize = 52_000_000;

/// The most registers of one activation record.
pub const FRAME_REGISTERS_MAX: usize = 1 << 24;

/// The most frames that a trace lists; what lies between the outermost and the innermost is counted.
pub const TRACE_FRAMES_MAX: usize = 40;

/// The most elements of a list, as views count in 32 bits.
pub const LIST_LENGTH_MAX: usize = u32::MAX as usize;

/// The most bits of an integer: some 20 million decimal digits, which is a second's work to multiply.
pub const INTEGER_BITS_MAX: u64 = 1 << 26;
