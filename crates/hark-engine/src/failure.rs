//! The failure of a thread, and its root cause.

use hark_machine::Error;

use crate::id::ThreadId;
use crate::limits::TRACE_FRAMES_MAX;
use crate::surroundings::Timestamp;

/// The failure of a thread.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The error, with the trace through the threads that awaited it.
    pub error: Error,
    /// The thread where the error was first raised. Failures with the same root are one fault, reported once.
    pub root: ThreadId,
    /// When this thread failed. Within a process, later failures have later times.
    pub at: Timestamp,
    /// Whether it has been awaited. If not, there is a record that it is unawaited, until it is.
    pub is_awaited: bool,
}

impl Failure {
    /// The failure of a thread by an error that it raised itself, or received from another thread and did not catch.
    pub fn new(error: Error, thread: ThreadId, at: Timestamp) -> Failure {
        let root = error.trace.last().map_or(thread, |frame| ThreadId(frame.thread));
        Failure { error: shortened(error), root, at, is_awaited: false }
    }

    /// Whether it breaks its session if it is never awaited.
    pub fn breaks(&self) -> bool {
        &*self.error.kind != "cancelled"
    }

    /// The number of activation records through which the error was raised.
    pub fn depth(&self) -> u64 {
        self.error.trace.len() as u64 + self.error.omitted
    }
}

/// Omits frames in the middle of a trace. Without a limit, a failure that breaks a chain of threads would cost the
/// square of its length.
fn shortened(mut error: Error) -> Error {
    let excess = error.trace.len().saturating_sub(TRACE_FRAMES_MAX);
    if excess > 0 {
        let start = TRACE_FRAMES_MAX / 2;
        error.trace.drain(start..start + excess);
        error.omitted += excess as u64;
    }
    error
}

#[cfg(test)]
mod tests {
    use hark_bytecode::Span;
    use hark_machine::TraceFrame;

    use super::*;

    #[test]
    fn a_long_trace_loses_its_middle() {
        let mut error = Error::new("error", "x");
        error.omitted = 3;
        error.trace =
            (0..100).map(|thread| TraceFrame { thread, function: "f".into(), span: Span::default() }).collect();
        let failure = Failure::new(error, ThreadId(0), Timestamp(5));
        assert_eq!(failure.root, ThreadId(99), "it was raised in the innermost frame");
        assert_eq!(failure.error.trace.len(), TRACE_FRAMES_MAX);
        assert_eq!(failure.depth(), 103);
        assert_eq!(failure.error.trace[0].thread, 0);
        assert_eq!(failure.error.trace[TRACE_FRAMES_MAX - 1].thread, 99);
    }
}
