//! A session from a file, put into a storage.
//!
//! The first commit makes the session, as one that is *importing*; each further one expects the one before, so that only
//! this import writes to it; the last one gives the session the state that it had. If the process dies, whoever finds the
//! session removes it: the file is still there.

use hark_machine::Program;

use crate::commit::Commit;
use crate::export::{self, Contents, Records};
use crate::history::LogEntry;
use crate::id::{SessionId, Stamp, Stamps};
use crate::keyed;
use crate::outside::{self, Outside, OutsideError};
use crate::record::{Key, Record, SessionRecord, SessionState, State};
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
    /// Another session of the storage has its key.
    #[error("the key `{key}` is that of session {id} here")]
    KeyTaken {
        /// Which key.
        key: String,
        /// Who has it.
        id: SessionId,
    },
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
    let key = session.about.labels.key.clone();
    check_key(storage, key.as_deref(), &id)?;
    let about = session.about.clone();
    let records_of = storage.session(&id, &program)?;
    let mut import = Import {
        id: &id,
        catalog,
        storage,
        surroundings,
        records: &*records_of,
        stamps: Stamps::unique(surroundings),
        unfinished: SessionRecord { state: SessionState::Importing, ended: None, before_move: None, ..session.clone() },
        last: None,
    };
    loop {
        import.last = make_room(&id, catalog, storage, surroundings)?;
        catalog.put_program(&session.about.program, program.executable())?;
        let begun = import.begin();
        if matches!(begun, Ok(true)) {
            break;
        }
        storage.tenure().release(Some(&id))?;
        begun?;
    }
    // While it is still importing: if this process dies, whoever removes the session frees the key as well.
    let is_registered = match &key {
        Some(key) => keyed::register(storage.space(), &mut Stamps::unique(surroundings), key, &id),
        None => Ok(true),
    };
    let written = match is_registered {
        Ok(true) => import.write(session, records, &history),
        Ok(false) => check_key(storage, key.as_deref(), &id).and(Err(ImportError::Removed(id.clone()))),
        Err(error) => Err(error.into()),
    };
    if let (Err(_), Some(last)) = (&written, import.last) {
        // If it cannot be removed, the next who finds it will.
        let _ = outside::remove(storage, surroundings, &id, &about, last);
    }
    // What became of the session is decided. If this fails, others find out that this process is gone.
    let _ = storage.tenure().release(Some(&id));
    catalog.dispatch(&id, &[]);
    written.map(|()| id)
}

/// What no session can be.
fn check(session: &SessionRecord, records: Records<'_>) -> Result<(), ImportError> {
    let damaged = |what: &str| Err(ImportError::Damaged(what.to_owned()));
    session.about.labels.check().map_err(ImportError::Damaged)?;
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

/// No other session of the storage may have the key of one that is imported.
fn check_key(storage: &dyn Storage, key: Option<&str>, id: &SessionId) -> Result<(), ImportError> {
    let Some(key) = key else { return Ok(()) };
    match keyed::session_of(storage.space(), key)?.filter(|known| known != id) {
        Some(other) => Err(ImportError::KeyTaken { key: key.to_owned(), id: other }),
        None => Ok(()),
    }
}

/// Sees to it that the storage has no such session but one that was moved away, which this process holds then, and whose
/// version it answers: that one is replaced. One whose import was cut off is imported anew.
fn make_room(
    id: &SessionId,
    catalog: &dyn Catalog,
    storage: &dyn Storage,
    surroundings: &dyn Surroundings,
) -> Result<Option<Stamp>, ImportError> {
    let now = || surroundings.steady_now();
    loop {
        let Some((stamp, known)) = catalog.record(id)? else { return Ok(None) };
        match known.state {
            SessionState::Moved if storage.tenure().hold(id, now())? => return Ok(Some(stamp)),
            SessionState::Moved => {}
            SessionState::Importing if !storage.tenure().is_served_elsewhere(id, now())? => {
                outside::remove(storage, surroundings, id, &known.about, stamp)?;
            }
            SessionState::Moving if !storage.tenure().is_served_elsewhere(id, now())? => {
                let outside = match Outside::open(storage, surroundings, id) {
                    Ok(outside) => outside,
                    Err(OutsideError::Storage(error)) => return Err(error.into()),
                    Err(_) => continue,
                };
                outside.recover(stamp, &known)?;
            }
            state => return Err(ImportError::Exists { id: id.clone(), state }),
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
    id: &'a SessionId,
    catalog: &'a dyn Catalog,
    storage: &'a dyn Storage,
    surroundings: &'a dyn Surroundings,
    records: &'a dyn SessionStorage,
    stamps: Stamps<'a>,
    /// The session's record until all is there.
    unfinished: SessionRecord,
    /// The last commit, which the next one expects. At first that which moved the session away, if it was here before.
    last: Option<Stamp>,
}

impl Import<'_> {
    /// Says that the session is being imported, in place of what there was of it. Answers whether that was possible: someone
    /// else may have been quicker.
    fn begin(&mut self) -> Result<bool, ImportError> {
        let replaces = self.last.is_some();
        match self.commit(Vec::new(), &[]) {
            Ok(true) => {}
            Ok(false) | Err(StorageError::TakenOver) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        match self.last {
            Some(last) if replaces && !self.catalog.clear(self.id, last)? => Err(ImportError::Removed(self.id.clone())),
            _ => Ok(true),
        }
    }

    fn write(
        &mut self,
        session: SessionRecord,
        mut records: Records<'_>,
        history: &[LogEntry],
    ) -> Result<(), ImportError> {
        loop {
            let some = some_records(&mut records)?;
            if some.is_empty() {
                break;
            }
            self.go_on(some, &[])?;
        }
        for entries in history.chunks(RECORDS_PER_COMMIT) {
            self.go_on(Vec::new(), entries)?;
        }
        self.unfinished = session;
        self.go_on(Vec::new(), &[])
    }

    fn go_on(&mut self, fresh: Vec<Record>, log: &[LogEntry]) -> Result<(), ImportError> {
        if self.commit(fresh, log)? { Ok(()) } else { Err(ImportError::Removed(self.id.clone())) }
    }

    /// Writes these, and the session's record with them: by its version the next commit, and one whose answer was lost,
    /// is told from others. Answers whether the session was as the last commit has left it.
    fn commit(&mut self, fresh: Vec<Record>, log: &[LogEntry]) -> Result<bool, StorageError> {
        let mut commit = Commit::new(self.stamps.next());
        // What is there already must be held by this process.
        commit.by_server = self.last.is_some();
        if self.unfinished.state == SessionState::Importing {
            commit.until = self.storage.tenure().move_until(self.surroundings.steady_now());
        }
        commit.expect.push((Key::Session, self.last));
        commit.put.push(Record::Session(Box::new(self.unfinished.clone())));
        commit.fresh = fresh;
        commit.log = log.to_vec();
        let is_done = commit.make_known(self.records, &Key::Session)?;
        if is_done {
            self.last = Some(commit.stamp);
        }
        Ok(is_done)
    }
}
