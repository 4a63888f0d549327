//! JSON, as Python's `json` has it: `NaN`, `Infinity` and `-Infinity` are written and read, too.

mod decode;
mod encode;

pub(super) use decode::decode;
pub(super) use encode::encode;
