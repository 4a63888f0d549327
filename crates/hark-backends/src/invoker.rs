//! Invokers: ways to get threads run.

#[cfg(feature = "processes")]
pub mod assigned;
#[cfg(feature = "lambda")]
pub mod lambda;
#[cfg(feature = "processes")]
pub mod processes;
#[cfg(feature = "processes")]
mod serving;
mod threads;

pub use threads::Threads;
