//! Loads the files that a program imports, for the compiler.
//!
//! A module is identified by its path relative to the main program's folder, both without symbolic links. So each
//! module is compiled once, no matter how it is reached, and its imports are resolved relative to its real place.

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
    /// The folder of the main program, canonical.
    folder: PathBuf,
    /// The folder as the user wrote it, if it leads to the same folder.
    shown_folder: Option<PathBuf>,
    /// The name of the main program in its folder; None if it is not a file.
    main: Option<String>,
    /// The paths of the located files.
    paths: HashMap<String, PathBuf>,
}

impl Modules {
    /// The modules of the program at this path.
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

    /// The modules of a program that is not a file, such as a pipe: they are in the current folder.
    pub fn of_no_file() -> Modules {
        let folder = env::current_dir().and_then(fs::canonicalize).unwrap_or_default();
        Modules { folder, shown_folder: Some(PathBuf::new()), main: None, paths: HashMap::new() }
    }

    /// The identifier of the main program's file, if it is a file.
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
            return Err(LoadError::Other("it is not a regular file".to_owned()));
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
        // `file.hk/other.hk` is missing like any other file.
        ErrorKind::NotFound | ErrorKind::NotADirectory => LoadError::Missing,
        ErrorKind::IsADirectory => LoadError::Folder,
        _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => LoadError::LinkLoop,
        _ => LoadError::Other(error.to_string()),
    }
}

/// The relative path from a folder to a file, both canonical.
fn relative(folder: &Path, file: &Path) -> PathBuf {
    let common = folder.components().zip(file.components()).take_while(|(left, right)| left == right).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    up.chain(file.components().skip(common)).collect()
}

/// The path of a file relative to the current folder if it is inside, for messages.
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
