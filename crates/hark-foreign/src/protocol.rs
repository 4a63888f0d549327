//! The messages between Hark and a worker. `python/_hark_worker.py` is the other side and describes them.

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

/// The version of the protocol. Both sides always come from the same build; this protects against an interpreter that
/// runs something else.
pub const VERSION: u16 = 2;

/// The size of a message's length.
pub const LENGTH_BYTES: usize = 4;

/// The size of the head of a call's message: its tag and the call's number.
pub const INBOX_HEAD_BYTES: usize = 5;

/// Tells a worker that left output in its pipe that the output was read, so that it may begin a call that was sent
/// ahead.
pub const OUTPUT_IS_READ: &[u8] = b"G";

/// The state of a worker when it is sent a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The worker is idle.
    Idle,
    /// The worker may still be busy with an earlier call.
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

/// The answer of a worker that does not make the call because modules of the project have changed since it loaded them.
/// Another worker must make the call.
pub const STALE: &[u8] = b"S";

/// The answer to [`hello`].
#[derive(Debug)]
pub enum Greeting {
    /// The worker is ready.
    Ready,
    /// The system refused a resource that the worker needs to start.
    Unstarted(io::Error),
}

/// The answer to a call.
#[derive(Debug)]
pub struct Reply {
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// Whether the pipe may hold output of the call. The worker begins no other call until it is read.
    pub has_output: bool,
    /// The outcome of the call.
    pub outcome: Outcome,
}

/// The outcome of a call.
#[derive(Debug)]
pub enum Outcome {
    /// It returned this value.
    Returned(Value),
    /// It returned a value that cannot be decoded, for this reason.
    Unreadable(String),
    /// It returned a value that is too large, with a message for the user.
    TooLarge(String),
    /// It raised an exception.
    Raised(Raised),
}

/// An exception in Python.
#[derive(Debug)]
pub struct Raised {
    /// The message for the user, with the function's name.
    pub message: String,
    /// A hash of the exception's type, arguments and traceback, or null if no user code raised it.
    pub data: Value,
    /// The classes of the exception, for retries: see [`hark_machine::Error::with_classes`].
    pub classes: Value,
    /// The module that Python did not find, if that is the problem.
    pub missing_module: Option<String>,
}

/// The first message to a worker. `package` is the folder of the module `hark`, empty if the worker already has that
/// module. `files` is the prefix of the files that the worker writes, empty if it must write none.
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

/// An object of a result whose pickle has not been received yet.
#[derive(Debug)]
pub struct Announced {
    type_name: String,
    text: Option<String>,
    /// The length of its pickle.
    pub length: usize,
    /// The place of its pickle.
    pub place: Place,
}

/// The place where a worker has left the pickle of an object.
#[derive(Debug)]
pub enum Place {
    /// After the message.
    Behind,
    /// The worker's file with this number.
    File(usize),
    /// The pickle of the object with this number among the call's arguments.
    Given(usize),
}

impl Announced {
    /// The object with its pickle.
    pub fn with(self, pickle: std::sync::Arc<Pickle>) -> Value {
        Value::Object(Arc::new(ObjectBody::new(self.type_name, self.text, pickle)))
    }
}

/// Writes a call into `bytes`. Returns the objects of its arguments. The pickles that `provide` has not put into a file
/// must follow the message, in order.
pub fn call(call: &Call, bytes: &mut Vec<u8>, provide: impl Fn(&Pickle)) -> Result<Vec<Arc<ObjectBody>>, Refused> {
    bytes.clear();
    bytes.extend_from_slice(&[0; LENGTH_BYTES]);
    bytes.push(Delivery::Idle.tag());
    // Space for its number.
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

/// Sets the number of a call's message and its delivery.
pub fn address(message: &mut [u8], delivery: Delivery, number: u32) {
    if let Some(head) = message.get_mut(LENGTH_BYTES..).and_then(|body| body.first_chunk_mut()) {
        *head = inbox_head(delivery.tag(), number);
    }
}

/// Tells a worker that a call is too large for its inbox and follows over its connection.
pub fn large(number: u32) -> [u8; INBOX_HEAD_BYTES] {
    inbox_head(b'B', number)
}

fn inbox_head(tag: u8, number: u32) -> [u8; INBOX_HEAD_BYTES] {
    let [first, second, third, fourth] = number.to_le_bytes();
    [tag, first, second, third, fourth]
}

/// The number of the call whose message has this head.
pub fn number_of([_, number @ ..]: [u8; INBOX_HEAD_BYTES]) -> u32 {
    u32::from_le_bytes(number)
}

/// The message of a guard that could not start Python.
pub fn unstarted(error: &io::Error) -> Vec<u8> {
    let mut bytes = begin(b'U');
    bytes.extend_from_slice(&error.raw_os_error().unwrap_or_default().to_le_bytes());
    finish(&mut bytes);
    bytes
}

/// Decodes the answer to [`hello`].
///
/// # Errors
/// If it is invalid.
pub fn decode_greeting(message: &[u8]) -> Result<Greeting, DecodeError> {
    let mut reader = Reader(message);
    match reader.array()? {
        [b'U'] => Ok(Greeting::Unstarted(io::Error::from_raw_os_error(i32::from_le_bytes(reader.array()?)))),
        [b'H'] => match u16::from_le_bytes(reader.array()?) {
            VERSION => Ok(Greeting::Ready),
            version => Err(DecodeError(format!("its protocol has version {version}, not {VERSION}"))),
        },
        [tag] => Err(no_message(tag)),
    }
}

/// The progress of the call, if this message of a worker reports any.
pub fn progress(message: &[u8]) -> Option<String> {
    message.strip_prefix(b"P").map(|json| String::from_utf8_lossy(json).into_owned())
}

/// The objects of a worker's answer, whose pickles follow it.
///
/// # Errors
/// If it is invalid.
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
        [tag] => return Err(DecodeError(format!("an object's pickle has the unknown place {tag}"))),
    };
    Ok(Announced { type_name, text: (has_text == 1).then_some(text), length, place })
}

/// Decodes a worker's answer to a call, which has these objects.
///
/// # Errors
/// If it is invalid.
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
    DecodeError(format!("the message has the unknown tag {tag}"))
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

/// Writes the length into its place. Senders check first that the length fits.
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
