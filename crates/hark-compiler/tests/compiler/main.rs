//! The compiler from outside: programs in, listings and diagnostics out.

mod diagnostics;
mod habits;
mod listing;
mod modules;
mod pages;
mod programs;
mod recovery;
mod robustness;
