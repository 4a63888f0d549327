//! What it means to get a thread run.

mod threads;

pub use threads::Threads;
