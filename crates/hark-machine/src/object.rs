//! Python objects that have no equivalent in Hark, kept as pickles.
//!
//! A program can only store, compare and pass them on, so nothing here looks into a pickle.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use compact_str::CompactString;
use sha2::{Digest, Sha256};

/// The size of the buffer with which a file is hashed.
const HASHED_AT_A_TIME: usize = 1 << 18;

/// The SHA-256 of a pickle, under which storages keep it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PickleHash(pub [u8; 32]);

impl fmt::Debug for PickleHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A file that contains exactly one pickle and exists as long as this value.
pub trait PickleFile: fmt::Debug + Send + Sync {
    /// The file's path, for other processes.
    fn path(&self) -> &Path;

    /// Opens it for reading.
    ///
    /// # Errors
    /// If the operating system refuses.
    fn open(&self) -> io::Result<Box<dyn Read>>;
}

/// The bytes of an object, shared by all references to it. A large pickle may be in a file instead of in memory, so
/// that a program can pass it on without reading it.
pub struct Pickle {
    length: usize,
    body: Body,
    /// Computed on first use: objects that stay in memory do not need it.
    hash: OnceLock<PickleHash>,
}

enum Body {
    /// The file is a copy made for a worker.
    Bytes(Vec<u8>, OnceLock<Box<dyn PickleFile>>),
    File(Box<dyn PickleFile>),
}

impl Pickle {
    /// A pickle in memory.
    pub fn new(bytes: Vec<u8>) -> Pickle {
        Pickle { length: bytes.len(), body: Body::Bytes(bytes, OnceLock::new()), hash: OnceLock::new() }
    }

    /// A pickle in a file of at least [`FILE_BYTES_MIN`](crate::limits::FILE_BYTES_MIN) bytes.
    pub fn in_file(file: Box<dyn PickleFile>, length: usize) -> Pickle {
        Pickle { length, body: Body::File(file), hash: OnceLock::new() }
    }

    /// The number of bytes.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The bytes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn bytes(&self) -> io::Result<Cow<'_, [u8]>> {
        match &self.body {
            Body::Bytes(bytes, _) => Ok(Cow::Borrowed(bytes)),
            Body::File(file) => {
                let mut bytes = Vec::with_capacity(self.length);
                file.open()?.read_to_end(&mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// The bytes, if they are in memory.
    pub fn bytes_in_memory(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Bytes(bytes, _) => Some(bytes),
            Body::File(_) => None,
        }
    }

    /// The file that holds the bytes, if any.
    pub fn file(&self) -> Option<&dyn PickleFile> {
        match &self.body {
            Body::Bytes(_, file) => file.get().map(|file| &**file),
            Body::File(file) => Some(&**file),
        }
    }

    /// Attaches a file with the same bytes, unless there is one already.
    pub fn add_file(&self, file: Box<dyn PickleFile>) {
        if let Body::Bytes(_, place) = &self.body {
            let _ = place.set(file);
        }
    }

    /// The hash of the bytes. If they cannot be read, a hash that no pickle has.
    pub fn hash(&self) -> PickleHash {
        self.try_hash().unwrap_or(PickleHash([0; 32]))
    }

    /// The hash of the bytes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn try_hash(&self) -> io::Result<PickleHash> {
        if let Some(hash) = self.hash.get() {
            return Ok(*hash);
        }
        let hash = match &self.body {
            Body::Bytes(bytes, _) => Sha256::digest(bytes),
            Body::File(file) => hash_of(&mut *file.open()?)?,
        };
        Ok(*self.hash.get_or_init(|| PickleHash(hash.into())))
    }
}

fn hash_of(file: &mut dyn Read) -> io::Result<sha2::digest::Output<Sha256>> {
    let mut hash = Sha256::new();
    let mut part = vec![0; HASHED_AT_A_TIME];
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(hash.finalize()),
            Ok(count) => hash.update(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl PartialEq for Pickle {
    /// Compares the bytes. An unreadable pickle equals only itself.
    fn eq(&self, other: &Pickle) -> bool {
        if std::ptr::eq(self, other) {
            return true;
        }
        match (self.bytes_in_memory(), other.bytes_in_memory()) {
            (Some(bytes), Some(others)) => bytes == others,
            _ if self.length != other.length => false,
            _ => matches!((self.try_hash(), other.try_hash()), (Ok(hash), Ok(others)) if hash == others),
        }
    }
}

impl fmt::Debug for Pickle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pickle of {} bytes", self.length)
    }
}

/// The body of an object.
#[derive(Debug)]
pub struct ObjectBody {
    type_name: CompactString,
    text: Option<CompactString>,
    pickle: Arc<Pickle>,
}

impl ObjectBody {
    /// An object of this type, with its `str` if that is short.
    pub fn new(
        type_name: impl Into<CompactString>,
        text: Option<impl Into<CompactString>>,
        pickle: Arc<Pickle>,
    ) -> ObjectBody {
        ObjectBody { type_name: type_name.into(), text: text.map(Into::into), pickle }
    }

    /// The name of its Python type.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Its Python `str`, if that is a short line.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The pickle from which Python restores it.
    pub fn pickle(&self) -> &Arc<Pickle> {
        &self.pickle
    }

    /// Its text form: the type, and the `str` or the size.
    pub fn shown(&self) -> String {
        match &self.text {
            Some(text) => format!("<{} {text}>", self.type_name),
            None => format!("<{} {}>", self.type_name, size_text(self.pickle.length)),
        }
    }

    /// Its JSON form.
    pub fn json(&self) -> ObjectJson<'_> {
        ObjectJson { type_name: &self.type_name, text: self.text(), bytes: self.pickle.length }
    }
}

/// The JSON form of an object: `{"$object": {"type": ..., "text": ..., "bytes": ...}}`.
#[derive(Debug, Clone, Copy)]
pub struct ObjectJson<'a> {
    /// The name of its type.
    pub type_name: &'a str,
    /// Its text, or null.
    pub text: Option<&'a str>,
    /// The size of its pickle.
    pub bytes: usize,
}

impl PartialEq for ObjectBody {
    /// Compares the type and the bytes.
    fn eq(&self, other: &ObjectBody) -> bool {
        self.type_name == other.type_name && self.pickle == other.pickle
    }
}

/// A human-readable size: `812 B`, `3.2 MB`, `100 MB`.
fn size_text(bytes: usize) -> String {
    const UNITS: [&str; 3] = ["KB", "MB", "GB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1e3;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    // A size that would round to 1000 is shown in the next unit.
    while size >= 999.5 && units.len() > 0 {
        size /= 1e3;
        unit = units.next();
    }
    let unit = unit.copied().unwrap_or_default();
    if size < 99.95 { format!("{size:.1} {unit}") } else { format!("{size:.0} {unit}") }
}

/// Resolves pickles that a document refers to by hash.
pub trait PickleSource {
    /// The pickle with this hash, if present.
    fn find(&self, hash: &PickleHash) -> Option<Arc<Pickle>>;
}

/// A source without pickles, for documents that contain theirs.
#[derive(Debug, Clone, Copy)]
pub struct NoPickles;

impl PickleSource for NoPickles {
    fn find(&self, _: &PickleHash) -> Option<Arc<Pickle>> {
        None
    }
}

/// Collects the pickles that a document only refers to; the caller stores them beside it.
#[derive(Debug)]
pub struct Apart {
    bytes_min: usize,
    found: Vec<Arc<Pickle>>,
}

impl Apart {
    /// Pickles of at least this size are only referred to.
    pub fn from_bytes(bytes_min: usize) -> Apart {
        Apart { bytes_min, found: Vec::new() }
    }

    /// All pickles are embedded in the document, except for those in files.
    pub fn nothing() -> Apart {
        Apart::from_bytes(usize::MAX)
    }

    /// The collected pickles, without duplicates.
    pub fn into_found(mut self) -> Vec<Arc<Pickle>> {
        self.found.sort_by_key(|pickle| pickle.hash());
        self.found.dedup_by_key(|pickle| pickle.hash());
        self.found
    }

    /// The bytes to embed in the document. `None` means that the pickle is only referred to, and has been collected.
    pub(crate) fn bytes_to_write<'a>(&mut self, pickle: &'a Arc<Pickle>) -> Option<&'a [u8]> {
        let bytes = pickle.bytes_in_memory().filter(|bytes| bytes.len() < self.bytes_min);
        if bytes.is_none() {
            self.found.push(pickle.clone());
        }
        bytes
    }
}

impl PickleSource for Apart {
    fn find(&self, hash: &PickleHash) -> Option<Arc<Pickle>> {
        self.found.iter().find(|pickle| pickle.hash() == *hash).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 KB"),
            (3_249_000, "3.2 MB"),
            (99_949_999, "99.9 MB"),
            (99_960_000, "100 MB"),
            (999_499_999, "999 MB"),
            (999_500_000, "1.0 GB"),
            (1 << 40, "1100 GB"),
        ] {
            assert_eq!(size_text(bytes), text);
        }
    }
}
