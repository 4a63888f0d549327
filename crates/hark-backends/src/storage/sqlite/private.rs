//! The data folder and its files are private to their owner: they contain arguments, values and output. Also, anyone
//! who may open a database file may lock it, and so block all others.

use std::fs::{self, DirBuilder, DirEntry, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::pickles;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const OTHERS: u32 = 0o077;
const NO_LINK: i32 = OFlags::NOFOLLOW.bits() as i32;

/// Creates a folder if it does not exist. Its name must be on disk, or later files in it would be lost.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folder(parent)?;
    }
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        // Regardless of the umask.
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE))?,
        // Another process may have been faster. Anything but a folder, such as a pipe, must not be opened.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Syncs the name of this folder to disk.
pub(super) fn sync_name(folder: &Path) -> io::Result<()> {
    let folder = fs::canonicalize(folder)?;
    match folder.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Creates an empty file for reading and writing. Fails if it exists.
pub(super) fn make_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// Opens a file for reading, unless it is a symbolic link.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(NO_LINK).open(path)
}

/// Opens a file for reading and writing, unless it is a symbolic link.
pub(super) fn open_to_write(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(NO_LINK).open(path)
}

/// A message about a file that neither Hark nor SQLite would have created in this place. With a symbolic link, an
/// attacker could have another file read or written; opening a pipe would block for ever.
pub(super) fn find_intruder(folder: &Path, file_name: &str, inner: &str) -> Option<String> {
    let inside = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let of_database = inside(folder).filter_map(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let wanted = match () {
            () if name.starts_with(file_name) => Kind::File,
            () if name == inner || name.starts_with(pickles::FOLDER) => Kind::Folder,
            () => return None,
        };
        wanted.why_not(&entry)
    });
    let of_servers = inside(&folder.join(inner)).filter_map(|entry| Kind::FileOrSocket.why_not(&entry));
    of_database.chain(of_servers).next()
}

/// The file types that are allowed for a name.
enum Kind {
    File,
    Folder,
    FileOrSocket,
}

impl Kind {
    /// The reason why the entry has a wrong type, if it has.
    fn why_not(self, entry: &DirEntry) -> Option<String> {
        let found = entry.file_type().ok()?;
        let path = entry.path();
        let path = path.display();
        if found.is_symlink() {
            return Some(format!(
                "`{path}` is a symbolic link, which Hark does not follow there; only `data_dir` itself may be one"
            ));
        }
        match self {
            Kind::File => (!found.is_file()).then(|| format!("`{path}` is not a regular file")),
            Kind::Folder => (!found.is_dir()).then(|| format!("`{path}` is not a folder")),
            Kind::FileOrSocket => (!found.is_file() && !found.is_socket())
                .then(|| format!("`{path}` is neither a regular file nor a socket")),
        }
    }
}

/// Makes a file private that was created by other means, such as a socket.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(FILE_MODE))
}

/// Removes the permissions of others on a file or folder that belongs to this user.
pub(super) fn narrow(path: &Path) {
    let Ok(found) = fs::symlink_metadata(path) else { return };
    let is_ours = found.uid() == geteuid().as_raw() && !found.is_symlink();
    if is_ours && found.mode() & OTHERS != 0 {
        // Nothing can be done on a read-only disk.
        let _ = fs::set_permissions(path, Permissions::from_mode(found.mode() & 0o7777 & !OTHERS));
    }
}

/// Narrows the permissions of the folder, of the files with this prefix, and of the files in the folder `inner`. A
/// folder that also contains other files is not only Hark's, and is left as it is.
pub(super) fn narrow_all(folder: &Path, file_name: &str, inner: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut is_ours_alone = true;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(file_name) {
            narrow(&entry.path());
        } else if name == inner {
            narrow(&entry.path());
            fs::read_dir(entry.path()).into_iter().flatten().flatten().for_each(|entry| narrow(&entry.path()));
        } else {
            is_ours_alone = false;
        }
    }
    if is_ours_alone {
        narrow(folder);
    }
}
