//! The package of a function, a zip file. The same files make the same package, byte for byte, so that its hash shows
//! whether anything has changed.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The maximum total size of a package's files, in bytes, that AWS Lambda unpacks.
pub const UNPACKED_BYTES_MAX: u64 = 262_144_000;

/// The highest level of compression: the program becomes 4 % smaller than at the default level, for half a second,
/// once.
const COMPRESSION_LEVEL: i64 = 9;

/// The permissions of every file in a package, because the function may run as any user.
const MODE: u32 = 0o644;
const EXECUTABLE_MODE: u32 = 0o755;

/// The files of a package, by their paths in it.
#[derive(Debug, Default)]
pub struct Package {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    content: Content,
    is_executable: bool,
}

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// A package as a zip file. It is in memory, because another process could change a file between hashing and upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zipped {
    /// The SHA-256 of its bytes, in hexadecimal.
    pub hash: String,
    /// The zip file.
    pub bytes: Vec<u8>,
}

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file cannot be read or written.
    #[error("`{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// A file has a name that is not text.
    #[error("`{}`: the name of a file in a package must be UTF-8", .0.display())]
    Name(PathBuf),
}

impl PackageError {
    fn of(path: &Path) -> impl FnOnce(io::Error) -> PackageError {
        let path = path.to_path_buf();
        move |error| PackageError::File { path, error }
    }
}

impl Package {
    /// Adds a file with this content.
    pub fn add_bytes(&mut self, path: &str, bytes: Vec<u8>) {
        self.entries.insert(path.to_owned(), Entry { content: Content::Bytes(bytes), is_executable: false });
    }

    /// Adds a file. It is executable in the package if it is executable here.
    ///
    /// # Errors
    /// If it does not exist.
    pub fn add_file(&mut self, path: &str, file: &Path) -> Result<(), PackageError> {
        let mode = fs::metadata(file).map_err(PackageError::of(file))?.permissions().mode();
        let content = Content::File(file.to_path_buf());
        self.entries.insert(path.to_owned(), Entry { content, is_executable: mode & 0o111 != 0 });
        Ok(())
    }

    /// Adds all files in a folder, except those to be skipped and those that are generated from others. Links are
    /// followed, except to a folder that contains this one.
    ///
    /// # Errors
    /// If a file cannot be found.
    pub fn add_folder(
        &mut self,
        under: &str,
        folder: &Path,
        is_skipped: &dyn Fn(&Path) -> bool,
    ) -> Result<(), PackageError> {
        self.add_folder_in(under, folder, is_skipped, &mut Vec::new())
    }

    /// `within` are the folders that contain this one. A link to one of them is skipped.
    fn add_folder_in(
        &mut self,
        under: &str,
        folder: &Path,
        is_skipped: &dyn Fn(&Path) -> bool,
        within: &mut Vec<PathBuf>,
    ) -> Result<(), PackageError> {
        let real = fs::canonicalize(folder).map_err(PackageError::of(folder))?;
        if within.iter().any(|outer| outer.starts_with(&real)) {
            return Ok(());
        }
        within.push(real);
        for entry in fs::read_dir(folder).map_err(PackageError::of(folder))? {
            let path = entry.map_err(PackageError::of(folder))?.path();
            let name =
                path.file_name().and_then(|name| name.to_str()).ok_or_else(|| PackageError::Name(path.clone()))?;
            if is_made(name) || is_skipped(&path) {
                continue;
            }
            let inside = if under.is_empty() { name.to_owned() } else { format!("{under}/{name}") };
            let metadata = fs::metadata(&path).map_err(PackageError::of(&path))?;
            if metadata.is_dir() {
                self.add_folder_in(&inside, &path, is_skipped, within)?;
            } else if metadata.is_file() {
                self.add_file(&inside, &path)?;
            }
        }
        within.pop();
        Ok(())
    }

    /// Adds all files of a zip file.
    ///
    /// # Errors
    /// If it cannot be read, or has an entry outside its folder.
    pub fn add_zip(&mut self, under: &str, file: &Path) -> Result<(), PackageError> {
        let wrong = |error: zip::result::ZipError| PackageError::of(file)(io::Error::other(error));
        let mut archive = ZipArchive::new(File::open(file).map_err(PackageError::of(file))?).map_err(wrong)?;
        for index in 0..archive.len() {
            let mut member = archive.by_index(index).map_err(wrong)?;
            if member.is_dir() {
                continue;
            }
            let path = member
                .enclosed_name()
                .ok_or_else(|| PackageError::of(file)(io::Error::other("it has an entry outside its folder")))?;
            let path = path.to_str().ok_or_else(|| PackageError::Name(path.clone()))?.to_owned();
            let is_executable = member.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).map_err(PackageError::of(file))?;
            let entry = Entry { content: Content::Bytes(bytes), is_executable };
            self.entries.insert(format!("{under}/{path}"), entry);
        }
        Ok(())
    }

    /// The size of each file in bytes, the largest first.
    ///
    /// # Errors
    /// If one cannot be found.
    pub fn sizes(&self) -> Result<Vec<(&str, u64)>, PackageError> {
        let size = |entry: &Entry| match &entry.content {
            Content::Bytes(bytes) => Ok(bytes.len() as u64),
            Content::File(file) => Ok(fs::metadata(file).map_err(PackageError::of(file))?.len()),
        };
        let sizes = self.entries.iter().map(|(path, entry)| Ok((path.as_str(), size(entry)?)));
        let mut sizes = sizes.collect::<Result<Vec<_>, PackageError>>()?;
        sizes.sort_by_key(|(_, bytes)| Reverse(*bytes));
        Ok(sizes)
    }

    /// The zip file.
    ///
    /// # Errors
    /// If one of the files cannot be read.
    pub fn zipped(&self) -> Result<Zipped, PackageError> {
        let failed = |path: &str| {
            let path = PathBuf::from(path);
            move |error: zip::result::ZipError| PackageError::File { path, error: io::Error::other(error) }
        };
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, entry) in &self.entries {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .compression_level(Some(COMPRESSION_LEVEL))
                .unix_permissions(if entry.is_executable { EXECUTABLE_MODE } else { MODE });
            zip.start_file(path, options).map_err(failed(path))?;
            match &entry.content {
                Content::Bytes(bytes) => zip.write_all(bytes).map_err(PackageError::of(Path::new(path)))?,
                Content::File(file) => {
                    let mut reader = File::open(file).map_err(PackageError::of(file))?;
                    io::copy(&mut reader, &mut zip).map_err(PackageError::of(file))?;
                }
            }
        }
        let bytes = zip.finish().map_err(failed("the package"))?.into_inner();
        Ok(Zipped { hash: format!("{:x}", Sha256::digest(&bytes)), bytes })
    }
}

/// Whether a file is generated from others when it is needed.
fn is_made(name: &str) -> bool {
    name == "__pycache__" || name.ends_with(".pyc")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporary folder, removed when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("hark-package-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn put(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn names(package: &Package) -> Vec<String> {
        let mut archive = ZipArchive::new(Cursor::new(package.zipped().unwrap().bytes)).unwrap();
        (0..archive.len())
            .map(|index| {
                let member = archive.by_index(index).unwrap();
                format!("{} {:o}", member.name().unwrap(), member.unix_mode().unwrap() & 0o777)
            })
            .collect()
    }

    #[test]
    fn the_largest_files_are_named_first() {
        let folder = Folder::new("sizes");
        let mut package = Package::default();
        package.add_bytes("a", vec![0; 2]);
        package.add_file("b", &folder.put("b.py", "12345")).unwrap();
        assert_eq!(package.sizes().unwrap(), [("b", 5), ("a", 2)]);
    }

    #[test]
    fn the_same_files_make_the_same_package_whenever_and_in_whichever_order() {
        let folder = Folder::new("same");
        let (one, two) = (folder.put("one.py", "1"), folder.put("two.py", "2"));
        let mut first = Package::default();
        first.add_file("one.py", &one).unwrap();
        first.add_file("two.py", &two).unwrap();
        let first = first.zipped().unwrap();
        let file = File::options().append(true).open(&one).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
        let mut second = Package::default();
        second.add_file("two.py", &two).unwrap();
        second.add_bytes("one.py", b"1".to_vec());
        assert_eq!(first, second.zipped().unwrap());
        let mut third = Package::default();
        third.add_bytes("one.py", b"1".to_vec());
        third.add_bytes("two.py", b"3".to_vec());
        assert_ne!(third.zipped().unwrap().hash, first.hash);
    }

    #[test]
    fn a_folder_is_taken_without_what_is_made_from_it() {
        let folder = Folder::new("folder");
        folder.put("src/pkg/__init__.py", "");
        folder.put("src/pkg/__pycache__/x.cpython-313.pyc", "");
        folder.put("src/old.pyc", "");
        folder.put("src/secret.txt", "");
        let run = folder.put("src/run", "#!/bin/sh");
        fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink(folder.0.join("src"), folder.0.join("src/loop")).unwrap();
        std::os::unix::fs::symlink(&run, folder.0.join("src/link")).unwrap();
        std::os::unix::fs::symlink("/", folder.0.join("src/pkg/everything")).unwrap();
        let mut package = Package::default();
        package.add_folder("python", &folder.0.join("src"), &|path| path.ends_with("secret.txt")).unwrap();
        assert_eq!(names(&package), ["python/link 755", "python/pkg/__init__.py 644", "python/run 755"]);
        let zip = folder.0.join("p.zip");
        fs::write(&zip, package.zipped().unwrap().bytes).unwrap();
        let mut again = Package::default();
        again.add_zip("again", &zip).unwrap();
        assert_eq!(names(&again)[2], "again/python/run 755");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Package::default().add_file("x", Path::new("/no/such/file")).unwrap_err();
        assert_eq!(error.to_string(), "`/no/such/file`: No such file or directory (os error 2)");
    }
}
