//! Runs cases, each in its own session in memory, with its own virtual clock.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hark_backends::{System, VirtualTime};
use hark_engine::{
    CancelHandle, Engine, Foreign, MemoryStorage, NoForeign, Options, OutputItem, Ports, Report, SessionError, Start,
    Surroundings, Timestamp,
};
use hark_foreign::PicklePlace;
use hark_machine::Program;

use super::promises::Settling;
use super::stubs::Stubbed;
use super::suite::{Case, Suite, What};
use super::verdict::{self, Fault};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::python;
use crate::session;
use crate::signals::Interruption;

/// The time limit of a case on its virtual clock: a thread that sleeps longer would never wake.
const YEARS_MAX: u64 = 100;
const YEAR: Duration = Duration::from_secs(31_557_600);

/// The random seed of each case, so that `random()` and `uuid()` repeat their values in every run.
const SEED: u64 = 0;

/// The outcome of a case.
pub struct Outcome {
    /// The program's path.
    pub file: String,
    /// The case's name.
    pub name: String,
    /// The line of the case.
    pub line: u32,
    /// The duration, in real time.
    pub seconds: f64,
    /// The expectations that were not met.
    pub faults: Vec<Fault>,
    /// Why the case could not be run, or not to its end.
    pub problem: Option<String>,
    /// The output.
    pub output: Vec<OutputItem>,
    /// The errors of the session.
    pub errors: Vec<SessionError>,
    /// The program, if it ran.
    pub program: Option<Arc<Program>>,
}

/// Runs cases one after another.
pub struct Runner {
    timeout: Duration,
    /// The Python workers of each project, by its folder.
    pools: HashMap<PathBuf, Arc<dyn Foreign>>,
    interruption: Interruption,
    current: Arc<Mutex<Option<CancelHandle>>>,
}

/// The reasons for which a case was stopped.
#[derive(Default)]
struct Stops {
    took_too_long: AtomicBool,
    slept_too_long: AtomicBool,
}

impl Outcome {
    /// Whether it passed.
    pub fn is_passed(&self) -> bool {
        self.faults.is_empty() && self.problem.is_none()
    }
}

impl Runner {
    /// A runner with this time limit per case.
    ///
    /// # Errors
    /// If the operating system has too few resources.
    pub fn new(timeout: Duration) -> Result<Runner, Failure> {
        let interruption = Interruption::default();
        let current: Arc<Mutex<Option<CancelHandle>>> = Arc::default();
        let running = current.clone();
        let watched = interruption.watch(move || {
            if let Some(cancel) = running.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
                cancel.cancel();
            }
        });
        watched.map_err(|error| Failure::system("cannot watch for signals", &error))?;
        Ok(Runner { timeout, pools: HashMap::new(), interruption, current })
    }

    /// The exit status for the signal that has interrupted the run, if any.
    pub fn interrupted(&self) -> Option<u8> {
        self.interruption.exit_status()
    }

    /// Runs a case.
    ///
    /// # Errors
    /// If the operating system has too few resources.
    pub fn run(&mut self, suite: &Suite, case: &Case) -> Result<Outcome, Failure> {
        let begun = Instant::now();
        let mut outcome = Outcome {
            file: suite.file.clone(),
            name: case.name.clone(),
            line: case.line,
            seconds: 0.0,
            faults: Vec::new(),
            problem: None,
            output: Vec::new(),
            errors: Vec::new(),
            program: None,
        };
        match (&case.what, &suite.program) {
            (What::Unusable(text), _) => outcome.problem = Some(text.clone()),
            (What::Rejected(expected), program) => {
                outcome.faults = verdict::of_rejection(expected, &suite.file, &suite.compiled, program.is_none());
            }
            (What::Call(call), Some(program)) => {
                match Entry::with_values(program.executable(), &call.function, call.arguments.clone()) {
                    Ok(entry) => {
                        let judge = |report: &Report| {
                            verdict::of_call(&call.expected, report, program.executable(), &suite.compiled)
                        };
                        self.run_session(suite, program, entry, judge, &mut outcome)?;
                    }
                    Err(failure) => outcome.problem = Some(failure.drawn(crate::render::Style::for_stdout())),
                }
            }
            (What::Function(name), Some(program)) => {
                let entry = Entry::with_values(program.executable(), name, Vec::new())?;
                let judge = |report: &Report| verdict::of_function(case.line, report, program.executable());
                self.run_session(suite, program, entry, judge, &mut outcome)?;
            }
            (What::Call(_) | What::Function(_), None) => {
                outcome.problem = Some("the program is rejected, so its functions cannot be called".to_owned());
            }
        }
        outcome.seconds = begun.elapsed().as_secs_f64();
        Ok(outcome)
    }

    fn run_session(
        &mut self,
        suite: &Suite,
        program: &Arc<Program>,
        entry: Entry,
        judge: impl FnOnce(&Report) -> Vec<Fault>,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        // A whole second makes times easy to compare.
        let start = Timestamp(System.now().0 / 1_000_000 * 1_000_000);
        let time = Arc::new(VirtualTime::new(start));
        let python = self.python(suite, program);
        let foreign = Arc::new(Stubbed { answers: suite.answers.clone(), python, time: time.clone() });
        let storage = Arc::new(Settling {
            memory: MemoryStorage::default(),
            settled: suite.settled.clone(),
            surroundings: time.clone(),
        });
        let ports = Ports { storage, invoker: time.clone(), foreign, surroundings: time.clone() };
        let engine = Engine::new(Options { keep_output: true, ..session::options(&suite.project) }, ports);
        let stops = Arc::new(Stops::default());
        let (cancel, told) = (engine.cancel_handle(), stops.clone());
        time.on_horizon(start.after(YEAR * YEARS_MAX as u32), move || {
            told.slept_too_long.store(true, Ordering::SeqCst);
            cancel.cancel();
        });
        self.set_current(Some(engine.cancel_handle()));
        let report = thread::scope(|scope| {
            let (over, is_over) = mpsc::channel::<()>();
            let (cancel, told, timeout) = (engine.cancel_handle(), stops.clone(), self.timeout);
            let watch = move || {
                if is_over.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Timeout) {
                    told.took_too_long.store(true, Ordering::SeqCst);
                    cancel.cancel();
                }
            };
            let watching = thread::Builder::new().name("time limit".to_owned()).spawn_scoped(scope, watch);
            watching.map_err(|error| Failure::system("cannot start a thread", &error))?;
            let Entry { callee, arguments } = entry;
            let start = Start::new(program.clone(), callee, arguments);
            // The session's id still differs in each run, because functions may use it as a key.
            let report = engine.run_announced(start, Arc::new(|_: &[OutputItem]| {}), |_| time.seed(SEED));
            drop(over);
            Ok(report)
        })?;
        self.set_current(None);
        outcome.program = Some(program.clone());
        outcome.problem = if stops.slept_too_long.load(Ordering::SeqCst) {
            Some(format!("it did not end within {YEARS_MAX} years of virtual time"))
        } else if stops.took_too_long.load(Ordering::SeqCst) {
            Some(format!("it was stopped after {} s (see `--timeout`)", self.timeout.as_secs_f64()))
        } else if self.interrupted().is_some() {
            Some("it was interrupted".to_owned())
        } else {
            outcome.faults = judge(&report);
            None
        };
        outcome.output = report.output;
        outcome.errors = report.errors;
        Ok(())
    }

    fn set_current(&self, handle: Option<CancelHandle>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = handle;
    }

    /// Calls the Python functions of a program. All cases of a project share its workers.
    fn python(&mut self, suite: &Suite, program: &Program) -> Arc<dyn Foreign> {
        if program.executable().foreign.is_empty() {
            return Arc::new(NoForeign);
        }
        let folder = suite.project.folder.clone();
        let pool = || -> Arc<dyn Foreign> {
            let workers = python::workers_max(&suite.project);
            Arc::new(python::pool(&suite.project, PicklePlace::Temporary, workers).in_virtual_time())
        };
        self.pools.entry(folder).or_insert_with(pool).clone()
    }
}
