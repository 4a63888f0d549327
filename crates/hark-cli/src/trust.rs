//! Checks who owns the files that Hark uses. Settings choose the interpreter, and a stored session is a program to run:
//! if another user had put one there, it would run as this user.
//!
//! Like git with repositories, Hark trusts files that belong to the user or to root. Under `sudo`, the user who called
//! it is trusted as well. All other files must be named on the command line.

use std::env;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::failure::Failure;

const ROOT: u32 = 0;

/// The files in the folder of stored sessions.
const KEPT: [&str; 4] = ["hark.db", "hark.db-wal", "hark.db-shm", "servers"];

/// Refuses a file or folder that belongs neither to this user nor to root. A missing one is accepted. `remedy` says
/// what to do if it is trusted.
///
/// # Errors
/// If it belongs to another user, or is a symbolic link of another user.
pub fn check_owner(path: &Path, remedy: &str) -> Result<(), Failure> {
    // First the link itself, then its target.
    for found in [fs::symlink_metadata(path), fs::metadata(path)] {
        match found {
            Ok(found) if !is_trusted(&found) => return Err(foreign(path, found.uid(), remedy)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::usage(format!("`{}` cannot be accessed: {error}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses a folder of stored sessions that another user could have filled.
///
/// # Errors
/// If the folder, or a file in it, belongs to another user.
pub fn check_kept(folder: &Path) -> Result<(), Failure> {
    let remedy = format!("if you trust its owner, name the folder: `--data-dir {}`", folder.display());
    check_owner(folder, &remedy)?;
    KEPT.iter().try_for_each(|name| check_owner(&folder.join(name), &remedy))
}

fn is_trusted(file: &Metadata) -> bool {
    let owner = file.uid();
    let me = rustix::process::geteuid().as_raw();
    owner == ROOT || owner == me || (me == ROOT && sudo_user() == Some(owner))
}

/// The user who called `sudo`.
fn sudo_user() -> Option<u32> {
    env::var("SUDO_UID").ok()?.parse().ok()
}

fn foreign(path: &Path, owner: u32, remedy: &str) -> Failure {
    let name = name_of(owner).map(|name| format!(" ({name})")).unwrap_or_default();
    let message =
        format!("`{}` belongs to another user, {owner}{name}, who could make you run any code", path.display());
    Failure::usage(message).with_hint(remedy)
}

/// The name of a user of this computer.
fn name_of(user: u32) -> Option<String> {
    let known = fs::read_to_string("/etc/passwd").ok()?;
    known.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names() {
        assert_eq!(name_of(0).as_deref(), Some("root"));
        assert_eq!(name_of(u32::MAX - 7), None);
    }
}
