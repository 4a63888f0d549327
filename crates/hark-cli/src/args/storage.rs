//! `hark storage`.

use clap::{Args, Subcommand};

use super::options::Kept;

/// `hark storage`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark storage init -s dynamodb     create the table that hark.toml names, or `hark`
  hark storage check -s dynamodb    what is wrong with the table, the permissions or the clock
  hark storage check                whether each session in the file can be read")]
pub struct StorageCommand {
    #[command(subcommand)]
    pub task: StorageTask,
}

/// The commands on a storage.
#[derive(Debug, Subcommand)]
pub enum StorageTask {
    /// Create the file or the table for sessions, unless it exists
    Init(Kept),
    /// Check whether sessions can be kept there, and report what is wrong
    Check(Kept),
}

impl StorageTask {
    /// The storage, and the form of the output.
    pub fn kept(&self) -> &Kept {
        match self {
            StorageTask::Init(kept) | StorageTask::Check(kept) => kept,
        }
    }
}
