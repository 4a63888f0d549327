//! Runs programs on the engine, in memory.
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_bytecode::Binding;
use hark_engine::{
    Engine, Foreign, MemoryStorage, NoForeign, Observer, Options, OutputItem, Ports, Report, Start, SuspendAt,
};
use hark_machine::{Program, Value, text_of};

/// All ways of suspending threads.
pub const MODES: [SuspendAt; 3] = [SuspendAt::Never, SuspendAt::Effects, SuspendAt::Instructions { seed: 1 }];

/// The options for running a program.
pub struct Run {
    pub workers: usize,
    pub suspend_at: SuspendAt,
    pub foreign: Arc<dyn Foreign>,
}

impl Default for Run {
    fn default() -> Run {
        Run { workers: 2, suspend_at: SuspendAt::Never, foreign: Arc::new(NoForeign) }
    }
}

/// The outcome of a session, with its result as text.
pub struct Ran {
    pub report: Report,
    pub result: String,
}

impl Run {
    pub fn engine(&self, keep_output: bool) -> Engine {
        Engine::new(
            Options { suspend_at: self.suspend_at, keep_output, ..Options::default() },
            Ports {
                storage: Arc::<MemoryStorage>::default(),
                invoker: Arc::new(Threads::new(self.workers)),
                foreign: self.foreign.clone(),
                surroundings: Arc::new(System),
            },
        )
    }

    /// Runs the program's `main()`.
    pub fn run(&self, text: &str) -> Ran {
        run_on(&self.engine(true), text, Arc::new(|_: &[OutputItem]| {}))
    }
}

/// Runs a program's `main()` on this engine.
pub fn run_on(engine: &Engine, text: &str, observer: Arc<dyn Observer>) -> Ran {
    let compilation = hark_compiler::compile("test.hk", text);
    let executable = compilation.executable.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics));
    let Some(Binding::Function(main)) = executable.binding("main") else { panic!("there is no `main`") };
    let program = Arc::new(Program::new(executable).expect("the program is sound"));
    let start = Start::new(program.clone(), Value::Function(main), Vec::new());
    let report = engine.run(start, observer);
    let result = report.result.as_ref().map_or_else(String::new, |value| text_of(value, program.executable()));
    Ran { report, result }
}

impl Ran {
    /// The output.
    pub fn printed(&self) -> String {
        self.report.output.iter().map(|item| item.text.as_str()).collect()
    }

    /// The errors: thread, kind, message, and the trace's frames.
    pub fn errors(&self) -> Vec<String> {
        let errors = self.report.errors.iter().map(|error| {
            let frames = error.error.trace.iter().map(|frame| format!("{}:{}", frame.thread, frame.function));
            let frames: Vec<String> = frames.collect();
            let (kind, message) = (&error.error.kind, &error.error.message);
            format!("{} {kind} {message} [{}]", error.thread, frames.join(" "))
        });
        errors.collect()
    }
}
