//! Calls of real Python functions, in workers that run the installed `python3`.

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
