//! Calls of real Python functions, in workers of the `python3` that is installed.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod ahead;
mod asks;
mod check;
mod clean;
mod errors;
mod fixture;
mod interpreters;
mod leftovers;
mod modules;
mod objects;
mod output;
mod progress;
mod rates;
mod values;
mod workers;
