//! Runs one thread of a Hark program until it needs an answer from outside.
//!
//! Suggested reading order: [`Value`] and its kinds, the builtins, [`Program`] (register code and how it is made from
//! an executable), [`Thread`] (the whole state of a thread, as data), the interpreter, snapshots. This crate is pure:
//! it touches no file, clock, network, thread or random source.

mod builtin;
mod caught;
mod closure;
mod compare;
mod display;
mod drop;
mod effect;
mod error;
mod hash;
mod interpreter;
mod join;
pub mod limits;
mod list;
mod number;
mod object;
mod parse;
mod pattern;
mod program;
mod registers;
mod size;
mod snapshot;
mod text;
mod thread;
mod value;
mod wait;

pub use builtin::{DeclaredGate, declared_gates};
pub use caught::python_data;
pub use closure::ClosureBody;
pub use display::{function_name, is_too_long, literal_text, short_text, short_texts, text_of};
pub use effect::{Awaited, Cancelled, Effect, ForeignCall, Host, Take, TriesAgain, Until, Wait};
pub use error::{Error, Retries, TraceFrame};
pub use hash::{Entries, HashBody, Key};
pub use list::{List, ListBody};
pub use object::{Apart, NoPickles, ObjectBody, ObjectJson, Pickle, PickleFile, PickleHash, PickleSource};
pub use program::{Form, Program};
pub use size::is_larger;
pub use snapshot::{SnapshotError, read_values, write_values};
pub use text::Text;
pub use thread::Thread;
pub use value::Value;
