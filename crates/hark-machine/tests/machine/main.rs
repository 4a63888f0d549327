//! The machine as the engine sees it: programs run, are written down and read back.

mod snapshots;
mod support;
