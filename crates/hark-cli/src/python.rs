//! Which Python a project uses, and where its modules are.

use std::env;
use std::path::{Path, PathBuf};
use std::thread;

use hark_foreign::{PythonConfig, PythonPool};

use crate::project::Project;

/// The fewest workers that run at a time, unless the settings say otherwise.
const WORKERS_DEFAULT_MIN: usize = 4;

/// The pool of a project's Python workers; none is started before it is needed.
pub fn pool(project: &Project) -> PythonPool {
    let settings = &project.settings;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    PythonPool::new(PythonConfig {
        interpreter: interpreter(project, env::var_os("VIRTUAL_ENV").map(PathBuf::from)),
        project: project.folder.clone(),
        python_src: project.folder.join(&settings.python_src),
        workers: settings.workers.map_or((2 * cores).max(WORKERS_DEFAULT_MIN), |workers| workers as usize),
    })
}

/// The interpreter: what the settings say, else that of the active virtual environment, else that of `.venv`, else
/// `python3`.
fn interpreter(project: &Project, active: Option<PathBuf>) -> PathBuf {
    if let Some(wanted) = &project.settings.python {
        let is_name = wanted.components().count() == 1 && !wanted.has_root();
        return if is_name { wanted.clone() } else { project.folder.join(wanted) };
    }
    if let Some(environment) = active.filter(|path| !path.as_os_str().is_empty()) {
        return in_environment(&environment);
    }
    let own = in_environment(&project.folder.join(".venv"));
    if own.exists() { own } else { "python3".into() }
}

fn in_environment(environment: &Path) -> PathBuf {
    environment.join("bin").join("python")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn found(python: Option<&str>, active: Option<&str>) -> PathBuf {
        let settings = Settings { python: python.map(PathBuf::from), ..Settings::default() };
        let project = Project { folder: "/no/such/project".into(), settings, warnings: None };
        interpreter(&project, active.map(PathBuf::from))
    }

    #[test]
    fn settings_come_first_then_the_active_environment() {
        assert_eq!(found(Some("python3.11"), Some("/env")), PathBuf::from("python3.11"));
        assert_eq!(found(Some("bin/python"), None), PathBuf::from("/no/such/project/bin/python"));
        assert_eq!(found(Some("./python"), None), PathBuf::from("/no/such/project/./python"));
        assert_eq!(found(Some("/usr/bin/python3"), None), PathBuf::from("/usr/bin/python3"));
        assert_eq!(found(None, Some("/env")), PathBuf::from("/env/bin/python"));
        assert_eq!(found(None, Some("")), PathBuf::from("python3"));
        assert_eq!(found(None, None), PathBuf::from("python3"));
    }
}
