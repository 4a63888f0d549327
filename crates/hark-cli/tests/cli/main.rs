//! The built `hark`, run as a user runs it: exit status, standard output and standard error are compared.

#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see their helpers")]

mod arguments;
mod bad_input;
mod check_and_asm;
mod check_python;
mod clocks;
mod data_dir;
mod errors;
mod faults;
mod golden;
mod harness;
mod losses;
mod moving;
mod projects;
mod python;
mod reports;
mod sessions;
mod strangers;
mod streams;
mod sync;
