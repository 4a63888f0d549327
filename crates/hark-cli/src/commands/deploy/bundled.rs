//! The Python of a package for a runtime without Python.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use hark_lambda::package::Package;
use hark_lambda::template::PYTHON;

use super::prepare::unpackaged;
use crate::failure::Failure;
use crate::project::Project;

/// The interpreter in the folder of a Python.
const PROGRAM: &str = "bin/python3";

/// Adds the Python in the folder `bundled_python`.
///
/// # Errors
/// If there is none, or its version is not the one for which packages are installed.
pub fn add_to(package: &mut Package, project: &Project) -> Result<(), Failure> {
    let instance = &project.settings.instance;
    let hint =
        "set `bundled_python` to a folder with `bin/python3`; `uv python install --install-dir FOLDER` makes one";
    let set = instance.bundled_python.as_ref().ok_or_else(|| {
        Failure::usage("`runtime = \"bundled\"` in hark.toml needs a Python to put into the package").with_hint(hint)
    })?;
    let folder = python_in(&project.folder.join(set)).ok_or_else(|| {
        let missing = set.join(PROGRAM).display().to_string();
        Failure::usage(format!("`bundled_python` in hark.toml: there is no `{missing}`")).with_hint(hint)
    })?;
    let versions = versions(&folder);
    let wanted = &instance.python_version;
    if let Some(other) = versions.first().filter(|_| !versions.contains(wanted)) {
        let failure = Failure::usage(format!(
            "`bundled_python` in hark.toml is Python {other}, and `python_version` is {wanted}, for which packages are installed"
        ));
        return Err(failure.with_hint(format!("set `python_version = \"{other}\"`, or bundle another Python")));
    }
    package.add_folder(PYTHON, &folder, &|path| is_unneeded(&folder, path)).map_err(unpackaged)
}

/// The folder of a Python: this one, or its only subfolder with a Python, as `uv` creates it.
fn python_in(folder: &Path) -> Option<PathBuf> {
    let has_python = |folder: &PathBuf| folder.join(PROGRAM).is_file();
    if has_python(&folder.to_path_buf()) {
        return Some(folder.to_path_buf());
    }
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    // `uv` also creates a link with a part of the version as its name.
    let real: BTreeSet<PathBuf> = entries.filter(has_python).filter_map(|path| fs::canonicalize(path).ok()).collect();
    real.first().filter(|_| real.len() == 1).cloned()
}

/// The versions whose standard libraries are in a folder.
fn versions(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("lib")).into_iter().flatten().flatten();
    let name = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix("python").map(str::to_owned);
    entries.filter_map(name).filter(|version| version.starts_with("3.")).collect()
}

/// Whether functions do not need this file or folder: it is for people, for building programs or for tests.
fn is_unneeded(folder: &Path, path: &Path) -> bool {
    let inside: Vec<&str> = path.strip_prefix(folder).unwrap_or(path).iter().filter_map(OsStr::to_str).collect();
    match inside[..] {
        // Scripts, and links to the interpreter, each of which would be a copy in the package.
        ["bin", name] => name != "python3",
        ["include" | "share"] => true,
        ["lib", name] => {
            let is_graphical = ["tcl", "tk", "itcl", "thread"].iter().any(|start| name.starts_with(start));
            is_graphical || name == "pkgconfig" || name.ends_with(".a")
        }
        ["lib", _, "ensurepip" | "idlelib" | "test" | "tkinter" | "turtledemo"] => true,
        ["lib", _, name] => name.starts_with("config-"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_people_need_is_left_out() {
        let is_left_out = |inside: &str| is_unneeded(Path::new("/py"), &Path::new("/py").join(inside));
        for kept in ["bin", "bin/python3", "lib/python3.13", "lib/libpython3.13.so.1.0", "lib/python3.13/json/test"] {
            assert!(!is_left_out(kept), "{kept}");
        }
        for left_out in ["bin/pip3", "include", "lib/python3.13/test", "lib/python3.13/config-3.13-x86_64-linux-gnu"] {
            assert!(is_left_out(left_out), "{left_out}");
        }
    }
}
