//! The options of an engine.

use std::time::Duration;

use crate::limits::{CANCEL_GRACE, MAX_TRIES, OUTPUT_PIECE_BYTES};
use crate::place::Pools;
use crate::size::Sizes;
use crate::suspend::SuspendAt;

/// How sessions are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where threads are suspended, for tests.
    pub suspend_at: SuspendAt,
    /// Whether reports contain the output. Without it, a program may print any amount.
    pub keep_output: bool,
    /// How often the worker of a call or step may be lost before the call or step fails.
    pub max_tries: u32,
    /// How long a cancelled thread may continue before it is stopped.
    pub cancel_grace: Duration,
    /// The number of bytes printed by a call after which they are written while it continues.
    pub output_piece_bytes: usize,
    /// Where threads are leased, the pools whose threads are run.
    pub pools: Pools,
    /// Where threads are leased and processes are started for them in several sizes: that of this one, and the main one.
    pub sizes: Option<Sizes>,
    /// Where threads are leased and processes with several versions of the code are started for them, such as the
    /// versions of an AWS Lambda function: the name of this process's version. A session continues with the code that
    /// it was started with.
    pub code: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            suspend_at: SuspendAt::Never,
            keep_output: false,
            max_tries: MAX_TRIES,
            cancel_grace: CANCEL_GRACE,
            output_piece_bytes: OUTPUT_PIECE_BYTES,
            pools: Pools::All,
            sizes: None,
            code: None,
        }
    }
}

/// Which sessions an engine sweeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those that it has started or resumed.
    Own,
    /// Also all others that are not being served.
    All,
}
