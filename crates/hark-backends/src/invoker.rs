//! Invokers: ways to get threads run.

#[cfg(feature = "processes")]
pub mod assigned;
#[cfg(feature = "processes")]
pub mod processes;
mod threads;

pub use threads::Threads;
