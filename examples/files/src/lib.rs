//! Hark on a platform of its own: sessions in plain files, and processes that run some threads each.
//!
//! These two modules are all that a platform has to implement; `main.rs` puts them together.

pub mod invoker;
pub mod storage;
