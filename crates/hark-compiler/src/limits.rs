//! The limits on program text. Each is documented in the guide and tested.

/// The maximum depth of imports, including the main program. The compiler uses the native stack for them; a test shows
/// that 2 MB are enough for this depth, also without optimization.
pub const MODULES_NESTED_MAX: usize = 250;

/// The maximum nesting depth of expressions and bodies. The parser uses the native stack for them; a test shows that 2
/// MB are enough for this depth, also without optimization.
pub const NESTING_MAX: u32 = 1_000;

/// The maximum number of errors, and of warnings, that are reported. No person makes as many; the limit bounds the cost
/// of garbage input.
pub const DIAGNOSTICS_MAX: usize = 100_000;

/// The maximum number of names compared for "did you mean" hints in a program; later errors get no such hint.
pub const COMPARISONS_MAX: usize = 1_000_000;

/// The maximum number of arguments of a call, items of a literal, and parameters of a function.
pub const ARGUMENTS_MAX: usize = 1 << 20;

/// The maximum number of arguments of an import.
pub const IMPORT_ARGUMENTS_MAX: u32 = hark_bytecode::FOREIGN_ARITY_MAX;

/// The maximum number of digits of an integer, because parsing takes quadratic time.
pub const DIGITS_MAX: usize = 100_000;

/// The maximum number of captures of all lambdas of a program. Lambdas between the one that reads a name and the
/// function that binds it capture it as well, so without a limit the captures could be many times as long as the text.
pub const CAPTURES_MAX: usize = 1 << 20;
