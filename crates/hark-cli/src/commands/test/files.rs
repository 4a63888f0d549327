//! Which programs have something to test.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// What a folder has in it that is a virtual environment.
const ENVIRONMENT_MARK: &str = "pyvenv.cfg";

/// The programs that these paths name: a file is one, and a folder has those in it and below it, in the order of their
/// names. Hidden folders and virtual environments are left out.
///
/// # Errors
/// If there is no such path, or a folder cannot be read.
pub fn programs(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
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
        // A link to a folder may lead round in a circle.
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
