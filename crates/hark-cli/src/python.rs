//! Where a project's Python functions are.

use std::thread;

use hark_engine::Storage;
use hark_foreign::{PicklePlace, PythonConfig, PythonPool, guard};

use crate::output;
use crate::project::Project;
use crate::render::{Paint, Style};

/// The fewest workers that run at a time, unless the settings say otherwise.
const WORKERS_DEFAULT_MIN: usize = 4;

/// The pool of a project's Python workers; none is started before it is needed. Where so many processes have a pool each,
/// the workers are divided among them.
pub fn pool(project: &Project, pickles: PicklePlace, processes: usize) -> PythonPool {
    let settings = &project.settings;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = settings.workers.map_or((2 * cores).max(WORKERS_DEFAULT_MIN), |workers| workers as usize);
    PythonPool::new(PythonConfig {
        interpreter: settings.python.clone(),
        project: project.folder.clone(),
        python_src: project.folder.join(&settings.python_src),
        requirements: project.folder.join(&settings.python_requirements),
        pickles,
        workers: workers.div_ceil(processes),
        guard: guard::own_program(),
        warn,
    })
}

/// Where workers write large pickles that this storage may keep.
pub fn place_of_pickles(storage: &dyn Storage) -> PicklePlace {
    storage.scratch_folder().map_or(PicklePlace::Temporary, |folder| PicklePlace::Folder(folder.to_owned()))
}

fn warn(text: &str) {
    let style = Style::for_stderr();
    output::tell(&format!("{}: {text}\n", style.paint(Paint::Warning, "warning")));
}
