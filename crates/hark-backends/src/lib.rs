//! Hark's ports implemented, a module each. What they must hold to is told by the engine's conformance suites.

pub mod invoker;
pub mod storage;
mod surroundings;

pub use surroundings::System;
