//! The tools that create a virtual environment and install packages: `uv` if it is installed, otherwise Python's own
//! `venv` and `pip`.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;
use crate::signals::Interruption;

/// The size of the kept tail of a tool's output, from which errors are explained.
const SAID_BYTES_MAX: usize = 1 << 16;

/// How a tool's run ended.
pub enum Ended {
    Well,
    /// With an error, and this on standard error.
    Badly(String),
    /// By a signal; this is the exit status for it.
    Interrupted(u8),
}

/// The tools, and their working folder.
pub struct Tools {
    has_uv: bool,
    folder: PathBuf,
    quiet: bool,
    interruption: Interruption,
    /// The process to which a signal is passed on.
    running: Arc<Mutex<Option<Pid>>>,
}

impl Tools {
    /// The tools of this computer.
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
                // The process may have ended already.
                let _ = kill_process(process, Signal::TERM);
            }
        });
        watched.map_err(|error| Failure::system("cannot watch for signals", &error))?;
        Ok(Tools { has_uv, folder: folder.to_path_buf(), quiet, interruption, running })
    }

    /// The name of the installing tool.
    pub fn name(&self) -> &'static str {
        if self.has_uv { "uv" } else { "pip" }
    }

    /// The command that creates an environment from this interpreter, replacing an existing one.
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

    /// The commands that install the packages of a requirements file into an environment, to be run in this order.
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

    /// Whether the environment has pip, which those created by `uv` lack.
    fn has_pip(&self, python: &Path) -> bool {
        let asked = Command::new(python).args(["-m", "pip", "--version"]).stdin(Stdio::null()).output();
        asked.is_ok_and(|output| output.status.success())
    }

    /// Runs a tool to its end. Its output is passed on to standard error, unless `quiet` is set.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn run(&self, mut command: Command) -> Result<Ended, Failure> {
        let name = command.get_program().display().to_string();
        let failed = |error: io::Error| Failure::undone(format!("`{name}` cannot be run: {error}"));
        command.current_dir(&self.folder).stdin(Stdio::null()).stderr(Stdio::piped());
        // Ignore an active environment, and do not download a Python.
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

    /// Also passes on a signal that arrived before the process was started.
    fn set_running(&self, process: Pid) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        if self.interruption.exit_status().is_some() {
            let _ = kill_process(process, Signal::TERM);
        }
    }

    /// Passes on a child's standard error until it ends. Returns the last part.
    fn pass_on(&self, child: &mut Child) -> String {
        let (mut said, mut chunk) = (Vec::new(), [0; 4096]);
        if let Some(pipe) = &mut child.stderr {
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                if !self.quiet {
                    // An error of standard error itself cannot be reported.
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
