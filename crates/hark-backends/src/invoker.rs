//! What it means to get a thread run.

#[cfg(feature = "processes")]
pub mod processes;
mod threads;

pub use threads::Threads;
