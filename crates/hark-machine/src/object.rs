//! Values of Python that Hark has no kind of its own for: what they are, and the pickle that Python makes them from again.
//!
//! A program can keep, compare and pass them on, and nothing else. So nothing here looks into a pickle.

use std::fmt;
use std::sync::{Arc, OnceLock};

use compact_str::CompactString;
use sha2::{Digest, Sha256};

/// A pickle's SHA-256, by which storages keep it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PickleHash(pub [u8; 32]);

impl fmt::Debug for PickleHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The bytes of an object. They may be many megabytes, and are shared by all that holds the object.
pub struct Pickle {
    bytes: Vec<u8>,
    /// Computed when it is first asked for: in memory nobody does.
    hash: OnceLock<PickleHash>,
}

impl Pickle {
    /// These bytes.
    pub fn new(bytes: Vec<u8>) -> Pickle {
        Pickle { bytes, hash: OnceLock::new() }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their hash.
    pub fn hash(&self) -> PickleHash {
        *self.hash.get_or_init(|| PickleHash(Sha256::digest(&self.bytes).into()))
    }
}

impl fmt::Debug for Pickle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pickle of {} bytes", self.bytes.len())
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
            None => format!("<{} {}>", self.type_name, size_text(self.pickle.bytes.len())),
        }
    }

    /// Its JSON form.
    pub fn json(&self) -> ObjectJson<'_> {
        ObjectJson { type_name: &self.type_name, text: self.text(), bytes: self.pickle.bytes.len() }
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
        self.type_name == other.type_name
            && (Arc::ptr_eq(&self.pickle, &other.pickle) || self.pickle.bytes == other.pickle.bytes)
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

    /// All pickles are part of the document.
    pub fn nothing() -> Apart {
        Apart::from_bytes(usize::MAX)
    }

    /// Those that were named, each once.
    pub fn into_found(mut self) -> Vec<Arc<Pickle>> {
        self.found.sort_by_key(|pickle| pickle.hash());
        self.found.dedup_by_key(|pickle| pickle.hash());
        self.found
    }

    /// Whether this one is to be named only; it is among those that were found then.
    pub(crate) fn takes(&mut self, pickle: &Arc<Pickle>) -> bool {
        let is_apart = pickle.bytes.len() >= self.bytes_min;
        if is_apart {
            self.found.push(pickle.clone());
        }
        is_apart
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
