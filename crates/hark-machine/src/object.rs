//! Values of Python that Hark has no kind of its own for: what they are, and the pickle that Python makes them from again.
//!
//! A program can keep, compare and pass them on, and nothing else. So nothing here looks into a pickle.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use compact_str::CompactString;
use sha2::{Digest, Sha256};

/// How many bytes of a file are hashed at a time.
const HASHED_AT_A_TIME: usize = 1 << 18;

/// A pickle's SHA-256, by which storages keep it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PickleHash(pub [u8; 32]);

impl fmt::Debug for PickleHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A file that holds one pickle and nothing else, for as long as this lives.
pub trait PickleFile: fmt::Debug + Send + Sync {
    /// Where it is, for other processes.
    fn path(&self) -> &Path;

    /// Opens it for reading.
    ///
    /// # Errors
    /// If the system refuses.
    fn open(&self) -> io::Result<Box<dyn Read>>;
}

/// The bytes of an object, which are shared by all that holds the object. Those of a large one may be in a file instead of in
/// memory, so that a program passes them on without reading them.
pub struct Pickle {
    length: usize,
    body: Body,
    /// Computed when it is first asked for: in memory nobody does.
    hash: OnceLock<PickleHash>,
}

enum Body {
    /// The file is another copy, made for a worker.
    Bytes(Vec<u8>, OnceLock<Box<dyn PickleFile>>),
    File(Box<dyn PickleFile>),
}

impl Pickle {
    /// These bytes.
    pub fn new(bytes: Vec<u8>) -> Pickle {
        Pickle { length: bytes.len(), body: Body::Bytes(bytes, OnceLock::new()), hash: OnceLock::new() }
    }

    /// What this file holds. It has [`FILE_BYTES_MIN`](crate::limits::FILE_BYTES_MIN) bytes at least.
    pub fn in_file(file: Box<dyn PickleFile>, length: usize) -> Pickle {
        Pickle { length, body: Body::File(file), hash: OnceLock::new() }
    }

    /// How many bytes there are.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The bytes.
    ///
    /// # Errors
    /// If they cannot be read from their file.
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

    /// The file that holds them, if there is one.
    pub fn file(&self) -> Option<&dyn PickleFile> {
        match &self.body {
            Body::Bytes(_, file) => file.get().map(|file| &**file),
            Body::File(file) => Some(&**file),
        }
    }

    /// Keeps a file that holds the same bytes, unless there is one already.
    pub fn add_file(&self, file: Box<dyn PickleFile>) {
        if let Body::Bytes(_, place) = &self.body {
            let _ = place.set(file);
        }
    }

    /// Their hash. It is one that no pickle has if they cannot be read.
    pub fn hash(&self) -> PickleHash {
        self.try_hash().unwrap_or(PickleHash([0; 32]))
    }

    /// Their hash.
    ///
    /// # Errors
    /// If they cannot be read from their file.
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
    /// The same bytes. What cannot be read is equal to itself only.
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
    /// An object of this type, with its own text if it has a short one.
    pub fn new(
        type_name: impl Into<CompactString>,
        text: Option<impl Into<CompactString>>,
        pickle: Arc<Pickle>,
    ) -> ObjectBody {
        ObjectBody { type_name: type_name.into(), text: text.map(Into::into), pickle }
    }

    /// The name of its type in Python.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Its `str` in Python, if that is a short line.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// What Python makes it from.
    pub fn pickle(&self) -> &Arc<Pickle> {
        &self.pickle
    }

    /// Its text form: its type, and its text or how large it is.
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

/// What an object's JSON says, as `{"$object": {"type": ..., "text": ..., "bytes": ...}}`.
#[derive(Debug, Clone, Copy)]
pub struct ObjectJson<'a> {
    /// The name of its type.
    pub type_name: &'a str,
    /// Its text, or null.
    pub text: Option<&'a str>,
    /// How long its pickle is.
    pub bytes: usize,
}

impl PartialEq for ObjectBody {
    /// The same type and the same bytes.
    fn eq(&self, other: &ObjectBody) -> bool {
        self.type_name == other.type_name && self.pickle == other.pickle
    }
}

/// A size for people: `812 B`, `3.2 MB`, `100 MB`.
fn size_text(bytes: usize) -> String {
    const UNITS: [&str; 3] = ["KB", "MB", "GB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1e3;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    // What would be shown as a thousand of one unit is one of the next.
    while size >= 999.5 && units.len() > 0 {
        size /= 1e3;
        unit = units.next();
    }
    let unit = unit.copied().unwrap_or_default();
    if size < 99.95 { format!("{size:.1} {unit}") } else { format!("{size:.0} {unit}") }
}

/// Where the pickles are that a document names by their hashes.
pub trait PickleSource {
    /// The pickle with this hash, if it is there.
    fn find(&self, hash: &PickleHash) -> Option<Arc<Pickle>>;
}

/// A source without pickles, for documents that have theirs within them.
#[derive(Debug, Clone, Copy)]
pub struct NoPickles;

impl PickleSource for NoPickles {
    fn find(&self, _: &PickleHash) -> Option<Arc<Pickle>> {
        None
    }
}

/// The pickles that a document only names, for whoever writes it to keep them beside it.
#[derive(Debug)]
pub struct Apart {
    bytes_min: usize,
    found: Vec<Arc<Pickle>>,
}

impl Apart {
    /// From this many bytes on a pickle is only named.
    pub fn from_bytes(bytes_min: usize) -> Apart {
        Apart { bytes_min, found: Vec::new() }
    }

    /// All pickles are part of the document, but for those in files: these are always only named.
    pub fn nothing() -> Apart {
        Apart::from_bytes(usize::MAX)
    }

    /// Those that were named, each once.
    pub fn into_found(mut self) -> Vec<Arc<Pickle>> {
        self.found.sort_by_key(|pickle| pickle.hash());
        self.found.dedup_by_key(|pickle| pickle.hash());
        self.found
    }

    /// The bytes that are to be part of the document; if there are none, the pickle is only named, and among those found.
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
