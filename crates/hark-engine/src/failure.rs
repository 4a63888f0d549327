//! Why a thread broke, and by whose fault.

use hark_machine::{Error, Program, Thread};

use crate::id::ThreadId;
use crate::limits::TRACE_FRAMES_MAX;

/// The error that broke a thread.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The error, with the trace through the threads that awaited it.
    pub error: Error,
    /// The thread where it was raised first: all failures of one root are one fault, reported once.
    pub root: ThreadId,
}

impl Failure {
    /// The failure of the thread that raised the error itself.
    pub fn at_root(error: Error, thread: ThreadId) -> Failure {
        Failure { error: shortened(error), root: thread }
    }

    /// The failure of a thread that awaited this one.
    pub fn awaited_by(&self, waiter: &mut Thread, program: &Program, thread: ThreadId) -> Failure {
        let error = waiter.raise(self.error.clone(), program, thread.0);
        Failure { error: shortened(error), root: self.root }
    }

    /// How many activation records the error came through.
    pub fn depth(&self) -> u64 {
        self.error.trace.len() as u64 + self.error.omitted
    }
}

/// Leaves frames out of a trace's middle. Without a limit a failure that breaks a chain of threads would cost the
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
        let failure = Failure::at_root(error, ThreadId(0));
        assert_eq!(failure.error.trace.len(), TRACE_FRAMES_MAX);
        assert_eq!(failure.depth(), 103);
        assert_eq!(failure.error.trace[0].thread, 0);
        assert_eq!(failure.error.trace[TRACE_FRAMES_MAX - 1].thread, 99);
    }
}
