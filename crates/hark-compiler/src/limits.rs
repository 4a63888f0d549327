//! The limits of a program's text. Each is documented in the guide and tested.

/// How many files may wait for each other's imports, the main program's included. The compiler uses the native stack for
/// them; a test shows that a thread of 2 MB has room for so many, also without optimization.
pub const MODULES_NESTED_MAX: usize = 250;

/// How deep expressions and bodies may be nested. The parser uses the native stack for them; a test shows that a
/// thread of 2 MB has room for so many levels, also without optimization.
pub const NESTING_MAX: u32 = 1_000;

/// The most errors, and the most warnings, that are reported. No person makes so many: it bounds what a text of nothing
/// but mistakes costs.
pub const DIAGNOSTICS_MAX: usize = 100_000;

/// The most names that "did you mean" compares, all mistakes of a program together; later ones get no such hint.
pub const COMPARISONS_MAX: usize = 1_000_000;

/// The most arguments of one call, items of one literal, and parameters of one function.
pub const ARGUMENTS_MAX: usize = 1 << 20;

/// The most arguments of an import.
pub const IMPORT_ARGUMENTS_MAX: u32 = hark_bytecode::FOREIGN_ARITY_MAX;

/// The longest integer, in digits. To read one takes time that grows with the square of its length.
pub const DIGITS_MAX: usize = 100_000;

/// The most names that the lambdas of a program capture, all of them together. Lambdas between the one that reads a name
/// and the function that binds it capture it, too: without a limit they could be many times as long as the text.
pub const CAPTURES_MAX: usize = 1 << 20;
