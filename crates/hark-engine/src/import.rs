//! Importing a session from a file into a storage.
//!
//! The first commit creates the session in the state *importing*; each further one expects the one before, so that only
//! this import writes to it; the last one restores the session's state. If the process dies, the next one to find the
//! session removes it: the file still exists.

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

/// The maximum number of records per commit.
const RECORDS_PER_COMMIT: usize = 500;

/// A commit ends when its threads have this many registers in total, which is 16 MB.
const REGISTERS_PER_COMMIT: usize = 1 << 20;

/// The reason why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The bytes are not an exported session, or are damaged.
    #[error("the file cannot be read: {0}")]
    Damaged(String),
    /// The storage already contains this session.
    #[error("session {id} already exists here, and it {}", state.predicate())]
    Exists {
        /// The id of the session.
        id: SessionId,
        /// Its state.
        state: SessionState,
    },
    /// Another process believed this one dead, and removed the partial session.
    #[error("session {0} was removed, because another process believed its import to be abandoned; import it again")]
    Removed(SessionId),
    /// Another session in the storage has its key.
    #[error("the key `{key}` belongs to session {id} here")]
    KeyTaken {
        /// The key.
        key: String,
        /// The session that has it.
        id: SessionId,
    },
    /// The storage fails.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A validated session in a file.
pub struct ExportedSession<'a>(Contents<'a>);

impl<'a> ExportedSession<'a> {
    /// Reads and validates a file.
    ///
    /// # Errors
    /// If the bytes are not an exported session, or are damaged.
    pub fn read(bytes: &'a [u8]) -> Result<ExportedSession<'a>, ImportError> {
        let contents = export::read(bytes)?;
        check(&contents.session, contents.records.clone())?;
        Ok(ExportedSession(contents))
    }

    /// Its id.
    pub fn id(&self) -> &SessionId {
        &self.0.id
    }

    /// Its program.
    pub fn program(&self) -> &Program {
        &self.0.program
    }
}

/// Imports a session from a file into a storage, where it can be resumed.
///
/// # Errors
/// If the session already exists, or the storage fails.
pub fn import(
    exported: ExportedSession<'_>,
    storage: &dyn Storage,
    surroundings: &dyn Surroundings,
) -> Result<SessionId, ImportError> {
    let Contents { id, session, program, records, history } = exported.0;
    // The processes with the code that the session was started with serve another storage.
    let session = SessionRecord { any_code: session.about.code.is_some(), ..session };
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
    // Registered while it is still importing: if this process dies, removing the session frees the key as well.
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
        // If this fails, the next process to find it removes it.
        let _ = outside::remove(storage, surroundings, &id, &about, last);
    }
    // The outcome is decided. If the release fails, other processes notice that this one has ended.
    let _ = storage.tenure().release(Some(&id));
    catalog.dispatch(&id, &[]);
    written.map(|()| id)
}

/// Rejects sessions in impossible states.
fn check(session: &SessionRecord, records: Records<'_>) -> Result<(), ImportError> {
    let damaged = |what: &str| Err(ImportError::Damaged(what.to_owned()));
    session.about.labels.check().map_err(ImportError::Damaged)?;
    if session.state.is_in_transit() || session.state == SessionState::Moved {
        return damaged("its session was moved to another storage");
    }
    let (mut first, mut lives) = (false, false);
    for record in records {
        if let Record::Live(thread, _) = record? {
            lives = true;
            first |= thread == step::FIRST;
        }
    }
    if session.state == SessionState::Running && !session.retrying && first == session.first_stopped {
        return damaged("the first thread of its session is missing, or exists although it has stopped");
    }
    if session.state.is_over() && session.state != SessionState::Cancelled && lives {
        return damaged("its session is over, but has threads");
    }
    Ok(())
}

/// Checks that no other session in the storage has the key of the imported one.
fn check_key(storage: &dyn Storage, key: Option<&str>, id: &SessionId) -> Result<(), ImportError> {
    let Some(key) = key else { return Ok(()) };
    match keyed::session_of(storage.space(), key)?.filter(|known| known != id) {
        Some(other) => Err(ImportError::KeyTaken { key: key.to_owned(), id: other }),
        None => Ok(()),
    }
}

/// Makes sure that the storage does not contain the session, except as a moved one, which is replaced: this process
/// then holds it, and its version is returned. A session whose import was interrupted is imported again.
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

/// As many of the next records as fit in a commit.
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

/// A running import.
struct Import<'a> {
    id: &'a SessionId,
    catalog: &'a dyn Catalog,
    storage: &'a dyn Storage,
    surroundings: &'a dyn Surroundings,
    records: &'a dyn SessionStorage,
    stamps: Stamps<'a>,
    /// The session's record until the import is complete.
    unfinished: SessionRecord,
    /// The last commit, which the next one expects. Initially the commit that moved the session away, if it was here
    /// before.
    last: Option<Stamp>,
}

impl Import<'_> {
    /// Marks the session as being imported, replacing a moved one. Returns whether that was possible; another process
    /// may have been faster.
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

    /// Writes records together with the session's record, whose version identifies this commit to the next one and if
    /// its answer is lost. Returns whether the session was unchanged since the last commit.
    fn commit(&mut self, fresh: Vec<Record>, log: &[LogEntry]) -> Result<bool, StorageError> {
        let mut commit = Commit::new(self.stamps.next());
        // An existing session must be held by this process.
        commit.by_server = self.last.is_some();
        if self.unfinished.state == SessionState::Importing {
            commit.until = self.storage.tenure().import_until(self.surroundings.steady_now());
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
