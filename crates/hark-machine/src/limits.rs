//! The limits of one thread. Each is documented in the guide and tested.

/// The most activation records of one thread: a little more than a million, as the language promises.
pub const RECORDS_MAX: usize = 1 << 20;

/// The most registers of one thread, over all its records: 16 bytes each, so that they stay at 2 GB. The promised million
/// calls nest as long as they hold 125 variables and intermediate values each.
pub const REGISTERS_MAX: usize = 1 << 27;

/// The most frames that a trace lists; what lies between the outermost and the innermost is counted.
pub const TRACE_FRAMES_MAX: usize = 40;

/// The most frames that a trace may have left out: what any reader of JSON keeps exactly.
pub const FRAMES_OMITTED_MAX: u64 = 1 << 53;

/// The most elements of a list, which are 1 GB. Views count in 32 bits, where some room is left for what lies before
/// their first elements.
pub const LIST_LENGTH_MAX: usize = 1 << 26;

/// The most threads of a session, so that a thread's number, which is also its Future's, is below this. Storages keep
/// it in the lower bits of a key: a greater one would be another session's.
pub const THREADS_MAX: u64 = 1 << 33;

/// The most keys of a hash, which are 1.5 GB with its index.
pub const HASH_LENGTH_MAX: usize = 1 << 25;

/// The most bytes of a string, and of the text that a value is written as: what a record of a kept session holds.
pub const STRING_BYTES_MAX: usize = 1 << 29;

/// From this many bytes on, an object's pickle may be in a file instead of in memory. Below, a file costs more than it saves.
pub const FILE_BYTES_MIN: usize = 1 << 20;

/// How many printed bytes use one unit of fuel: a turn of 20,000 units prints little more than 1 MB.
pub const PRINTED_BYTES_PER_FUEL: usize = 64;

/// The most bits of an integer: some 5 million decimal digits. To divide it takes some seconds, which nothing interrupts.
pub const INTEGER_BITS_MAX: u64 = 1 << 24;

/// The most bits of an integer that is written in decimal digits, which takes a second: 1.2 million digits.
pub const DECIMAL_BITS_MAX: u64 = 1 << 22;

/// So much is shown of a text that is too long to be written whole.
pub const SHORTENED_CHARACTERS: usize = 1_000;
