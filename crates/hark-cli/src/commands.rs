//! The commands. Each returns its exit status.

pub mod asm;
pub mod bench;
pub mod cancel;
mod changed;
pub mod check;
pub mod completions;
#[cfg(feature = "lambda")]
pub mod deploy;
#[cfg(feature = "lambda")]
pub mod destroy;
pub mod doc;
pub mod explain;
#[cfg(feature = "lambda")]
mod follow;
pub mod history;
#[cfg(feature = "lambda")]
pub mod info;
pub mod init;
#[cfg(feature = "lambda")]
pub mod invoke;
mod kept;
#[cfg(feature = "lambda")]
pub mod lambda;
#[cfg(feature = "lambda")]
pub mod logs;
mod moving;
pub mod outside;
mod pace;
mod progress;
pub mod promises;
pub mod prune;
pub mod resume;
pub mod run;
pub mod sessions;
pub mod show;
pub mod storage;
pub mod sync;
pub mod test;
pub mod timeline;
pub mod transfer;
#[cfg(feature = "lambda")]
mod under_way;
mod unserved;
mod values;
pub mod worker;

/// The command succeeded.
pub const FINISHED: u8 = 0;
/// A thread of the session failed.
pub const BROKEN: u8 = 1;
/// The program was rejected, or the command line is invalid.
pub const REJECTED: u8 = 2;
