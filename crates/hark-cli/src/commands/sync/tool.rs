//! What makes a virtual environment and installs packages: `uv` if there is one, else Python's own `venv` and `pip`.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;
use crate::signals::Interruption;

/// How much of the end of what a tool says is kept, to find out what went wrong.
const SAID_BYTES_MAX: usize = 1 << 16;

/// How a tool's run ended.
pub enum Ended {
    Well,
    /// With this on its standard error.
    Badly(String),
    /// A signal came; this is the exit status that says so.
    Interrupted(u8),
}

/// The tools, and where they work.
pub struct Tools {
    has_uv: bool,
    folder: PathBuf,
    quiet: bool,
    interruption: Interruption,
    /// The process that is told when a signal comes.
    running: Arc<Mutex<Option<Pid>>>,
}

impl Tools {
    /// Those that this computer has.
    ///
    /// # Errors
    /// If signals cannot be watched for.
    pub fn new(folder: &Path, quiet: bool) -> Result<Tools, Failure> {
        let asked = Command::new("uv").arg("--version").stdin(Stdio::null()).output();
        let has_uv = asked.is_ok_and(|output| output.status.success());
        let (interruption, running) = (Interruption::default(), Arc::new(Mutex::new(None)));
        let told: Arc<Mutex<Option<Pid>>> = running.clone();
        let watched = interruption.watch(move || {
            if let Some(process) = *told.lock().unwrap_or_else(PoisonError::into_inner) {
                // It may have ended by itself.
                let _ = kill_process(process, Signal::TERM);
            }
        });
        watched.map_err(|error| Failure::system("cannot watch for signals", &error))?;
        Ok(Tools { has_uv, folder: folder.to_path_buf(), quiet, interruption, running })
    }

    /// What installs packages.
    pub fn name(&self) -> &'static str {
        if self.has_uv { "uv" } else { "pip" }
    }

    /// Makes an environment from this interpreter; what was there before goes.
    pub fn making(&self, base: &Path, environment: &Path) -> Command {
        if self.has_uv {
            let mut uv = Command::new("uv");
            uv.args(["venv", "--clear", "--python"]).arg(base).arg(environment);
            return uv;
        }
        let mut venv = Command::new(base);
        venv.args(["-m", "venv", "--clear"]).arg(environment);
        venv
    }

    /// Installs what a requirements file lists into an environment: one command after the other.
    pub fn installing(&self, python: &Path, requirements: &Path) -> Vec<Command> {
        if self.has_uv {
            let mut uv = Command::new("uv");
            uv.args(["pip", "install", "--python"]).arg(python).arg("-r").arg(requirements);
            return vec![uv];
        }
        let mut commands = Vec::new();
        if !self.has_pip(python) {
            let mut ensure = Command::new(python);
            ensure.args(["-m", "ensurepip"]);
            commands.push(ensure);
        }
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-r"]).arg(requirements);
        commands.push(pip);
        commands
    }

    /// An environment that `uv` made has none.
    fn has_pip(&self, python: &Path) -> bool {
        let asked = Command::new(python).args(["-m", "pip", "--version"]).stdin(Stdio::null()).output();
        asked.is_ok_and(|output| output.status.success())
    }

    /// Runs a tool to its end. What it says is passed on to standard error, unless nothing is to be said.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run(&self, mut command: Command) -> Result<Ended, Failure> {
        let name = command.get_program().display().to_string();
        let failed = |error: io::Error| Failure::undone(format!("`{name}` cannot be run: {error}"));
        command.current_dir(&self.folder).stdin(Stdio::null()).stderr(Stdio::piped());
        // An active environment is not meant, nor a Python that would have to be fetched first.
        command.env_remove("VIRTUAL_ENV").env_remove("PYTHONHOME").env("UV_PYTHON_DOWNLOADS", "never");
        command.stdout(if self.quiet { Stdio::null() } else { Stdio::from(io::stderr()) });
        if let Some(status) = self.interruption.exit_status() {
            return Ok(Ended::Interrupted(status));
        }
        let mut child = command.spawn().map_err(failed)?;
        self.set_running(Pid::from_child(&child));
        let said = self.pass_on(&mut child);
        let status = child.wait().map_err(failed)?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(match self.interruption.exit_status() {
            Some(status) => Ended::Interrupted(status),
            None if status.success() => Ended::Well,
            None => Ended::Badly(said),
        })
    }

    /// A signal that came before there was anybody to tell is told now.
    fn set_running(&self, process: Pid) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        if self.interruption.exit_status().is_some() {
            let _ = kill_process(process, Signal::TERM);
        }
    }

    /// Reads what a child says on its standard error until that ends; answers the last of it.
    fn pass_on(&self, child: &mut Child) -> String {
        let (mut said, mut chunk) = (Vec::new(), [0; 4096]);
        if let Some(pipe) = &mut child.stderr {
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                if !self.quiet {
                    // If nobody listens, there is nobody to tell that either.
                    let _ = io::stderr().write_all(&chunk[..count]);
                }
                said.extend_from_slice(&chunk[..count]);
                let excess = said.len().saturating_sub(SAID_BYTES_MAX);
                said.drain(..excess);
            }
        }
        String::from_utf8_lossy(&said).into_owned()
    }
}
