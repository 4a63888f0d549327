//! The files that a program imports, as the compiler asks for them.
//!
//! A module is known by its path from the main program's folder, both with all symbolic links followed: so each is
//! compiled once, by whatever ways it is reached, and what it imports is looked for where it really is.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use hark_bytecode::line_starts;
use hark_compiler::{Files, LoadError, Located};
use rustix::io::Errno;

/// The modules of a program.
#[derive(Debug)]
pub struct Modules {
    /// The main program's folder. Canonical.
    folder: PathBuf,
    /// The same as the user wrote it, if it can be reached so.
    shown_folder: Option<PathBuf>,
    /// The main program's name in its folder; nothing if it is no file.
    main: Option<String>,
    /// Where the files are that were located.
    paths: HashMap<String, PathBuf>,
}

impl Modules {
    /// The modules of the program that this path leads to.
    pub fn of(program: &Path) -> Modules {
        let Some(real) = fs::canonicalize(program).ok().filter(|real| real.is_file()) else {
            return Modules::of_no_file();
        };
        let folder = real.parent().map(Path::to_path_buf).unwrap_or_default();
        let written = program.parent().map(Path::to_path_buf);
        let shown_folder = written.filter(|written| {
            let written = if written.as_os_str().is_empty() { Path::new(".") } else { written };
            fs::canonicalize(written).is_ok_and(|real| real == folder)
        });
        let main = real.file_name().map(|name| name.to_string_lossy().into_owned());
        Modules { folder, shown_folder, main, paths: HashMap::new() }
    }

    /// The modules of a program that is no file, such as a pipe: they are where the user is.
    pub fn of_no_file() -> Modules {
        let folder = env::current_dir().and_then(fs::canonicalize).unwrap_or_default();
        Modules { folder, shown_folder: Some(PathBuf::new()), main: None, paths: HashMap::new() }
    }

    /// What the main program's file is known by, if it is one.
    pub fn main(&self) -> Option<String> {
        self.main.clone()
    }

    /// The path of a file as the user would write it.
    fn shown(&self, file: &str, real: &Path) -> String {
        let is_inside = !Path::new(file).starts_with("..") && !Path::new(file).is_absolute();
        let shown = match &self.shown_folder {
            Some(folder) if is_inside || folder.as_os_str().is_empty() => folder.join(file),
            _ => from_current_folder(real),
        };
        shown.display().to_string()
    }
}

impl Files for Modules {
    fn locate(&mut self, importer: Option<&str>, path: &str) -> Result<Located, LoadError> {
        let importer = importer.and_then(|importer| self.paths.get(importer)).and_then(|path| path.parent());
        let real = fs::canonicalize(importer.unwrap_or(&self.folder).join(path)).map_err(refusal)?;
        if real.is_dir() {
            return Err(LoadError::Folder);
        }
        let file = relative(&self.folder, &real).to_string_lossy().into_owned();
        let shown = self.shown(&file, &real);
        self.paths.insert(file.clone(), real);
        Ok(Located { file, shown })
    }

    fn read(&mut self, file: &str) -> Result<String, LoadError> {
        let path = self.paths.get(file).ok_or(LoadError::Missing)?;
        if !path.is_file() {
            return Err(LoadError::Other("it is no regular file".to_owned()));
        }
        String::from_utf8(fs::read(path).map_err(refusal)?).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            let line = std::str::from_utf8(&bytes[..offset]).map_or(1, |text| line_starts(text).count());
            LoadError::NotUtf8 { line, offset, byte: bytes[offset] }
        })
    }
}

fn refusal(error: io::Error) -> LoadError {
    match error.kind() {
        // `file.hk/other.hk` is as little there as anything else.
        ErrorKind::NotFound | ErrorKind::NotADirectory => LoadError::Missing,
        ErrorKind::IsADirectory => LoadError::Folder,
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => LoadError::LinkLoop,
        _ => LoadError::Other(error.to_string()),
    }
}

/// The way from a folder to a file, both canonical.
fn relative(folder: &Path, file: &Path) -> PathBuf {
    let common = folder.components().zip(file.components()).take_while(|(left, right)| left == right).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    up.chain(file.components().skip(common)).collect()
}

/// The shortest name of a file that says it from here, for messages.
pub fn from_current_folder(path: &Path) -> PathBuf {
    let current = env::current_dir().and_then(fs::canonicalize).ok();
    let inside = current.and_then(|folder| path.strip_prefix(folder).ok().map(Path::to_path_buf));
    inside.unwrap_or_else(|| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_file_goes_up_as_far_as_it_must() {
        let way = |folder: &str, file: &str| relative(Path::new(folder), Path::new(file)).display().to_string();
        assert_eq!(way("/a/b", "/a/b/c.hk"), "c.hk");
        assert_eq!(way("/a/b", "/a/b/lib/c.hk"), "lib/c.hk");
        assert_eq!(way("/a/b", "/a/c.hk"), "../c.hk");
        assert_eq!(way("/a/b/c", "/d/e.hk"), "../../../d/e.hk");
        assert_eq!(way("/", "/d/e.hk"), "d/e.hk");
    }
}
