//! The messages between Hark and a worker; `python/_hark_worker.py` is the other side and describes them.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use hark_machine::{HashBody, Key, ObjectBody, Pickle, Value};
use triomphe::Arc;

use crate::call::Call;
use crate::interpreter::Origin;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::values::{self, DecodeError, Reader, Refused};

/// The protocol's version. Both sides are always of one build; it guards against an interpreter that runs another.
pub const VERSION: u16 = 2;

/// The bytes of a message's length.
pub const LENGTH_BYTES: usize = 4;

/// The bytes of a call's message that say whose it is: what kind of message, and the call's number.
pub const INBOX_HEAD_BYTES: usize = 5;

/// What tells a worker that has left output in its pipe that this is read, so that it may begin what was sent ahead.
pub const OUTPUT_IS_READ: &[u8] = b"G";

/// How a call comes to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The worker is idle.
    Idle,
    /// It may still be busy with a call before this one.
    Ahead,
}

impl Delivery {
    fn tag(self) -> u8 {
        match self {
            Delivery::Idle => b'C',
            Delivery::Ahead => b'A',
        }
    }
}

/// What a worker says instead of making a call: modules of the project have changed since it loaded them, so that another
/// worker is to make it.
pub const STALE: &[u8] = b"S";

/// What a worker answers [`hello`].
#[derive(Debug)]
pub enum Greeting {
    /// It is ready.
    Ready,
    /// The system refused something that it needs to start.
    Unstarted(io::Error),
}

/// What a worker answers a call.
#[derive(Debug)]
pub struct Reply {
    /// What the user is to be told besides.
    pub warnings: Vec<String>,
    /// The pipe may hold output of the call. Until that is read the worker begins no other one.
    pub has_output: bool,
    /// What the call came to.
    pub outcome: Outcome,
}

/// What a call came to.
#[derive(Debug)]
pub enum Outcome {
    /// It returned this.
    Returned(Value),
    /// It returned what cannot be read, and why.
    Unreadable(String),
    /// It returned what is too large, which this says for people.
    TooLarge(String),
    /// It raised.
    Raised(Raised),
}

/// What went wrong in Python.
#[derive(Debug)]
pub struct Raised {
    /// For people, with the function's name.
    pub message: String,
    /// A hash of the exception's type, its arguments and the traceback, or null if no user's code raised.
    pub data: Value,
    /// What a retry has to know of its class: see [`hark_machine::Error::with_classes`].
    pub classes: Value,
    /// The module that Python has not found, if that is what is wrong.
    pub missing_module: Option<String>,
}

/// The first message to a worker. The folder of the module `hark` is empty if the worker has that already, what the
/// paths of its files begin with if it is to write none.
pub fn hello(project: &Path, python_src: &Path, package: &Path, origin: Origin, files: &Path) -> Vec<u8> {
    let mut bytes = begin(b'H');
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    let origin = origin.to_string();
    for text in [project.as_os_str(), python_src.as_os_str(), package.as_os_str(), origin.as_ref(), files.as_os_str()] {
        put_text(text, &mut bytes);
    }
    finish(&mut bytes);
    bytes
}

/// What an object is that a result has, before its pickle has come.
#[derive(Debug)]
pub struct Announced {
    type_name: String,
    text: Option<String>,
    /// How long its pickle is.
    pub length: usize,
    /// Where that is.
    pub place: Place,
}

/// Where a worker has left the pickle of an object.
#[derive(Debug)]
pub enum Place {
    /// It follows the message.
    Behind,
    /// In the worker's file with this number.
    File(usize),
    /// It is the one of the call's object with this number.
    Given(usize),
}

impl Announced {
    /// The object, with its pickle.
    pub fn with(self, pickle: std::sync::Arc<Pickle>) -> Value {
        Value::Object(Arc::new(ObjectBody::new(self.type_name, self.text, pickle)))
    }
}

/// Writes a call into `bytes`. Of these objects, the pickles that `provide` puts into no file have to follow it, in their
/// order.
pub fn call(call: &Call, bytes: &mut Vec<u8>, provide: impl Fn(&Pickle)) -> Result<Vec<Arc<ObjectBody>>, Refused> {
    bytes.clear();
    bytes.extend_from_slice(&[0; LENGTH_BYTES]);
    bytes.push(Delivery::Idle.tag());
    // For its number.
    bytes.extend_from_slice(&[0; LENGTH_BYTES]);
    let keywords = if call.takes_keywords { "keywords" } else { "" };
    let target = [&*call.module, "\0", &*call.function, "\0", &*call.name, "\0", keywords];
    let target_length = target.iter().map(|part| part.len()).sum();
    let progress = call.progress.as_deref().unwrap_or_default();
    for number in [call.attempt, length(call.id.len()), length(target_length), length(progress.len())] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let place_of_objects = bytes.len();
    bytes.extend_from_slice(&[0; LENGTH_BYTES]);
    bytes.extend_from_slice(call.id.as_bytes());
    target.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
    bytes.extend_from_slice(progress.as_bytes());
    let mut objects = Vec::new();
    values::encode_arguments(&call.arguments, bytes, &mut objects)?;
    let begin_of_objects = bytes.len();
    for object in &objects {
        let pickle = object.pickle();
        provide(pickle);
        bytes.extend_from_slice(&length(pickle.length()).to_le_bytes());
        put_text(object.shown().as_ref(), bytes);
        put_text(object.type_name().as_ref(), bytes);
        put_text(pickle.file().map_or("".as_ref(), |file| file.path().as_os_str()), bytes);
    }
    let length_of_objects = length(bytes.len() - begin_of_objects).to_le_bytes();
    bytes[place_of_objects..][..LENGTH_BYTES].copy_from_slice(&length_of_objects);
    let pickles: usize = objects.iter().map(|object| object.pickle().length()).sum();
    if bytes.len() - LENGTH_BYTES + pickles > MESSAGE_BYTES_MAX {
        return Err(Refused::TooLarge);
    }
    finish(bytes);
    Ok(objects)
}

/// Says in a call's message which one it is, and how it comes.
pub fn address(message: &mut [u8], delivery: Delivery, number: u32) {
    if let Some(head) = message.get_mut(LENGTH_BYTES..).and_then(|body| body.first_chunk_mut()) {
        *head = inbox_head(delivery.tag(), number);
    }
}

/// Tells a worker that a call is too large for its inbox, and comes over its connection.
pub fn large(number: u32) -> [u8; INBOX_HEAD_BYTES] {
    inbox_head(b'B', number)
}

fn inbox_head(tag: u8, number: u32) -> [u8; INBOX_HEAD_BYTES] {
    let [first, second, third, fourth] = number.to_le_bytes();
    [tag, first, second, third, fourth]
}

/// The number of the call whose message begins like this.
pub fn number_of([_, number @ ..]: [u8; INBOX_HEAD_BYTES]) -> u32 {
    u32::from_le_bytes(number)
}

/// What a guard says in the place of a Python that cannot be started.
pub fn unstarted(error: &io::Error) -> Vec<u8> {
    let mut bytes = begin(b'U');
    bytes.extend_from_slice(&error.raw_os_error().unwrap_or_default().to_le_bytes());
    finish(&mut bytes);
    bytes
}

/// Reads the answer to [`hello`].
///
/// # Errors
/// If it is none.
pub fn decode_greeting(message: &[u8]) -> Result<Greeting, DecodeError> {
    let mut reader = Reader(message);
    match reader.array()? {
        [b'U'] => Ok(Greeting::Unstarted(io::Error::from_raw_os_error(i32::from_le_bytes(reader.array()?)))),
        [b'H'] => match u16::from_le_bytes(reader.array()?) {
            VERSION => Ok(Greeting::Ready),
            version => Err(DecodeError(format!("it speaks version {version} of the protocol, not {VERSION}"))),
        },
        [tag] => Err(no_message(tag)),
    }
}

/// How far the call says that it is, if that is what a worker's message is about.
pub fn progress(message: &[u8]) -> Option<String> {
    message.strip_prefix(b"P").map(|json| String::from_utf8_lossy(json).into_owned())
}

/// The objects that a worker's answer has, whose pickles follow it.
///
/// # Errors
/// If it is none.
pub fn announced(message: &[u8]) -> Result<Vec<Announced>, DecodeError> {
    let mut reader = Reader(message);
    let mut objects = Vec::new();
    while reader.0.first() == Some(&b'O') {
        objects.push(read_announced(&mut reader)?);
    }
    if objects.iter().map(|object| object.length).sum::<usize>() > MESSAGE_BYTES_MAX {
        return Err(DecodeError("its objects are too large".to_owned()));
    }
    Ok(objects)
}

fn read_announced(reader: &mut Reader<'_>) -> Result<Announced, DecodeError> {
    let [_, has_text] = reader.array()?;
    let (type_name, text) = (reader.text()?.to_owned(), reader.text()?.to_owned());
    let length = reader.count()?;
    let place = match reader.array()? {
        [0] => Place::Behind,
        [1] => Place::File(reader.count()?),
        [2] => Place::Given(reader.count()?),
        [tag] => return Err(DecodeError(format!("an object's pickle has no place {tag}"))),
    };
    Ok(Announced { type_name, text: (has_text == 1).then_some(text), length, place })
}

/// Reads a worker's answer to a call, which has these objects.
///
/// # Errors
/// If it is none.
pub fn decode_reply(message: &[u8], objects: &[Value]) -> Result<Reply, DecodeError> {
    let mut reader = Reader(message);
    for _ in objects {
        read_announced(&mut reader)?;
    }
    let mut warnings = Vec::new();
    let mut has_output = false;
    let outcome = loop {
        match reader.array()? {
            [b'F'] => has_output = true,
            [b'W'] => warnings.push(reader.text()?.to_owned()),
            [b'R'] => {
                break match values::decode(reader.0, objects) {
                    Ok(value) => Outcome::Returned(value),
                    Err(DecodeError(problem)) => Outcome::Unreadable(problem),
                };
            }
            [b'L'] => break Outcome::TooLarge(reader.text()?.to_owned()),
            [b'E'] => break Outcome::Raised(decode_raised(&mut reader)?),
            [tag] => return Err(no_message(tag)),
        }
    };
    Ok(Reply { warnings, has_output, outcome })
}

fn no_message(tag: u8) -> DecodeError {
    DecodeError(format!("there is no message {tag}"))
}

fn decode_raised(reader: &mut Reader<'_>) -> Result<Raised, DecodeError> {
    let [kind, traceback, message] = [reader.text()?, reader.text()?, reader.text()?];
    let missing_module = Some(reader.text()?).filter(|module| !module.is_empty()).map(str::to_owned);
    let mut data = HashBody::default();
    let pair = values::decode(reader.0, &[])?;
    let [arguments, classes] =
        [0, 1].map(|index| pair.as_list().and_then(|pair| pair.get(index).cloned()).unwrap_or_default());
    for (name, value) in [("type", Value::string(kind)), ("args", arguments), ("traceback", Value::string(traceback))] {
        if let Ok(key) = Key::new(Value::string(name)) {
            data.insert(key, value);
        }
    }
    let data = if kind.is_empty() { Value::Null } else { Value::Hash(Arc::new(data)) };
    Ok(Raised { message: message.to_owned(), data, classes, missing_module })
}

fn begin(tag: u8) -> Vec<u8> {
    let mut bytes = vec![0; LENGTH_BYTES];
    bytes.push(tag);
    bytes
}

/// Writes the length in its place. Who sends a message looks at its length first.
fn finish(bytes: &mut [u8]) {
    let count = length(bytes.len() - LENGTH_BYTES);
    if let Some(place) = bytes.first_chunk_mut() {
        *place = count.to_le_bytes();
    }
}

fn put_text(text: &OsStr, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&length(text.len()).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
