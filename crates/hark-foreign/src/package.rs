//! The folder in which Python finds the module `hark`.
//!
//! A worker needs no file for it, but processes that a function starts import it like any other module: those of
//! `multiprocessing`, executors, linters. So it is written once for each build of Hark, to the user's cache or else to the
//! folder for temporary files. Where neither can be written to, workers have the module all the same, and other processes
//! do not. Workers keep their own compiled code in the same folder, which makes their start shorter.

use std::env;
use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::geteuid;

/// The module itself, for a worker that has no folder to load it from.
pub const MODULE: &str = include_str!("../../../python/hark/__init__.py");

const FILES: [(&str, &str); 3] = [
    ("__init__.py", MODULE),
    ("testing.py", include_str!("../../../python/hark/testing.py")),
    ("py.typed", include_str!("../../../python/hark/py.typed")),
];

/// Access for others that a folder must not grant whose files are run.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A folder for `sys.path` with the package and no other module, if one can be had. It is one for workers that consist of
/// these modules, and their sources.
pub fn folder(modules: &[(&str, &str)]) -> Option<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (FILES, modules).hash(&mut hasher);
    let name = format!("python-{:016x}", hasher.finish());
    places().iter().find_map(|place| provide(place, &name).ok())
}

/// Where it may be written, the best first.
fn places() -> Vec<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    // With `sudo`, the home may be another user's, who should not find files of root in it.
    let cache = cache.filter(|folder| owner_of_existing(folder) == Some(geteuid().as_raw()));
    let temporary = env::temp_dir().join(format!("hark-{}", geteuid().as_raw()));
    cache.map(|folder| folder.join("hark")).into_iter().chain([temporary]).collect()
}

/// Who owns the folder, or the nearest one above it that exists.
fn owner_of_existing(folder: &Path) -> Option<u32> {
    folder.ancestors().find_map(|each| each.metadata().ok()).map(|found| found.uid())
}

fn provide(place: &Path, name: &str) -> io::Result<PathBuf> {
    make_folder(place)?;
    let found = place.symlink_metadata()?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let folder = place.join(name);
    let package = folder.join("hark");
    make_folder(&package)?;
    for (name, text) in FILES {
        let path = package.join(name);
        if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
            write_whole(&path, text)?;
        }
    }
    Ok(folder)
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Other processes see the file complete or not at all.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let new = path.with_extension(format!("{}-{number}.new", process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&new, path));
    written.inspect_err(|_| drop(fs::remove_file(&new)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn place(name: &str) -> PathBuf {
        let place = env::temp_dir().join(format!("hark-package-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&place);
        place
    }

    #[test]
    fn the_package_is_written_and_mended() {
        let place = place("mended");
        let folder = provide(&place, "python").unwrap();
        let file = folder.join("hark/__init__.py");
        assert_eq!(fs::read_to_string(&file).unwrap(), MODULE);
        assert_eq!(place.metadata().unwrap().mode() & 0o777, 0o700);
        fs::write(&file, "half of i").unwrap();
        assert_eq!(provide(&place, "python").unwrap(), folder);
        assert_eq!(fs::read_to_string(&file).unwrap(), MODULE);
        assert_eq!(fs::read_dir(folder.join("hark")).unwrap().count(), FILES.len());
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_change_is_not_used() {
        let place = place("open");
        provide(&place, "python").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(provide(&place, "python").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        fs::set_permissions(&place, fs::Permissions::from_mode(0o700)).unwrap();
        let link = place.with_extension("link");
        symlink(&place, &link).unwrap();
        assert_eq!(provide(&link, "python").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        fs::remove_file(link).unwrap();
        fs::remove_dir_all(place).unwrap();
    }
}
