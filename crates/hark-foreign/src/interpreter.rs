//! The choice of the Python interpreter, and messages if it cannot be used.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The file that marks a virtual environment as made by `hark sync`. It contains the setting `python` for which the
/// environment was made, or nothing.
const SYNC_MARK: &str = ".hark-sync";

/// The folder of a project's own virtual environment.
const OWN_ENVIRONMENT: &str = ".venv";

/// A Python interpreter and how it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// A path, or the name of a program on `PATH`.
    pub path: PathBuf,
    /// How it was chosen.
    pub origin: Origin,
}

/// How an interpreter was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// By the settings.
    Setting,
    /// It belongs to the active virtual environment.
    ActiveEnvironment,
    /// It belongs to the project's virtual environment.
    OwnEnvironment,
    /// By default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Origin::Setting => "from `python` in hark.toml",
            Origin::ActiveEnvironment => "from `VIRTUAL_ENV`",
            Origin::OwnEnvironment => "from the project's `.venv`",
            Origin::Default => "`python3` on `PATH`",
        })
    }
}

impl Interpreter {
    /// The interpreter of a project: the one of the `.venv` that `hark sync` made for these settings; else the
    /// configured one; else the one of the active virtual environment or of any other `.venv`; else `python3`.
    pub fn find(configured: Option<&Path>, project: &Path) -> Interpreter {
        let environment = own_environment(project);
        let own = interpreter_in(&environment);
        let is_synced = synced_for(&environment).is_some_and(|setting| Path::new(&setting) == setting_of(configured));
        let (path, origin) = if is_synced && own.exists() {
            (own, Origin::OwnEnvironment)
        } else if let Some(configured) = configured {
            (configured_path(configured, project), Origin::Setting)
        } else if let Some(active) = env::var_os("VIRTUAL_ENV").filter(|path| !path.is_empty()) {
            (interpreter_in(Path::new(&active)), Origin::ActiveEnvironment)
        } else if own.exists() {
            (own, Origin::OwnEnvironment)
        } else {
            (PathBuf::from("python3"), Origin::Default)
        };
        Interpreter { path, origin }
    }

    /// The interpreter from which a virtual environment of the project is made.
    pub fn base(configured: Option<&Path>, project: &Path) -> Interpreter {
        match configured {
            Some(configured) => Interpreter { path: configured_path(configured, project), origin: Origin::Setting },
            None => Interpreter { path: PathBuf::from("python3"), origin: Origin::Default },
        }
    }
}

/// The folder of a project's own virtual environment, which may not exist.
pub fn own_environment(project: &Path) -> PathBuf {
    project.join(OWN_ENVIRONMENT)
}

/// The interpreter of a virtual environment.
pub fn interpreter_in(environment: &Path) -> PathBuf {
    environment.join("bin").join("python")
}

/// The setting `python` for which `hark sync` made this virtual environment, empty if there was none. `None` if it did
/// not make the environment or did not finish.
pub fn synced_for(environment: &Path) -> Option<String> {
    fs::read_to_string(environment.join(SYNC_MARK)).ok()
}

/// Marks a virtual environment as made for these settings.
///
/// # Errors
/// If the mark cannot be written.
pub fn mark_synced(environment: &Path, configured: Option<&Path>) -> std::io::Result<()> {
    fs::write(environment.join(SYNC_MARK), setting_of(configured).as_os_str().as_encoded_bytes())
}

fn setting_of(configured: Option<&Path>) -> &Path {
    configured.unwrap_or(Path::new(""))
}

/// A name without a folder is searched for on `PATH`.
fn configured_path(configured: &Path, project: &Path) -> PathBuf {
    if is_name(configured) { configured.to_path_buf() } else { project.join(configured) }
}

fn is_name(interpreter: &Path) -> bool {
    interpreter.components().count() == 1 && !interpreter.has_root()
}

/// The reason why it cannot be started, as far as its metadata shows.
pub fn obvious_problem(interpreter: &Path) -> Option<&'static str> {
    match interpreter.metadata() {
        Err(_) if is_name(interpreter) => None,
        Err(_) => Some("does not exist"),
        Ok(found) if found.is_dir() && !is_name(interpreter) => Some("is a folder"),
        Ok(_) => None,
    }
}

/// The complete message about an unusable interpreter.
pub fn unusable(interpreter: &Path, problem: &str) -> String {
    format!(
        "the Python interpreter `{}` {problem}; set `python` in hark.toml to a Python of version 3.8 or later, or activate a \
         virtual environment",
        interpreter.display()
    )
}
