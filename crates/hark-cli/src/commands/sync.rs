//! `hark sync`: creates the project's virtual environment from its requirements file.

pub mod complaint;
pub mod tool;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use hark_foreign::interpreter::{self, Interpreter};

use super::FINISHED;
use crate::args::{Asked, Sync};
use crate::failure::Failure;
use crate::output;
use crate::place::Place;
use crate::project::{self, Project};
use tool::{Ended, Tools};

/// The oldest Python supported by the workers, as major and minor version.
const PYTHON_MIN: (u32, u32) = (3, 8);

/// Creates `.venv`, or updates it.
///
/// # Errors
/// If there is no requirements file or no working Python, or a package cannot be installed.
pub fn sync(wanted: &Sync) -> Result<u8, Failure> {
    let project = project::load_here(wanted.config.path.as_deref())?;
    let requirements = &project.settings.python_requirements;
    if !project.folder.join(requirements).is_file() {
        return Err(no_requirements(&project));
    }
    let _turn = take_turn(&project.folder)?;
    let tools = Tools::new(&project.folder, wanted.quiet)?;
    let sync = Syncing { wanted, project: &project, tools };
    match sync.run()? {
        Some(status) => Ok(status),
        None => Ok(FINISHED),
    }
}

fn no_requirements(project: &Project) -> Failure {
    let file = project.settings.python_requirements.display();
    Failure::usage(format!("there is no `{file}` in {}", project.folder.display()))
        .with_hint("list the packages in it, one per line; `python_requirements` in hark.toml names another file")
}

/// Prevents two concurrent runs in one project. The lock ends with the process.
fn take_turn(folder: &Path) -> Result<File, Failure> {
    let failed = |error: io::Error| Failure::usage(format!("{} cannot be locked: {error}", folder.display()));
    let lock = File::open(folder).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            output::tell("waiting for another `hark sync` of this project\n");
            lock.lock().map_err(failed)?;
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    Ok(lock)
}

/// One run of the command. A step that is interrupted by a signal returns the exit status.
struct Syncing<'a> {
    wanted: &'a Sync,
    project: &'a Project,
    tools: Tools,
}

impl Syncing<'_> {
    fn run(&self) -> Result<Option<u8>, Failure> {
        let configured = self.project.settings.python.as_deref();
        let base = Interpreter::base(configured, &self.project.folder);
        let version = version_of(&base.path).map_err(|problem| unusable(&base, &problem))?;
        if (version.major, version.minor) < PYTHON_MIN {
            return Err(unusable(&base, &format!("is Python {}", version.text)));
        }
        let environment = interpreter::own_environment(&self.project.folder);
        if self.must_be_made(&environment, &version)? {
            self.say(&format!("creating .venv with Python {} ({})", version.text, base.origin))?;
            if let Some(status) = self.make(&base, &environment)? {
                return Ok(Some(status));
            }
        }
        let file = self.project.settings.python_requirements.display();
        self.say(&format!("installing the packages of {file} with {}", self.tools.name()))?;
        if let Some(status) = self.install(&environment, &version)? {
            return Ok(Some(status));
        }
        interpreter::mark_synced(&environment, configured)
            .map_err(|error| Failure::undone(format!("`.venv` cannot be written to: {error}")))?;
        self.say(".venv is up to date; `hark` uses it")?;
        Ok(None)
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        if self.wanted.quiet { Ok(()) } else { output::write_out(&format!("{text}\n")) }
    }

    /// Whether the virtual environment must be created. An unusable one that was not created by `hark sync` is an
    /// error, not deleted.
    fn must_be_made(&self, environment: &Path, version: &Version) -> Result<bool, Failure> {
        if self.wanted.clear || fs::symlink_metadata(environment).is_err() {
            return Ok(true);
        }
        let problem = match version_of(&interpreter::interpreter_in(environment)) {
            Ok(found) if (found.major, found.minor) == (version.major, version.minor) => return Ok(false),
            Ok(found) => format!("has Python {}, but the project needs {}", found.text, version.text),
            Err(problem) => format!("has no working Python: it {problem}"),
        };
        if interpreter::synced_for(environment).is_some() {
            return Ok(true);
        }
        let clear = Place::of(self.project, Asked::default()).project_command("sync --clear");
        Err(Failure::usage(format!("`.venv` {problem}")).with_hint(format!("`{clear}` creates it again")))
    }

    fn make(&self, base: &Interpreter, environment: &Path) -> Result<Option<u8>, Failure> {
        let is_new = fs::symlink_metadata(environment).is_err();
        let ended = self.tools.run(self.tools.making(&base.path, environment))?;
        if !matches!(ended, Ended::Well) && is_new {
            // Remove the incomplete environment, if there is one.
            let _ = fs::remove_dir_all(environment);
        }
        match ended {
            Ended::Well => Ok(None),
            Ended::Interrupted(status) => Ok(Some(status)),
            Ended::Badly(said) => Err(complaint::of_making(&said, base)),
        }
    }

    fn install(&self, environment: &Path, version: &Version) -> Result<Option<u8>, Failure> {
        let requirements = &self.project.settings.python_requirements;
        let python = interpreter::interpreter_in(environment);
        for command in self.tools.installing(&python, requirements) {
            match self.tools.run(command)? {
                Ended::Well => {}
                Ended::Interrupted(status) => return Ok(Some(status)),
                Ended::Badly(said) => return Err(complaint::of_installing(&said, requirements, &version.text)),
            }
        }
        Ok(None)
    }
}

fn unusable(interpreter: &Interpreter, problem: &str) -> Failure {
    let Interpreter { path, origin } = interpreter;
    Failure::usage(format!("the Python interpreter `{}` ({origin}) {problem}", path.display()))
        .with_hint("set `python` in hark.toml to a Python of version 3.8 or later")
}

/// A version of Python.
struct Version {
    major: u32,
    minor: u32,
    text: String,
}

/// Asks an interpreter for its version.
///
/// # Errors
/// The reason why there is no version, as words to follow the interpreter's name.
fn version_of(interpreter: &PathBuf) -> Result<Version, String> {
    if let Some(problem) = interpreter::obvious_problem(interpreter) {
        return Err(problem.to_owned());
    }
    let asked = Command::new(interpreter)
        .args(["-I", "-S", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"])
        .stdin(std::process::Stdio::null())
        .output();
    let output = asked.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be started: {error}"),
    })?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut parts = text.split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if output.status.success() => Ok(Version { major, minor, text }),
        _ => Err("is not a working Python".to_owned()),
    }
}
