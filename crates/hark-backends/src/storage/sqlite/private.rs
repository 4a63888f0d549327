//! The folder that sessions are kept in, and the files in it, are their owner's alone: they hold arguments, values and what
//! was printed. Whoever may open a file of a database may also lock it, and so stop everyone.

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

/// Makes a folder if there is none, and has its name on the disk: what is written into it later would be lost with it.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folder(parent)?;
    }
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        // Whatever the umask leaves of the mode.
        Ok(()) => fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE))?,
        // Another process may have been quicker. What is no folder, such as a pipe, is not to be opened.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Has the name of this folder on the disk.
pub(super) fn sync_name(folder: &Path) -> io::Result<()> {
    let folder = fs::canonicalize(folder)?;
    match folder.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// Makes an empty file that did not exist, to be read and written.
pub(super) fn make_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// Opens a file to be read, unless it is a symbolic link.
pub(super) fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(NO_LINK).open(path)
}

/// Opens a file to be read and written, unless it is a symbolic link.
pub(super) fn open_to_write(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(NO_LINK).open(path)
}

/// What is wrong with something that neither Hark nor SQLite would have put where they have their files. Whoever put a
/// symbolic link there wants another file to be read or written; a pipe would be waited for without end.
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

/// What may have a name.
enum Kind {
    File,
    Folder,
    FileOrSocket,
}

impl Kind {
    /// Why this is not of the kind, unless it is.
    fn why_not(self, entry: &DirEntry) -> Option<String> {
        let found = entry.file_type().ok()?;
        let path = entry.path();
        let path = path.display();
        if found.is_symlink() {
            return Some(format!("`{path}` is a symbolic link, and Hark follows none there; `data_dir` may be one"));
        }
        match self {
            Kind::File => (!found.is_file()).then(|| format!("`{path}` is not a regular file")),
            Kind::Folder => (!found.is_dir()).then(|| format!("`{path}` is not a folder")),
            Kind::FileOrSocket => (!found.is_file() && !found.is_socket())
                .then(|| format!("`{path}` is neither a regular file nor a socket")),
        }
    }
}

/// Gives a file, such as a socket, that was made otherwise the same mode.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(FILE_MODE))
}

/// Takes from others what they may do with a file or folder that is this user's.
pub(super) fn narrow(path: &Path) {
    let Ok(found) = fs::symlink_metadata(path) else { return };
    let is_ours = found.uid() == geteuid().as_raw() && !found.is_symlink();
    if is_ours && found.mode() & OTHERS != 0 {
        // On a disk that is read-only nothing can be done about it.
        let _ = fs::set_permissions(path, Permissions::from_mode(found.mode() & 0o7777 & !OTHERS));
    }
}

/// Narrows the folder, the files whose names begin so, and whatever is in the folders of that kind. A folder that has other
/// files, too, is not Hark's alone, and stays as wide as it is.
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
