//! A session from a file, put into a storage.
//!
//! The first commit makes the session, as one that is *importing*; each further one expects the one before, so that only
//! this import writes to it; the last one gives the session the state that it had. If the process dies, whoever finds the
//! session removes it: the file is still there.

use hark_machine::Program;

use crate::commit::{Commit, Outcome};
use crate::export::{self, Contents, Records};
use crate::history::LogEntry;
use crate::id::{SessionId, Stamp, Stamps};
use crate::outside::{Outside, OutsideError};
use crate::record::{Key, Record, SessionRecord, SessionState, State, Versioned};
use crate::step;
use crate::storage::{self, Catalog, SessionStorage, Storage, StorageError};
use crate::surroundings::Surroundings;

/// The most records that one commit of an import writes.
const RECORDS_PER_COMMIT: usize = 500;

/// With so many registers of its threads, 16 MB, a commit of an import has no more records.
const REGISTERS_PER_COMMIT: usize = 1 << 20;

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The bytes are no session, or a damaged one.
    #[error("the file cannot be read: {0}")]
    Damaged(String),
    /// The storage has this session.
    #[error("session {id} is here already, and it {}", state.predicate())]
    Exists {
        /// Which.
        id: SessionId,
        /// How far it is.
        state: SessionState,
    },
    /// Another process took this one for dead, and has removed what there was of the session.
    #[error("session {0} was taken for an import that was given up, and removed; import it once more")]
    Removed(SessionId),
    /// The storage fails.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A session in a file, which was found to be whole.
pub struct ExportedSession<'a>(Contents<'a>);

impl<'a> ExportedSession<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// If the bytes are no session, or a damaged one.
    pub fn read(bytes: &'a [u8]) -> Result<ExportedSession<'a>, ImportError> {
        let contents = export::read(bytes)?;
        check(&contents.session, contents.records.clone())?;
        Ok(ExportedSession(contents))
    }

    /// Which it is.
    pub fn id(&self) -> &SessionId {
        &self.0.id
    }

    /// Its program.
    pub fn program(&self) -> &Program {
        &self.0.program
    }
}

/// Puts a session from a file into a storage, where it can be taken up.
///
/// # Errors
/// If the session is there already, or the storage fails.
pub fn import(
    exported: ExportedSession<'_>,
    storage: &dyn Storage,
    surroundings: &dyn Surroundings,
) -> Result<SessionId, ImportError> {
    let Contents { id, session, program, records, history } = exported.0;
    let catalog = storage::catalog_of(storage)?;
    make_room(&id, catalog, storage, surroundings)?;
    catalog.put_program(&session.about.program, program.executable())?;
    let mut import = Import {
        records: &*storage.session(&id, &program)?,
        stamps: Stamps::unique(surroundings),
        unfinished: SessionRecord { state: SessionState::Importing, ended: None, before_move: None, ..session.clone() },
        last: None,
    };
    let written = import.write(&id, session, records, &history);
    if let (Err(_), Some(last)) = (&written, import.last) {
        // If it cannot be removed, the next who finds it will.
        let _ = catalog.remove(&id, last);
    }
    written?;
    catalog.release(Some(&id))?;
    catalog.announce();
    Ok(id)
}

/// What no session can be.
fn check(session: &SessionRecord, records: Records<'_>) -> Result<(), ImportError> {
    let damaged = |what: &str| Err(ImportError::Damaged(what.to_owned()));
    if session.state.is_in_transit() || session.state == SessionState::Moved {
        return damaged("its session is one that was moved");
    }
    let (mut first, mut lives) = (false, false);
    for record in records {
        if let Record::Live(thread, _) = record? {
            lives = true;
            first |= thread == step::FIRST;
        }
    }
    if session.state == SessionState::Running && !session.retrying && first == session.first_stopped {
        return damaged("its session's first thread is missing, or there though it has stopped");
    }
    if session.state.is_over() && session.state != SessionState::Cancelled && lives {
        return damaged("its session is over and has threads");
    }
    Ok(())
}

/// Sees to it that the storage has no such session: one that was moved away comes back, and one whose import was cut off
/// is imported anew.
fn make_room(
    id: &SessionId,
    catalog: &dyn Catalog,
    storage: &dyn Storage,
    surroundings: &dyn Surroundings,
) -> Result<(), ImportError> {
    loop {
        let Some((stamp, known)) = catalog.record(id)? else { return Ok(()) };
        let is_left = match known.state {
            SessionState::Moved => true,
            SessionState::Importing => !catalog.is_served(id)?,
            SessionState::Moving if !catalog.is_served(id)? => {
                let outside = match Outside::open(storage, surroundings, id) {
                    Ok(outside) => outside,
                    Err(OutsideError::Storage(error)) => return Err(error.into()),
                    Err(_) => continue,
                };
                outside.recover(stamp, &known)?;
                continue;
            }
            _ => false,
        };
        if !is_left {
            return Err(ImportError::Exists { id: id.clone(), state: known.state });
        }
        if catalog.remove(id, stamp)? {
            return Ok(());
        }
    }
}

/// As many of the next records as one commit writes.
fn some_records(records: &mut Records<'_>) -> Result<Vec<Record>, ImportError> {
    let (mut some, mut registers) = (Vec::new(), 0);
    while some.len() < RECORDS_PER_COMMIT && registers < REGISTERS_PER_COMMIT {
        let Some(record) = records.next() else { break };
        let record = record?;
        if let Record::Live(_, live) | Record::Broken(_, live) = &record
            && let State::Present(thread) = &live.state
        {
            registers += thread.registers();
        }
        some.push(record);
    }
    Ok(some)
}

/// An import under way.
struct Import<'a> {
    records: &'a dyn SessionStorage,
    stamps: Stamps<'a>,
    /// The session's record until all is there.
    unfinished: SessionRecord,
    /// The last commit, which the next one expects.
    last: Option<Stamp>,
}

impl Import<'_> {
    fn write(
        &mut self,
        id: &SessionId,
        session: SessionRecord,
        mut records: Records<'_>,
        history: &[LogEntry],
    ) -> Result<(), ImportError> {
        self.commit(id, Vec::new(), &[])?;
        loop {
            let some = some_records(&mut records)?;
            if some.is_empty() {
                break;
            }
            self.commit(id, some, &[])?;
        }
        for entries in history.chunks(RECORDS_PER_COMMIT) {
            self.commit(id, Vec::new(), entries)?;
        }
        self.unfinished = session;
        self.commit(id, Vec::new(), &[])
    }

    /// Writes these, and the session's record with them: by its version the next commit, and one whose answer was lost,
    /// is told from others.
    fn commit(&mut self, id: &SessionId, fresh: Vec<Record>, log: &[LogEntry]) -> Result<(), ImportError> {
        let mut commit = Commit::new(self.stamps.next());
        commit.expect.push((Key::Session, self.last));
        commit.put.push(Record::Session(Box::new(self.unfinished.clone())));
        commit.fresh = fresh;
        commit.log = log.to_vec();
        loop {
            match self.records.commit(&mut commit)? {
                Outcome::Done => break,
                Outcome::Unknown if !commit.has_happened(self.records, Key::Session)? => {}
                Outcome::Unknown => break,
                Outcome::Conflict => {
                    let mut found = Vec::new();
                    self.records.read(&[Key::Session], &mut found)?;
                    return Err(match (found.pop().flatten(), self.last) {
                        (Some(Versioned { record: Record::Session(session), .. }), None) => {
                            ImportError::Exists { id: id.clone(), state: session.state }
                        }
                        _ => ImportError::Removed(id.clone()),
                    });
                }
            }
        }
        self.last = Some(commit.stamp);
        Ok(())
    }
}
