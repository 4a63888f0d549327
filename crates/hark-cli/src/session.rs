//! A session on this computer: machine, engine and ports put together.

use std::sync::Arc;

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_engine::{
    CancelHandle, Engine, Foreign, MemoryStorage, NoForeign, Observer, Options, Ports, Report, Start, SuspendAt,
};
use hark_machine::Program;

use crate::entry::Entry;
use crate::failure::Failure;
use crate::project::Project;
use crate::python;
use crate::signals::Interruption;

/// A session that is to be run.
pub struct Session {
    /// The program.
    pub program: Arc<Program>,
    /// The call that it begins with.
    pub entry: Entry,
    /// Where its Python functions are.
    pub project: Project,
    /// Where threads are suspended for the sake of it.
    pub suspend_at: SuspendAt,
    /// Learns which signal came, if one did.
    pub interruption: Interruption,
}

impl Session {
    /// Runs it to its end, in memory. `observer` makes what sees its output, and may keep what cancels it.
    ///
    /// # Errors
    /// If the operating system has too little to give.
    pub fn run(
        self,
        keep_output: bool,
        observer: impl FnOnce(CancelHandle) -> Arc<dyn Observer>,
    ) -> Result<Report, Failure> {
        let foreign: Arc<dyn Foreign> = if self.program.executable().foreign.is_empty() {
            Arc::new(NoForeign)
        } else {
            Arc::new(python::pool(&self.project))
        };
        let ports = Ports {
            storage: Arc::new(MemoryStorage),
            invoker: Arc::new(Threads::as_wide_as_the_cores()),
            foreign,
            surroundings: Arc::new(System),
        };
        let engine = Engine::new(Options { suspend_at: self.suspend_at, keep_output, ..Options::default() }, ports);
        let cancel = engine.cancel_handle();
        let cancel_at_signal = cancel.clone();
        let watched = self.interruption.watch(move || cancel_at_signal.cancel());
        watched.map_err(|error| Failure::usage(format!("cannot watch for signals: {error}")))?;
        let Entry { callee, arguments } = self.entry;
        let start = Start { program: self.program, callee, arguments };
        Ok(engine.run(start, observer(cancel)))
    }
}
