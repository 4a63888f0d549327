//! The Python workers of a project.

use std::thread;

use hark_engine::Storage;
use hark_foreign::{PicklePlace, PythonConfig, PythonPool, guard};

use crate::output;
use crate::project::Project;
use crate::render::{Paint, Style};

/// The minimal default for the number of workers.
const WORKERS_DEFAULT_MIN: usize = 4;

/// The total number of Python workers of a project.
pub fn workers_max(project: &Project) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    project.settings.workers.map_or((2 * cores).max(WORKERS_DEFAULT_MIN), |workers| workers as usize)
}

/// A pool of at most this many Python workers. They are started when needed.
pub fn pool(project: &Project, pickles: PicklePlace, workers: usize) -> PythonPool {
    let settings = &project.settings;
    PythonPool::new(PythonConfig {
        interpreter: settings.python.clone(),
        project: project.folder.clone(),
        python_src: project.folder.join(&settings.python_src),
        requirements: project.folder.join(&settings.python_requirements),
        pickles,
        workers,
        guard: guard::own_program(),
        warn,
    })
}

/// The folder for large pickles that this storage may keep.
pub fn place_of_pickles(storage: &dyn Storage) -> PicklePlace {
    storage.scratch_folder().map_or(PicklePlace::Temporary, |folder| PicklePlace::Folder(folder.to_owned()))
}

fn warn(text: &str) {
    let style = Style::for_stderr();
    output::tell(&format!("{}: {text}\n", style.paint(Paint::Warning, "warning")));
}
