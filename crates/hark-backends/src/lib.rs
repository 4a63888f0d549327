//! Implementations of Hark's ports, each in its own module. The engine's conformance suites define their contracts.

#[cfg(feature = "aws")]
pub mod aws;
pub mod invoker;
pub mod storage;
mod surroundings;
mod virtual_time;

pub use surroundings::System;
pub use virtual_time::{RealTime, VirtualTime};
