//! The file: its schema, its connections, and what can be wrong with it.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hark_engine::StorageError;
use hark_engine::limits::THREADS_MAX;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{Access, access};

use super::in_place::{OpenFiles, log_path};
use super::readers::Readers;
use super::row::is_damage;
use super::{FILE_NAME, private, server, shortage, wal};

/// What tells a file of ours: "Hark" in ASCII.
const APPLICATION_ID: i32 = 0x4861_726b;

/// The version of the schema. Later releases read earlier ones.
const SCHEMA_VERSION: i32 = 1;

/// How often a commit looks whether other processes have finished theirs: some ten seconds in all. Theirs take less than
/// a millisecond, so that SQLite's own waits would be too long.
const BUSY_LOOKS: i32 = 10_000;
const BUSY_WAIT: Duration = Duration::from_micros(100);
const BUSY_WAIT_MAX: Duration = Duration::from_millis(1);

/// A commit writes every page that it touches, and most touch few bytes of several: small pages make small commits.
const PAGE_BYTES: i32 = 1_024;

/// After so many pages the log is carried over into the file, each page once however often it was written, and used again
/// from its beginning. That should be soon, as a commit takes twice as long where the log grows: the file system writes its
/// own journal as well. But it costs a write of each page that has changed, which are more in a larger file: so it is as many
/// as the file has, within these bounds.
const CHECKPOINT_PAGES_MIN: i32 = 4_000;
const CHECKPOINT_PAGES_MAX: i32 = 16_000;

/// A file of up to so many pages is looked through when it is opened, if nobody serves it. That takes some 2 ms.
const PAGES_CHECKED_MAX: i64 = 1_024;

/// `checksum` is the seal of the row, as the engine makes it; summaries, contents and entries have their own. `due` is a
/// [`DueNumber`](hark_engine::rows::DueNumber): 0, before all times, is what is due at a takeover, which no index needs to have.
///
/// A Future's name is the number of the thread whose value it has, or the text of a promise's name. Rows of `future` and
/// `log` come one after the other, with a key that is one number, a *place*, as SQLite appends to such a table without
/// touching the pages beside.
///
/// Other tables than `thread` have a `due` only where threads are leased.
///
/// The condition of `session_unfinished` is no `IN`: for one of more than two values SQLite builds a table whenever it
/// writes a row. Queries repeat it word for word, as SQLite uses the index only then.
const SCHEMA: &str = "
    CREATE TABLE program (hash TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE session (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, stamp INTEGER NOT NULL, state TEXT NOT NULL,
        ended INTEGER, server INTEGER, checksum INTEGER NOT NULL, summary TEXT NOT NULL);
    CREATE INDEX session_unfinished ON session (server) WHERE (state = 'running' OR state = 'moving' OR state = 'importing');
    CREATE TABLE thread (
        session INTEGER, number INTEGER, stamp INTEGER NOT NULL, due INTEGER, checksum INTEGER NOT NULL, summary TEXT NOT NULL,
        content BLOB NOT NULL, PRIMARY KEY (session, number)) WITHOUT ROWID;
    CREATE INDEX thread_due ON thread (due) WHERE due > 0;
    CREATE TABLE ready (
        session INTEGER, thread INTEGER, stamp INTEGER NOT NULL, due INTEGER, PRIMARY KEY (session, thread)) WITHOUT ROWID;
    CREATE INDEX ready_due ON ready (due) WHERE due > 0;
    CREATE TABLE cancel (
        session INTEGER, thread INTEGER, stamp INTEGER NOT NULL, PRIMARY KEY (session, thread)) WITHOUT ROWID;
    CREATE TABLE cascade (
        session INTEGER, thread INTEGER, stamp INTEGER NOT NULL, checksum INTEGER NOT NULL, started TEXT NOT NULL,
        due INTEGER, PRIMARY KEY (session, thread)) WITHOUT ROWID;
    CREATE TABLE future (
        place INTEGER PRIMARY KEY, stamp INTEGER NOT NULL, checksum INTEGER NOT NULL, content BLOB NOT NULL);
    CREATE TABLE promise (
        session INTEGER, name TEXT, stamp INTEGER NOT NULL, checksum INTEGER NOT NULL, content BLOB NOT NULL,
        PRIMARY KEY (session, name)) WITHOUT ROWID;
    CREATE TABLE wait (
        session INTEGER, future, thread INTEGER, stamp INTEGER NOT NULL, summary TEXT NOT NULL,
        PRIMARY KEY (session, future, thread)) WITHOUT ROWID;
    CREATE TABLE todo (
        session INTEGER, future, stamp INTEGER NOT NULL, due INTEGER, PRIMARY KEY (session, future)) WITHOUT ROWID;
    CREATE TABLE unawaited (
        session INTEGER, thread INTEGER, stamp INTEGER NOT NULL, checksum INTEGER NOT NULL, content BLOB NOT NULL,
        PRIMARY KEY (session, thread)) WITHOUT ROWID;
    CREATE TABLE broken (
        session INTEGER, thread INTEGER, stamp INTEGER NOT NULL, checksum INTEGER NOT NULL, summary TEXT NOT NULL,
        content BLOB NOT NULL, PRIMARY KEY (session, thread)) WITHOUT ROWID;
    CREATE TABLE piece (
        session INTEGER, hash BLOB, uses INTEGER NOT NULL, content BLOB NOT NULL, PRIMARY KEY (session, hash)) WITHOUT ROWID;
    CREATE TABLE space (
        key BLOB PRIMARY KEY, stamp INTEGER NOT NULL, checksum INTEGER NOT NULL, content BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE pickle (
        session INTEGER, hash BLOB, uses INTEGER NOT NULL, file TEXT, PRIMARY KEY (session, hash)) WITHOUT ROWID;
    CREATE TABLE pickle_content (
        session INTEGER, hash BLOB, content BLOB NOT NULL, PRIMARY KEY (session, hash)) WITHOUT ROWID;
    CREATE TABLE pickle_removed (file TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TRIGGER pickle_is_removed AFTER DELETE ON pickle WHEN old.file IS NOT NULL
        BEGIN INSERT INTO pickle_removed VALUES (old.file, unixepoch()); END;
    CREATE TABLE log (place INTEGER PRIMARY KEY, entries TEXT NOT NULL);
";

/// The tables with a session's records that have its number.
pub(super) const TABLES: [&str; 12] = [
    "thread",
    "ready",
    "cancel",
    "cascade",
    "promise",
    "wait",
    "todo",
    "unawaited",
    "broken",
    "piece",
    "pickle",
    "pickle_content",
];

/// The tables with a session's records that have a place.
pub(super) const PLACED: [&str; 2] = ["future", "log"];

/// How many bits of a place are the number of a thread, or of a commit: a file that had more would be larger than a disk.
pub(super) const PLACE_BITS: u32 = 33;

/// The number that no session's reaches, which is the rest of a place.
pub(super) const SESSIONS_MAX: i64 = 1 << (i64::BITS - 1 - PLACE_BITS);

const _: () = assert!(1 << PLACE_BITS == THREADS_MAX, "a thread's number is the rest of its Future's place");

/// The number of a session's row, which is at least 1.
///
/// # Errors
/// If it is one that no session gets.
pub(super) fn session_number(number: i64) -> rusqlite::Result<i64> {
    let is_possible = (1..SESSIONS_MAX).contains(&number);
    is_possible.then_some(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))
}

/// Where a session's rows are in a table whose rows have a place.
pub(super) fn places(session: i64) -> Range<i64> {
    // Beyond, they would be another session's.
    assert!((1..SESSIONS_MAX).contains(&session), "no session has the number {session}");
    session << PLACE_BITS..(session + 1) << PLACE_BITS
}

/// One past the greatest number of a session's threads, as an expression in which the session's number is this one.
pub(super) fn next_thread(session: &str) -> String {
    format!(
        "max(coalesce((SELECT max(thread.number) FROM thread
                WHERE thread.session = {session} AND thread.number >= 0 AND thread.number < {THREADS_MAX}), -1),
            coalesce((SELECT max(place) FROM future
                WHERE place >= ({session} << {PLACE_BITS}) AND place < (({session} + 1) << {PLACE_BITS}))
                - ({session} << {PLACE_BITS}), -1)) + 1"
    )
}

/// What to say of a file that others have removed, or put another one in its place.
fn removed(path: &Path) -> StorageError {
    StorageError::Permanent(format!("`{}` was removed or replaced while it was in use", path.display()))
}

fn length_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// Another process may have been quicker.
fn unless_there(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

/// A path for SQLite's form of addresses.
fn encoded(path: &Path) -> String {
    let byte = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => char::from(*byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    path.as_os_str().as_bytes().iter().map(byte).collect()
}

/// Waits a little, unless it was often enough.
fn wait_while_busy(looks: i32) -> bool {
    std::thread::sleep((BUSY_WAIT * looks.unsigned_abs().saturating_add(1)).min(BUSY_WAIT_MAX));
    looks < BUSY_LOOKS
}

/// The file, and connections for reading it.
pub(super) struct Database {
    path: PathBuf,
    /// The files that are in use, once a connection keeps them open.
    open_files: OpenFiles,
    /// The folder cannot be written to, and the file has no log: nobody changes it.
    is_still: bool,
    readers: Readers,
}

impl Database {
    /// Opens the file, or makes it.
    pub fn open(path: &Path) -> Result<Database, StorageError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let make = |result: io::Result<()>| {
            result.map_err(|error| {
                StorageError::Permanent(format!("the folder `{}` cannot be made: {error}", folder.display()))
            })
        };
        make(private::make_folder(folder))?;
        if let Some(why) = private::find_intruder(folder, FILE_NAME, server::FOLDER) {
            return Err(StorageError::Permanent(why));
        }
        let _turn = server::turn(folder);
        let is_served = server::is_any_alive(folder);
        let mut database = Database {
            path: path.to_path_buf(),
            open_files: OpenFiles::default(),
            is_still: false,
            readers: Readers::new(),
        };
        database.check_files(is_served)?;
        if !path.exists() {
            // Before there is a file: who finds that need not ask.
            make(private::sync_name(folder))?;
            // SQLite gives its other files the same mode.
            make(private::make_file(path).map(drop).or_else(unless_there))?;
        }
        private::narrow_all(folder, FILE_NAME, server::FOLDER);
        database.is_still = length_of(&log_path(path)) == 0 && access(folder, Access::WRITE_OK).is_err();
        let mut connection = database.connect_writer()?;
        // What is refused is left as it is, its log too.
        let keep_log = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        keep_log.map_err(|error| database.error(&error))?;
        database.prepare(&mut connection)?;
        if !is_served {
            database.check_structure(&connection)?;
        }
        Ok(database)
    }

    /// Whether nothing can be written to it.
    pub fn is_still(&self) -> bool {
        self.is_still
    }

    /// Remembers which files are in use. This connection must stay open as long as they are.
    pub fn note_files(&mut self, connection: &Connection) -> Result<(), StorageError> {
        // From its first look at the file on, it keeps the log open, and nobody may tidy that up.
        let look = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        look.map_err(|error| self.error(&error))?;
        self.open_files = OpenFiles::of(&self.path, self.is_still);
        Ok(())
    }

    /// Sees to it that the files still have their names: what is written to one that was removed is nowhere.
    pub fn check_in_place(&self) -> Result<(), StorageError> {
        self.open_files.find_removed().map_or(Ok(()), |path| Err(removed(path)))
    }

    /// After how many pages the log is to be carried over now.
    pub fn checkpoint_pages(&self) -> i32 {
        let pages = self.open_files.database_bytes() / PAGE_BYTES as u64;
        i32::try_from(pages)
            .map_or(CHECKPOINT_PAGES_MAX, |pages| pages.clamp(CHECKPOINT_PAGES_MIN, CHECKPOINT_PAGES_MAX))
    }

    /// What to say when it was the server's lock that was removed.
    pub fn removed(&self) -> StorageError {
        removed(self.open_files.find_removed().unwrap_or(&self.path))
    }

    /// Refuses what SQLite would take for nothing, or for less than it was, and would write over.
    fn check_files(&self, is_served: bool) -> Result<(), StorageError> {
        let path = self.path.display();
        let log = log_path(&self.path);
        // In this order: the file has its first page before it has a log.
        let has_log = length_of(&log) > 0;
        let why = match length_of(&self.path) {
            0 if has_log => {
                format!("`{path}` is missing or empty, but its log `{path}-wal` is not; nothing was changed")
            }
            // SQLite takes it for an empty one.
            1 => format!("`{path}` is no database, or a damaged one"),
            // Those who serve it had a look, and what they write is not to be taken for damage.
            _ if has_log && !is_served => match wal::is_damaged(&log) {
                Ok(false) => return Ok(()),
                Ok(true) => format!("the log `{path}-wal` is damaged before its end; nothing was changed"),
                Err(error) => {
                    let permanent = || StorageError::Permanent(format!("`{path}-wal` cannot be read: {error}"));
                    return Err(shortage::of_io(&log, &error, permanent));
                }
            },
            _ => return Ok(()),
        };
        Err(StorageError::Permanent(why))
    }

    /// Looks through a file that is not large: a wrong bit in what finds rows hides some of them, which is no error when
    /// they are looked for.
    fn check_structure(&self, connection: &Connection) -> Result<(), StorageError> {
        let check = || -> rusqlite::Result<Option<String>> {
            let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            if pages > PAGES_CHECKED_MAX {
                return Ok(None);
            }
            let found: String = connection.pragma_query_value(None, "integrity_check", |row| row.get(0))?;
            Ok((found != "ok").then_some(found))
        };
        match check().map_err(|error| self.error(&error))? {
            Some(found) => {
                let found = found.lines().last().unwrap_or_default();
                let path = self.path.display();
                Err(StorageError::Permanent(format!("`{path}` is damaged; nothing was changed ({found})")))
            }
            None => Ok(()),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the schema, or checks that it is one we know.
    fn prepare(&self, connection: &mut Connection) -> Result<(), StorageError> {
        let version = |connection: &Connection| -> rusqlite::Result<(i32, i32, i64)> {
            let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
            let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            Ok((application, version, tables))
        };
        // In one transaction: another process may be making the schema.
        let now = |connection: &mut Connection| connection.transaction().and_then(|moment| version(&moment));
        let mut found = now(connection).map_err(|error| self.error(&error))?;
        if found == (0, 0, 0) {
            let make = |connection: &mut Connection| -> rusqlite::Result<(i32, i32, i64)> {
                connection.pragma_update(None, "page_size", PAGE_BYTES)?;
                connection.pragma_update(None, "journal_mode", "wal")?;
                let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                // Another process may have been quicker.
                if version(&transaction)? == (0, 0, 0) {
                    transaction.execute_batch(SCHEMA)?;
                    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
                    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
                }
                transaction.commit()?;
                version(connection)
            };
            found = make(connection).map_err(|error| self.error(&error))?;
        }
        let path = self.path.display();
        match found {
            (APPLICATION_ID, SCHEMA_VERSION, _) => Ok(()),
            (APPLICATION_ID, version, _) => Err(StorageError::Permanent(format!(
                "`{path}` has format version {version}, and this release knows version {SCHEMA_VERSION}; \
                 use the release that wrote it, or a later one"
            ))),
            _ => Err(StorageError::Permanent(format!("`{path}` is a database, but not one of Hark's"))),
        }
    }

    /// A connection that writes.
    pub fn connect_writer(&self) -> Result<Connection, StorageError> {
        let connect = || -> rusqlite::Result<Connection> {
            let connection = self.connect()?;
            connection.busy_handler(Some(wait_while_busy))?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "cache_size", -8_000)?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES_MIN)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(connection)
        };
        connect().map_err(|error| self.error(&error))
    }

    /// Reads, from one moment's state.
    pub fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T, StorageError>) -> Result<T, StorageError> {
        let connection = self.readers.lend(|| self.connect_reader()).map_err(|error| self.error(&error))?;
        let begun = connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([]));
        let result = match begun {
            Ok(_) => read(&connection),
            Err(error) => Err(self.error(&error)),
        };
        let ended = connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        self.readers.take_back(ended.is_ok().then_some(connection));
        result
    }

    /// A connection; one that reads may have to write as well, to the index of the log. It never makes a file: one that is
    /// gone was removed.
    fn connect(&self) -> rusqlite::Result<Connection> {
        if self.is_still {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            return Connection::open_with_flags(format!("file:{}?immutable=1", encoded(&self.path)), flags);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(&self.path, flags)
    }

    fn connect_reader(&self) -> rusqlite::Result<Connection> {
        let connection = self.connect()?;
        connection.busy_handler(Some(wait_while_busy))?;
        connection.pragma_update(None, "query_only", true)?;
        connection.pragma_update(None, "cache_size", -1_000)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }

    /// What to say of a damage that is not one session's.
    pub fn damaged(&self) -> StorageError {
        StorageError::Permanent(format!("`{}` is damaged; nothing was changed", self.path.display()))
    }

    /// What an error of SQLite means to the user.
    pub fn error(&self, error: &rusqlite::Error) -> StorageError {
        let path = self.path.display();
        let permanent = |why: &str| StorageError::Permanent(format!("`{path}` {why}"));
        if let Some(exhausted) = shortage::of_sqlite(&self.path, error) {
            return exhausted;
        }
        let code = error.sqlite_error_code();
        // A process that is stopped while it opens the log holds a lock that others wait for in vain: SQLite calls that a failure
        // of the locking protocol.
        let is_busy = matches!(
            code,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
        );
        // A connection that is opened later finds no file, or an empty log.
        if !is_busy && let Err(removed) = self.check_in_place() {
            return removed;
        }
        match code {
            _ if is_busy => StorageError::Transient(format!("`{path}` is locked by another process")),
            Some(ErrorCode::DiskFull) => {
                StorageError::Exhausted(format!("the disk is full, so `{path}` cannot be written to"))
            }
            Some(ErrorCode::NotADatabase) => permanent("is no database, or a damaged one"),
            Some(ErrorCode::DatabaseCorrupt) => self.damaged(),
            None if is_damage(error) => self.damaged(),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => permanent("cannot be written to"),
            Some(ErrorCode::CannotOpen) => permanent("cannot be opened"),
            Some(ErrorCode::TooBig) => permanent("cannot keep a step that makes or prints more than 1 GB at a time"),
            _ => permanent(&format!("cannot be used: {error}")),
        }
    }
}
