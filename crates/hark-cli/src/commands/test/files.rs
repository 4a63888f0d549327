//! Finds the programs to test.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::project::STANDARD_INPUT;

/// The file that marks a folder as a virtual environment.
const ENVIRONMENT_MARK: &str = "pyvenv.cfg";

/// The programs at these paths: files, `-` for standard input, and the programs in folders and their subfolders, sorted by
/// name. Hidden folders and virtual environments are skipped.
///
/// # Errors
/// If a path does not exist, or a folder cannot be read.
pub fn programs(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if path.as_os_str() == STANDARD_INPUT {
            found.push(path.clone());
        } else if path.is_dir() {
            add_folder(path, &mut found)?;
        } else if path.exists() {
            found.push(path.clone());
        } else {
            return Err(Failure::usage(format!("there is no file `{}`", path.display())));
        }
    }
    Ok(found)
}

fn add_folder(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unread = |error| Failure::usage(format!("`{}` cannot be read: {error}", folder.display()));
    let mut inside = Vec::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        // Symbolic links are not followed: they may form a cycle.
        inside.push((entry.file_name(), entry.file_type().map_err(unread)?.is_dir()));
    }
    inside.sort();
    for (name, is_folder) in inside {
        let path = if folder == Path::new(".") { PathBuf::from(&name) } else { folder.join(&name) };
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        if is_folder && !is_hidden && !path.join(ENVIRONMENT_MARK).exists() {
            add_folder(&path, found)?;
        } else if !is_folder && !is_hidden && path.extension().is_some_and(|extension| extension == "hk") {
            found.push(path);
        }
    }
    Ok(())
}
