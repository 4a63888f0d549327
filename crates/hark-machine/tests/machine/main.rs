//! The machine as the engine sees it: programs run, are written down and read back.

#[path = "../../../../fuzz/src/lib.rs"]
mod bodies;
mod executables;
mod fuzz;
mod lowering;
mod snapshots;
mod support;
