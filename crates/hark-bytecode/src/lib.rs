//! The portable program: the compiler's output and every machine's input.
//!
//! An [`Executable`] is immutable, is identified by the hash of its content, and is the unit that is stored and
//! shipped. How a machine executes it is up to the machine. This crate is pure: it touches no file, clock or thread.

mod attributes;
pub mod builtins;
mod encode;
mod executable;
mod handlers;
mod instruction;
mod listing;
mod literal;
mod local_set;
mod operator;
mod pattern;
mod source;
mod sources;
mod verify;
pub mod wire;

pub use attributes::{Attributes, Limit, POOL_NAME_MAX, Rate, Retry, is_pool_name, own_gate_name};
pub use encode::{DecodeError, ExecutableHash};
pub use executable::{
    Binding, Capture, Executable, ExecutableError, FOREIGN_ARITY_MAX, Foreign, ForeignIndex, Function, FunctionIndex,
    Global, NameIndex, Passing,
};
pub use handlers::{Handler, HandlerIndex};
pub use instruction::{Instruction, Literal};
pub use listing::Listing;
pub use literal::{QUOTED_CHARACTERS_MAX, float_text, shortened, string_text, with_short_quotes};
pub use local_set::LocalSet;
pub use operator::Operator;
pub use pattern::{Pattern, PatternPart};
pub use source::{BYTE_ORDER_MARK, LINE_BREAKS, Location, Source, Span, line_starts};
pub use sources::{SourceFile, Sources};
