//! Whose files Hark goes by. Settings choose the interpreter, and a session that is kept is a program that is run: one
//! that another user has put in the way would run as this user.
//!
//! As git does with repositories, Hark trusts what belongs to the user or to root. Under `sudo` the user is also whoever
//! called it. Everything else has to be named on the command line.

use std::env;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::failure::Failure;

const ROOT: u32 = 0;

/// What is in the folder of kept sessions.
const KEPT: [&str; 4] = ["hark.db", "hark.db-wal", "hark.db-shm", "servers"];

/// Refuses a file or folder that neither this user nor root has put there. What does not exist is nobody's. `remedy` says
/// what to do if it is meant.
///
/// # Errors
/// If it belongs to another user, or is a symbolic link that does.
pub fn check_owner(path: &Path, remedy: &str) -> Result<(), Failure> {
    // Of the link, then of what it leads to.
    for found in [fs::symlink_metadata(path), fs::metadata(path)] {
        match found {
            Ok(found) if !is_trusted(&found) => return Err(foreign(path, found.uid(), remedy)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::usage(format!("`{}` cannot be looked at: {error}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses a folder of kept sessions that another user could have filled.
///
/// # Errors
/// If that is so.
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

/// Who has called `sudo`, for whom root works.
fn sudo_user() -> Option<u32> {
    env::var("SUDO_UID").ok()?.parse().ok()
}

fn foreign(path: &Path, owner: u32, remedy: &str) -> Failure {
    let name = name_of(owner).map(|name| format!(" ({name})")).unwrap_or_default();
    let message =
        format!("`{}` belongs to another user, {owner}{name}, who could have you run anything", path.display());
    Failure::usage(message).with_hint(remedy)
}

/// The name of a user that this computer knows.
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
