//! The limits of a program's text. Each is documented in the guide and tested.

/// The longest text, in bytes: spans count in 32 bits.
pub const SOURCE_BYTES_MAX: usize = u32::MAX as usize;

/// How deep expressions may be nested. The parser uses the native stack, of which a level takes some 2 kB at most.
pub const NESTING_MAX: u32 = 200;

/// The most diagnostics that are reported.
pub const DIAGNOSTICS_MAX: usize = 100;

/// The most arguments of one call, and items of one literal.
pub const ARGUMENTS_MAX: usize = 1 << 20;
