//! The limits of a thread. Each is documented in the guide and tested.

/// The maximum number of activation records of a thread: a little more than a million, as the language promises.
pub const RECORDS_MAX: usize = 1 << 20;

/// The maximum number of registers of a thread, over all its records: at 16 bytes each, 2 GB. The promised million
/// nested calls are possible if each has up to 125 variables and intermediate values.
pub const REGISTERS_MAX: usize = 1 << 27;

/// The maximum number of frames listed in a trace; those between the outermost and the innermost are only counted.
pub const TRACE_FRAMES_MAX: usize = 40;

/// The maximum number of frames left out of a trace: the largest integer that any JSON parser keeps exactly.
pub const FRAMES_OMITTED_MAX: u64 = 1 << 53;

/// The maximum length of a list, which takes 1 GB. Indexes have 32 bits, which leaves room for elements before the
/// start of a view.
pub const LIST_LENGTH_MAX: usize = 1 << 26;

/// The maximum number of threads of a session. A thread's number, which is also its Future's, is below this. Storages
/// keep it in the lower bits of a key: a greater number would collide with another session's.
pub const THREADS_MAX: u64 = 1 << 33;

/// The maximum number of keys of a hash, which takes 1.5 GB with its index.
pub const HASH_LENGTH_MAX: usize = 1 << 25;

/// The maximum size of a string and of a value's text: what a stored record can hold.
pub const STRING_BYTES_MAX: usize = 1 << 29;

/// From this size on, an object's pickle may be in a file instead of in memory. For smaller ones a file costs more than
/// it saves.
pub const FILE_BYTES_MIN: usize = 1 << 20;

/// The number of printed bytes that use one unit of fuel: a turn of 20,000 units prints little more than 1 MB.
pub const PRINTED_BYTES_PER_FUEL: usize = 64;

/// The maximum size of an integer: about 5 million decimal digits. A division takes a few seconds and cannot be
/// interrupted.
pub const INTEGER_BITS_MAX: u64 = 1 << 24;

/// The maximum size of an integer that is converted to decimal digits, which takes a second: 1.2 million digits.
pub const DECIMAL_BITS_MAX: u64 = 1 << 22;

/// A text that is too long to be written in full is cut to this length.
pub const SHORTENED_CHARACTERS: usize = 1_000;
