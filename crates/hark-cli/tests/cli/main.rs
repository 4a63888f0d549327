//! Runs the built `hark` like a user, and compares exit status, standard output and standard error.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see their helpers")]

mod arguments;
mod bad_input;
mod cancellation;
mod cancelled_sessions;
mod check_and_asm;
mod check_python;
mod clocks;
mod containers;
mod data_dir;
#[cfg(feature = "lambda")]
mod deploy;
#[path = "../../../../fuzz/src/document.rs"]
#[allow(dead_code, reason = "the fuzz targets use all of it")]
mod document;
mod errors;
mod escapes;
mod faults;
mod golden;
mod harness;
mod labels;
mod leases;
mod leftovers;
mod limits;
mod log;
mod looking;
mod losses;
mod modules;
mod moving;
mod objects;
mod owners;
mod pages;
mod pools;
mod progress;
mod projects;
mod python;
mod reports;
mod retried_calls;
mod sessions;
mod shortages;
mod strangers;
mod streams;
mod suggestions;
mod sync;
mod terminal;
mod testing;
mod testing_stubs;
mod unserved_pools;
mod worker_log;
