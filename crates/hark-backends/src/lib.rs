//! Hark's ports implemented, a module each. What they must hold to is told by the engine's conformance suites.

pub mod invoker;
pub mod storage;
mod surroundings;
mod virtual_time;

pub use surroundings::System;
pub use virtual_time::{RealTime, VirtualTime};
