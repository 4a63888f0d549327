//! Checks whether the files of a session's program have changed since it was started. The session keeps its original
//! program.

use std::fs;
use std::path::{Path, PathBuf};

use hark_bytecode::{Executable, Source};

use crate::project::Project;

/// A note for a session whose program has changed, if it has.
pub fn note(project: &Project, executable: &Executable) -> Option<String> {
    let file = first_changed(project, executable)?;
    Some(format!("{file} has changed since the session was started; the session keeps its original program"))
}

/// The first file of a program whose text has changed. A missing file, or a program that had no file, does not count.
fn first_changed<'e>(project: &Project, executable: &'e Executable) -> Option<&'e str> {
    let mut files = executable.sources.files().iter().map(|file| &file.source);
    files.find(|source| is_changed(project, source)).map(|source| &*source.path)
}

fn is_changed(project: &Project, source: &Source) -> bool {
    // The path is relative to the folder where the session was started: this one, or the project's.
    let written = Path::new(&*source.path);
    let name = written.file_name().map(PathBuf::from);
    let candidates =
        [Some(written.to_path_buf()), Some(project.folder.join(written)), name.map(|name| project.folder.join(name))];
    let file = candidates.into_iter().flatten().find(|path| path.is_file());
    file.and_then(|path| fs::read(path).ok()).is_some_and(|bytes| bytes != source.text.as_bytes())
}
