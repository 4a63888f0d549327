//! The file format of an exported session.
//!
//! A sealed document of kind `HkSe`, version 1:
//!
//! ```text
//! id, summary (JSON), program (an encoded executable)
//! pickles   count, and for each: its bytes; records reference them by their hashes
//! records   count, and for each: its kind, its key, its content
//! history   count, and each entry as JSON
//! ```

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use hark_bytecode::Executable;
use hark_bytecode::wire::{Reader, WireError, Writer};
use hark_machine::{Apart, Pickle, PickleHash, PickleSource, Program};

use crate::codec::{self, CodecError};
use crate::demand::Demand;
use crate::history::LogEntry;
use crate::id::{FutureId, SessionId};
use crate::import::ImportError;
use crate::limits::APART_BYTES_MIN;
use crate::record::{Record, SessionRecord};
use crate::storage::Everything;

const MAGIC: [u8; 4] = *b"HkSe";
const VERSION: u8 = 1;

/// The kinds of records.
mod kind {
    pub const LIVE: u8 = 0;
    pub const READY: u8 = 1;
    pub const FUTURE: u8 = 2;
    pub const WAIT: u8 = 3;
    pub const TODO: u8 = 4;
    pub const UNAWAITED: u8 = 5;
    pub const BROKEN: u8 = 6;
    pub const CANCEL: u8 = 7;
    pub const CASCADE: u8 = 8;
    pub const READY_IN_PLACE: u8 = 9;
}

impl From<CodecError> for ImportError {
    fn from(error: CodecError) -> ImportError {
        ImportError::Damaged(error.to_string())
    }
}

impl From<WireError> for ImportError {
    fn from(error: WireError) -> ImportError {
        ImportError::Damaged(error.to_string())
    }
}

/// Encodes a complete session.
///
/// # Errors
/// If the pickle of an object cannot be read.
pub(crate) fn write(
    id: &SessionId,
    session: &SessionRecord,
    program: &Program,
    everything: &Everything,
) -> io::Result<Vec<u8>> {
    let Everything { records, history, .. } = everything;
    let mut writer = Writer::new();
    writer.string(id.as_str());
    // These types can always be serialized as JSON.
    writer.string(&serde_json::to_string(session).unwrap_or_default());
    writer.bytes(&program.executable().encode());
    let (mut written, mut apart) = (Writer::new(), Apart::from_bytes(APART_BYTES_MIN));
    records.iter().for_each(|record| write_record(&mut written, record, program, &mut apart));
    let pickles = apart.into_found();
    writer.unsigned(pickles.len() as u64);
    for pickle in &pickles {
        writer.bytes(&pickle.bytes()?);
    }
    writer.unsigned(records.len() as u64);
    writer.raw(&written.into_bytes());
    writer.unsigned(history.len() as u64);
    history.iter().for_each(|entry| writer.string(&serde_json::to_string(entry).unwrap_or_default()));
    Ok(writer.seal(MAGIC, VERSION))
}

/// A session read from a file.
pub(crate) struct Contents<'a> {
    pub id: SessionId,
    pub session: SessionRecord,
    pub program: Arc<Program>,
    pub records: Records<'a>,
    pub history: Vec<LogEntry>,
}

/// The records of a session in a file. They are read one by one: a few bytes may represent a thread that takes hundreds
/// of megabytes, and a file may contain many of these.
#[derive(Clone)]
pub(crate) struct Records<'a> {
    reader: Reader<'a>,
    left: usize,
    program: Arc<Program>,
    pickles: Arc<Pickles>,
}

/// The larger pickles of a file, each once, no matter how many records reference it.
struct Pickles(HashMap<PickleHash, Arc<Pickle>>);

impl PickleSource for Pickles {
    fn find(&self, hash: &PickleHash) -> Option<Arc<Pickle>> {
        self.0.get(hash).cloned()
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, CodecError>;

    fn next(&mut self) -> Option<Result<Record, CodecError>> {
        self.left = self.left.checked_sub(1)?;
        Some(read_record(&mut self.reader, &self.program, &*self.pickles))
    }
}

/// Reads an exported session.
///
/// # Errors
/// If the bytes are not an exported session, or are damaged.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents<'_>, ImportError> {
    let (mut reader, _) = Reader::open(bytes, "exported session", MAGIC, VERSION)?;
    let id = reader.string()?;
    let id = SessionId::parse(id).ok_or_else(|| ImportError::Damaged(format!("`{id}` is not the id of a session")))?;
    let session: SessionRecord = serde_json::from_str(reader.string()?).map_err(CodecError::from)?;
    let executable = Executable::decode(reader.bytes()?).map_err(|error| ImportError::Damaged(error.to_string()))?;
    let program = Program::new(executable).map_err(|error| ImportError::Damaged(error.to_string()))?;
    // It would otherwise replace the program with that hash, for all its sessions.
    if program.hash().to_string() != session.about.program {
        return Err(ImportError::Damaged("the hash of its program is wrong".to_owned()));
    }
    let program = Arc::new(program);
    let pickles = (0..reader.count()?)
        .map(|_| {
            let pickle = Pickle::new(reader.bytes()?.to_vec());
            Ok((pickle.hash(), Arc::new(pickle)))
        })
        .collect::<Result<_, WireError>>()?;
    let pickles = Arc::new(Pickles(pickles));
    let left = reader.count()?;
    let records = Records { reader: reader.clone(), left, program: program.clone(), pickles };
    let mut all = records.clone();
    for record in all.by_ref() {
        record?;
    }
    let mut reader = all.reader;
    let history =
        (0..reader.count()?).map(|_| Ok(serde_json::from_str(reader.string()?)?)).collect::<Result<_, CodecError>>()?;
    reader.finish()?;
    Ok(Contents { id, session, program, records, history })
}

fn write_record(writer: &mut Writer, record: &Record, program: &Program, apart: &mut Apart) {
    match record {
        // It is written at the beginning of the file.
        Record::Session(_) => {}
        Record::Live(thread, live) => {
            writer.byte(kind::LIVE);
            writer.unsigned(thread.0);
            writer.string(&codec::live_summary(live));
            writer.bytes(&codec::live_content(live, program, apart));
        }
        Record::Ready(thread, Demand { priority, place }) => {
            writer.byte(if place.is_default() { kind::READY } else { kind::READY_IN_PLACE });
            writer.unsigned(thread.0);
            writer.signed((*priority).into());
            if !place.is_default() {
                writer.string(&place.to_string());
            }
        }
        Record::Cancel(thread) => {
            writer.byte(kind::CANCEL);
            writer.unsigned(thread.0);
        }
        Record::Cascade(thread, started) => {
            writer.byte(kind::CASCADE);
            writer.unsigned(thread.0);
            writer.string(&codec::started_text(started));
        }
        Record::Future(name, future) => {
            writer.byte(kind::FUTURE);
            write_name(writer, name);
            writer.bytes(&codec::future_content(future, apart));
        }
        Record::Wait { future, waiter } => {
            writer.byte(kind::WAIT);
            write_name(writer, future);
            codec::write_waiter(writer, waiter);
        }
        Record::Todo(future) => {
            writer.byte(kind::TODO);
            write_name(writer, future);
        }
        Record::Unawaited(thread, failure) => {
            writer.byte(kind::UNAWAITED);
            writer.unsigned(thread.0);
            writer.bytes(&codec::failure_content(failure, apart));
        }
        Record::Broken(thread, live) => {
            writer.byte(kind::BROKEN);
            writer.unsigned(thread.0);
            writer.string(&codec::live_summary(live));
            writer.bytes(&codec::live_content(live, program, apart));
        }
    }
}

fn read_record(reader: &mut Reader<'_>, program: &Program, pickles: &dyn PickleSource) -> Result<Record, CodecError> {
    let thread = codec::read_thread;
    Ok(match reader.byte()? {
        kind::LIVE => Record::Live(thread(reader)?, codec::live(reader.string()?, reader.bytes()?, program, pickles)?),
        kind::READY => Record::Ready(thread(reader)?, Demand::of_priority(reader.signed32()?)),
        kind::READY_IN_PLACE => {
            let (thread, priority) = (thread(reader)?, reader.signed32()?);
            Record::Ready(thread, Demand { priority, place: codec::read_place(reader)? })
        }
        kind::CANCEL => Record::Cancel(thread(reader)?),
        kind::CASCADE => Record::Cascade(thread(reader)?, codec::started_from_text(reader.string()?)?),
        kind::FUTURE => Record::Future(read_name(reader)?, codec::future(reader.bytes()?, program, pickles)?),
        kind::WAIT => Record::Wait { future: read_name(reader)?, waiter: codec::read_waiter(reader)? },
        kind::TODO => Record::Todo(read_name(reader)?),
        kind::UNAWAITED => {
            Record::Unawaited(thread(reader)?, Box::new(codec::failure(reader.bytes()?, program, pickles)?))
        }
        kind::BROKEN => {
            Record::Broken(thread(reader)?, codec::live(reader.string()?, reader.bytes()?, program, pickles)?)
        }
        _ => return Err(reader.invalid("a record").into()),
    })
}

fn write_name(writer: &mut Writer, name: &FutureId) {
    match name {
        FutureId::Thread(thread) => {
            writer.byte(0);
            writer.unsigned(thread.0);
        }
        FutureId::Promise(id) => {
            writer.byte(1);
            writer.string(id);
        }
    }
}

fn read_name(reader: &mut Reader<'_>) -> Result<FutureId, WireError> {
    Ok(match reader.byte()? {
        0 => FutureId::Thread(codec::read_thread(reader)?),
        1 => FutureId::Promise(reader.string()?.into()),
        _ => return Err(reader.invalid("a Future's name")),
    })
}
