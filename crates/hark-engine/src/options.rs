//! What an engine is told of how to run sessions.

use std::time::Duration;

use crate::limits::{CANCEL_GRACE, MAX_TRIES, OUTPUT_PIECE_BYTES};
use crate::suspend::SuspendAt;

/// How sessions are to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where threads are suspended for no reason but to test it.
    pub suspend_at: SuspendAt,
    /// Whether reports hold what was printed. Without it a program may print any amount.
    pub keep_output: bool,
    /// How many times the worker of a call or step is lost before that fails.
    pub max_tries: u32,
    /// How long a cancelled thread may go on before it is stopped.
    pub cancel_grace: Duration,
    /// How much a call may have printed until that is written down while the call goes on.
    pub output_piece_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            suspend_at: SuspendAt::Never,
            keep_output: false,
            max_tries: MAX_TRIES,
            cancel_grace: CANCEL_GRACE,
            output_piece_bytes: OUTPUT_PIECE_BYTES,
        }
    }
}

/// Which sessions an engine's sweeper cares for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The sessions that the engine has begun or was told to resume.
    Own,
    /// Also all sessions that no server serves.
    All,
}
