//! `hark` as the program of an AWS Lambda function, where its file is named `bootstrap`.
//!
//! The process may be frozen between two invocations, so nothing of the engine runs then: an invocation is answered when
//! everything has been written, and all hints are sent.

mod http;
mod reply;
mod starts;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hark_backends::System;
use hark_backends::aws::{Aws, AwsSettings};
use hark_backends::invoker::lambda::{Invocation, Lambda, RuntimeApi, Threads};
use hark_backends::storage::dynamodb::{self, Advice, DynamoSettings};
use hark_engine::{
    Assignment, Deadline, Engine, Foreign, Options, Pools, Scope, Storage, StorageError, Surroundings, Timestamp,
};
use hark_foreign::PicklePlace;
use hark_lambda::Event;
use hark_lambda::template::PYTHON;
use hark_machine::Program;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::instance::{self, Instance, invocation};
use crate::project::{self, Project};
use crate::python;
use crate::render::Style;
use crate::session;
use crate::storage;
use reply::Reply;

/// The name of the program's file in the package of a function.
const FILE_NAME: &str = "bootstrap";

/// The variable that names the folder of the package.
const FOLDER_VARIABLE: &str = "LAMBDA_TASK_ROOT";

/// How long a process that cannot begin tries to report that.
const TELL_TIME_MAX: Duration = Duration::from_secs(5);

/// The part of an invocation's time that is reserved for saving threads and sending hints. Calls end before it.
const RESERVE: Duration = Duration::from_secs(3);

/// A recovery dispatches the timers that expire before the next recovery, a minute later.
const RECOVERY_HORIZON: Duration = Duration::from_secs(90);

/// Whether this process was started as the program of a function, from its command line. Its arguments are then the
/// command that it replaces: that of the Python runtime, if the function has one.
pub fn is_asked(words: &[OsString]) -> bool {
    words.first().is_some_and(|program| Path::new(program).file_name() == Some(FILE_NAME.as_ref()))
}

/// Handles events until Lambda ends the process.
///
/// # Errors
/// If Lambda's runtime interface cannot be used, or the function cannot be set up.
pub fn run(words: &[OsString]) -> Result<u8, Failure> {
    let (function, aws) = match Function::new(words) {
        Ok(begun) => begun,
        Err(failure) => {
            // It may lie in the settings of the table, so its account is not used.
            let aws = Aws::new(AwsSettings { region: None, profile: None, try_time_max: TELL_TIME_MAX });
            let text = failure.drawn(Style::for_stderr());
            interface(aws)?.fail_to_begin(invocation::CANNOT_BEGIN, text.trim_end()).map_err(storage::failure)?;
            return Err(failure);
        }
    };
    let api = interface(aws)?;
    loop {
        let invocation = api.next().map_err(storage::failure)?;
        let reply = Reply::new(&api, &invocation.id);
        if let Err(failure) = function.handle(&invocation, &reply) {
            reply.fail(&failure).map_err(storage::failure)?;
        }
    }
}

/// The Lambda runtime API, as this process reaches it.
fn interface(aws: Aws) -> Result<RuntimeApi, Failure> {
    RuntimeApi::of_environment(aws).ok_or_else(|| {
        Failure::usage("this program runs in AWS Lambda functions, and AWS_LAMBDA_RUNTIME_API is not set")
    })
}

/// How the table is used. The environment says where it is.
fn settings(project: &Project, instance: &Instance) -> DynamoSettings {
    let command = |words: &str| format!("hark {words} --uuid {}", instance.name);
    let advice =
        Advice { make: command("deploy"), check: command("storage check"), function: Some(instance.own_function()) };
    let lease = project.settings.lease.unwrap_or(dynamodb::LEASE);
    DynamoSettings { ttl: project.settings.dynamodb.ttl, lease, advice, ..DynamoSettings::default() }
}

/// The part of the setup that needs no answer from AWS.
struct Prepared {
    project: Project,
    /// The program with which sessions are started. None if it is rejected. Then events that start sessions fail, but
    /// events for threads need only the programs in the table.
    program: Option<Arc<Program>>,
    python: Arc<dyn Foreign>,
}

impl Prepared {
    /// Reads the package. If the program imports functions, Python starts in the background, because that takes as long
    /// as everything else together.
    fn new(interpreter: Option<PathBuf>) -> Result<Prepared, Failure> {
        let mut project = load_project()?;
        // The package's own Python, or that of the runtime, which this program replaces.
        let bundled = project.folder.join(PYTHON).join("bin/python3");
        let bundled = Some(bundled).filter(|python| python.is_file());
        project.settings.python = bundled.or(interpreter).or(project.settings.python);
        // One call at a time, because an invocation has one processor, or little more.
        let python = Arc::new(python::pool(&project, PicklePlace::Temporary, 1));
        let program = starts::compile().ok();
        if program.as_ref().is_some_and(|program| !program.executable().foreign.is_empty()) {
            python.warm_up();
        }
        Ok(Prepared { project, program, python })
    }
}

/// A Lambda function.
struct Function {
    storage: Arc<dyn Storage>,
    lambda: Arc<Lambda>,
    engine: Arc<Engine>,
    program: Option<Arc<Program>>,
}

impl Function {
    /// The engine and the connections, which all invocations share, and the account. `words` is the command line.
    fn new(words: &[OsString]) -> Result<(Function, Aws), Failure> {
        let instance = Instance::of_environment()?.ok_or_else(|| {
            Failure::usage("the variable HARK_INSTANCE of the function is not set").with_hint(instance::SET_BY_DEPLOY)
        })?;
        let Prepared { project, program, python } = Prepared::new(words.get(1).map(PathBuf::from))?;
        let (table, lambda) = instance.open(settings(&project, &instance))?;
        let (aws, storage) = (table.aws().clone(), Arc::new(table));
        let (sizes, code) = (instance.sizes(), instance.own_code());
        let options = Options { sizes, code, pools: Pools::All, ..session::options(&project) };
        let engine = Arc::new(Engine::for_assigned(options, session::ports_with(storage.clone(), python)));
        Ok((Function { storage, lambda, engine, program }, aws))
    }

    /// Handles an event until nothing is left to do here, and then answers it. An HTTP request is answered earlier if
    /// the client could not wait that long.
    fn handle(&self, invocation: &Invocation, reply: &Reply<'_>) -> Result<(), Failure> {
        // The process may have been frozen for hours.
        System.follow_clock();
        let (now, end) = (System.steady_now(), u64::try_from(invocation.deadline.as_micros()).unwrap_or(u64::MAX));
        let deadline = Deadline::new(now, Timestamp(end), RESERVE);
        self.engine.set_deadline(Some(deadline));
        let event = Event::parse(&invocation.event).map_err(|error| Failure::usage(error.to_string()))?;
        let handled = self.attended(|| match event {
            Event::Threads(payloads) => self.run_threads(payloads).map(Some),
            Event::SomeThreads(payloads, unreadable) => {
                let failures = unreadable.iter().map(|id| json!({ "itemIdentifier": id })).collect::<Vec<_>>();
                self.run_threads(payloads)?;
                Ok(Some(json!({ "batchItemFailures": failures }).to_string()))
            }
            Event::Recover => self.recover().map(Some),
            Event::Start(start) => self.start(start, &invocation.id).map(Some),
            Event::Uploads(starts) => self.start_all(starts).map(Some),
            Event::Request(start) => {
                let time_left = deadline.calls_end.since(now);
                self.respond(start, &invocation.id, time_left, reply).map(|()| None)
            }
        });
        self.lambda.flush();
        match handled?? {
            Some(answer) => reply.give(&answer).map_err(storage::failure),
            None => Ok(()),
        }
    }

    /// Does something while leases are renewed.
    fn attended<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let attend = || self.engine.attend(Scope::Own, &stop, &|_, _| {});
            let attendant = thread::Builder::new().name("attendant".to_owned()).spawn_scoped(scope, attend);
            let attendant = attendant.map_err(|error| Failure::system("cannot start a thread", &error))?;
            let done = work();
            stop.store(true, Ordering::Release);
            if let Some(catalog) = self.storage.catalog() {
                catalog.ring();
            }
            // Other processes take threads whose leases were not renewed. The panic hook has reported a panic.
            let _ = attendant.join();
            Ok(done)
        })
    }

    /// Runs threads that other processes hand over.
    fn run_threads(&self, payloads: Vec<Value>) -> Result<String, Failure> {
        let (mut assignments, mut hops) = (Vec::new(), 0);
        for payload in payloads {
            let refused = |why: String| Failure::usage(format!("the event cannot be understood: {why}"));
            let threads: Threads = serde_json::from_value(payload).map_err(|error| refused(error.to_string()))?;
            hops = hops.max(threads.hops());
            assignments.extend(threads.assignments().map_err(refused)?);
        }
        self.lambda.set_hops(hops);
        self.run_assigned(&assignments)?;
        Ok(json!({"threads": assignments.len()}).to_string())
    }

    /// If the storage does not let a session continue, the others must go on all the same: a failure would make Lambda
    /// send the event again.
    fn run_assigned(&self, assignments: &[Assignment]) -> Result<(), Failure> {
        match self.engine.run_assigned(assignments) {
            Ok(_) => Ok(()),
            Err(error @ StorageError::Transient(_)) => Err(storage::failure(error)),
            Err(error) => {
                crate::output::tell(&storage::failure(error).drawn(Style::for_stderr()));
                Ok(())
            }
        }
    }

    fn recover(&self) -> Result<String, Failure> {
        self.lambda.set_hops(0);
        let horizon = System.steady_now().after(RECOVERY_HORIZON);
        let recovered = self.engine.recover(horizon).map_err(storage::failure)?;
        Ok(json!({"threads": recovered.threads, "timers": recovered.timers}).to_string())
    }
}

/// The project in the package. The path of `hark.toml` is given explicitly, because the file's owner is not the user
/// that runs functions.
fn load_project() -> Result<Project, Failure> {
    if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
        env::set_current_dir(folder).map_err(|error| Failure::system("cannot enter the package's folder", &error))?;
    }
    project::load_here(config().as_deref())
}

fn config() -> Option<PathBuf> {
    let path = PathBuf::from(crate::config::FILE_NAME);
    path.is_file().then_some(path)
}
