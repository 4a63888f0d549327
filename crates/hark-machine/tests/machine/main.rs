//! The machine as the engine uses it: programs are run, saved and restored.

#[path = "../../../../fuzz/src/programs.rs"]
mod bodies;
mod closures;
mod compare;
#[path = "../../../../fuzz/src/damage.rs"]
mod damage;
mod executables;
mod fuzz;
mod generated;
mod generator;
mod handlers;
mod hashes;
mod limits;
mod lists;
mod lowering;
mod objects;
mod operations;
mod sharing;
mod snapshots;
mod support;
mod texts;
mod waiting;
