//! The folder where Python finds the module `hark`.
//!
//! Workers do not need it as a file, but processes started by functions import it like any other module: those of
//! `multiprocessing`, executors, linters. So each build of Hark writes it once, to the user's cache or else to the
//! folder for temporary files. If neither is writable, workers still have the module, but other processes do not. When
//! a build creates its folder, it removes the folders of other builds that have not been used for a month. Workers also
//! keep their compiled code in the folder, which makes them start faster.

use std::env;
use std::fs::{self, DirBuilder, FileTimes, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::process::geteuid;

/// The source of the module, for a worker without a folder to load it from.
pub const MODULE: &str = include_str!("../../../python/hark/__init__.py");

const FILES: [(&str, &str); 3] = [
    ("__init__.py", MODULE),
    ("testing.py", include_str!("../../../python/hark/testing.py")),
    ("py.typed", include_str!("../../../python/hark/py.typed")),
];

/// The prefix of the folders' names.
const NAME_START: &str = "python-";

/// After this time without a started worker, a folder is considered unused. If it is needed later, the next worker
/// creates it again.
const UNUSED_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// The minimum interval at which the use of a folder is recorded.
const NOTED_EVERY: Duration = Duration::from_secs(24 * 3600);

/// The permissions that a folder with executed files must not have.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A folder for `sys.path` that contains this package and no other module, if one can be created. Its name depends on
/// the sources of the package and of these modules, which make up a worker.
pub fn folder(modules: &[(&str, &str)]) -> Option<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (FILES, modules).hash(&mut hasher);
    let name = format!("{NAME_START}{:016x}", hasher.finish());
    places().iter().find_map(|place| provide(place, &name).ok())
}

/// The possible parent folders, the best first.
fn places() -> Vec<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    // With `sudo`, the home may belong to another user, who should not find files of root in it.
    let cache = cache.filter(|folder| owner_of_existing(folder) == Some(geteuid().as_raw()));
    cache.map(|folder| folder.join("hark")).into_iter().chain([temporary_place()]).collect()
}

fn temporary_place() -> PathBuf {
    env::temp_dir().join(format!("hark-{}", geteuid().as_raw()))
}

/// A folder for temporary files that only this user can change.
///
/// # Errors
/// If it cannot be created.
pub fn temporary_folder() -> io::Result<PathBuf> {
    let place = temporary_place();
    make_private(&place)?;
    Ok(place)
}

/// The owner of the folder, or of its nearest existing ancestor.
fn owner_of_existing(folder: &Path) -> Option<u32> {
    folder.ancestors().find_map(|each| each.metadata().ok()).map(|found| found.uid())
}

/// Creates a folder unless it exists, and checks that others cannot change it.
fn make_private(place: &Path) -> io::Result<()> {
    make_folder(place)?;
    let found = place.symlink_metadata()?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

fn provide(place: &Path, name: &str) -> io::Result<PathBuf> {
    make_private(place)?;
    let folder = place.join(name);
    let package = folder.join("hark");
    let is_new = folder.symlink_metadata().is_err();
    make_folder(&package)?;
    note_use(&folder);
    if is_new {
        remove_unused(place, name);
    }
    for (name, text) in FILES {
        let path = package.join(name);
        if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
            write_whole(&path, text)?;
        }
    }
    Ok(folder)
}

/// Updates the folder's modification time. Only its removal depends on this.
fn note_use(folder: &Path) {
    if age(folder).is_none_or(|age| age > NOTED_EVERY) {
        let now = FileTimes::new().set_modified(SystemTime::now());
        let _ = fs::File::open(folder).and_then(|folder| folder.set_times(now));
    }
}

/// Removes unused folders of other builds. Errors are ignored.
fn remove_unused(place: &Path, own: &str) {
    let Ok(found) = fs::read_dir(place) else { return };
    for entry in found.flatten() {
        let name = entry.file_name();
        let is_other = name.to_str().is_some_and(|name| name.starts_with(NAME_START) && name != own);
        // The type of the entry itself: the target of a symbolic link is not ours.
        if is_other
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && age(&entry.path()).is_some_and(|age| age > UNUSED_MAX)
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// How long ago the folder was last used; `None` if its time is in the future.
fn age(folder: &Path) -> Option<Duration> {
    SystemTime::now().duration_since(folder.symlink_metadata().ok()?.modified().ok()?).ok()
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a file such that other processes see it complete or not at all.
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

    fn set_age(folder: &Path, age: Duration) {
        let times = FileTimes::new().set_modified(SystemTime::now() - age);
        fs::File::open(folder).unwrap().set_times(times).unwrap();
    }

    #[test]
    fn folders_of_other_builds_are_removed_when_nobody_uses_them() {
        let place = place("unused");
        let day = Duration::from_secs(24 * 3600);
        let [old, used, new] = ["python-old", "python-used", "python-new"].map(|name| provide(&place, name).unwrap());
        let (kept, link) = (place.join("else"), place.join("python-link"));
        fs::create_dir(&kept).unwrap();
        symlink(&kept, &link).unwrap();
        [&old, &used, &kept].iter().for_each(|folder| set_age(folder, 31 * day));
        // A process of that build begins.
        provide(&place, "python-used").unwrap();
        set_age(&new, 29 * day);
        assert!(old.exists(), "nothing is removed unless a folder is created");
        provide(&place, "python-next").unwrap();
        assert!(!old.exists());
        assert!(used.exists() && new.exists() && kept.exists() && link.is_symlink());
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
