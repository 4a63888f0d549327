//! JSON as in Python's `json` module, which also writes and reads `NaN`, `Infinity` and `-Infinity`.

mod decode;
mod encode;

pub(super) use decode::decode;
pub(super) use encode::encode;
