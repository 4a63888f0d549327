//! `hark init`

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::FINISHED;
use crate::args::Init;
use crate::config;
use crate::failure::Failure;
use crate::output;
use crate::place::quoted_path;

const PROGRAM: &str = include_str!("init/service.hk");
const PYTHON: &str = include_str!("init/__init__.py");
const REQUIREMENTS: &str = "# The Python packages that the program needs, one per line. `hark sync` installs them.\n";
const IGNORED: &str = "# Files that Hark and Python create\n.hark/\n.venv/\n__pycache__/\n";

/// Creates the files of a new project; existing files are kept.
///
/// # Errors
/// If a file cannot be written.
pub fn init(wanted: &Init) -> Result<u8, Failure> {
    let folder = &wanted.folder;
    if folder.exists() && !folder.is_dir() {
        return Err(Failure::usage(format!("`{}` is not a folder", folder.display())));
    }
    let settings = config::template();
    let files = [
        (config::FILE_NAME, settings.as_str()),
        ("service.hk", PROGRAM),
        ("src/__init__.py", PYTHON),
        ("requirements.txt", REQUIREMENTS),
        (".gitignore", IGNORED),
    ];
    let mut said = String::new();
    for (name, text) in files {
        let is_new = create(&folder.join(name), text)?;
        said.push_str(&format!("{} {name}\n", if is_new { "created" } else { "kept   " }));
    }
    if !wanted.quiet {
        let here = folder.as_os_str() == ".";
        let place = if here { String::new() } else { format!("cd {} && ", quoted_path(folder)) };
        output::write_out(&format!("{said}\nnext: {place}hark\n"))?;
    }
    Ok(FINISHED)
}

/// Writes a file unless it exists. Returns whether it was written.
fn create(path: &Path, text: &str) -> Result<bool, Failure> {
    let failed = |error: std::io::Error| Failure::usage(format!("`{}` cannot be written: {error}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true).map_err(failed),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error)),
    }
}
