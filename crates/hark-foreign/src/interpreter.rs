//! Which Python is used, and what to say if it cannot be.

use std::env;
use std::path::{Path, PathBuf};

/// The interpreter: the one that is configured, else that of the active virtual environment, else the project's own
/// `.venv`, else `python3`. A configured name without a folder is looked for on `PATH`.
pub fn find(configured: Option<&Path>, project: &Path) -> PathBuf {
    if let Some(configured) = configured {
        let is_name = configured.components().count() == 1 && !configured.has_root();
        return if is_name { configured.to_path_buf() } else { project.join(configured) };
    }
    if let Some(active) = env::var_os("VIRTUAL_ENV").filter(|path| !path.is_empty()) {
        return in_environment(Path::new(&active));
    }
    let own = in_environment(&project.join(".venv"));
    if own.exists() { own } else { PathBuf::from("python3") }
}

fn in_environment(environment: &Path) -> PathBuf {
    environment.join("bin").join("python")
}

/// Why this cannot be started, as far as looking at it tells.
pub fn obvious_problem(interpreter: &Path) -> Option<&'static str> {
    let is_name = interpreter.components().count() == 1 && !interpreter.has_root();
    match interpreter.metadata() {
        Err(_) if is_name => None,
        Err(_) => Some("does not exist"),
        Ok(found) if found.is_dir() && !is_name => Some("is a folder"),
        Ok(_) => None,
    }
}

/// The whole of a message about an interpreter that cannot be used.
pub fn unusable(interpreter: &Path, problem: &str) -> String {
    format!(
        "the Python interpreter `{}` {problem}; set `python` in hark.toml to one of Python 3.8 or later, or activate a \
         virtual environment",
        interpreter.display()
    )
}
