//! The file: its schema, its connections, and checks for damage.

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

/// Identifies files of Hark: "Hark" in ASCII.
const APPLICATION_ID: i32 = 0x4861_726b;

/// The version of the schema. Later releases read earlier versions.
const SCHEMA_VERSION: i32 = 1;

/// How often a commit checks whether other processes have finished theirs: some ten seconds in total. A commit takes
/// less than a millisecond, so SQLite's own waits would be too long.
const BUSY_LOOKS: i32 = 10_000;
const BUSY_WAIT: Duration = Duration::from_micros(100);
const BUSY_WAIT_MAX: Duration = Duration::from_millis(1);

/// A commit writes every page that it touches, and most commits touch a few bytes of several pages. So small pages make
/// small commits.
const PAGE_BYTES: i32 = 1_024;

/// After this many pages, the log is checkpointed: each changed page is copied into the file once, and the log is
/// reused from its beginning. Checkpoints should be frequent, because a commit takes twice as long while the log grows:
/// the file system writes its own journal as well. But each checkpoint writes all changed pages, and a larger file has
/// more of them. So the number is the file's number of pages, within these bounds.
const CHECKPOINT_PAGES_MIN: i32 = 4_000;
const CHECKPOINT_PAGES_MAX: i32 = 16_000;

/// A file with at most this many pages is checked when it is opened, if it has no server. This takes some 2 ms.
const PAGES_CHECKED_MAX: i64 = 1_024;

/// `checksum` is the seal of the row, computed by the engine; summaries, contents and entries contain their own. `due`
/// is a [`DueNumber`](hark_engine::rows::DueNumber). 0, before all times, means due at a takeover; such rows need no
/// index.
///
/// A Future's name is the number of its thread, or the text of a promise's name. `future` and `log` have a single
/// number as key, a *place*, because SQLite appends to such a table without touching neighboring pages.
///
/// Tables other than `thread` use `due` only if threads are leased. `pool` and `memory` are a thread's place; `pool` is
/// null for the default pool, so that programs without pools have no entries in the indexes of pools.
///
/// The condition of `session_unfinished` does not use `IN`: for more than two values SQLite would build a temporary
/// table for every written row. Queries must repeat the condition verbatim, because SQLite uses the index only then.
const SCHEMA: &str = "
    CREATE TABLE program (hash TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE session (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, stamp INTEGER NOT NULL, state TEXT NOT NULL,
        ended INTEGER, server INTEGER, checksum INTEGER NOT NULL, summary TEXT NOT NULL);
    CREATE INDEX session_unfinished ON session (server) WHERE (state = 'running' OR state = 'moving' OR state = 'importing');
    CREATE TABLE thread (
        session INTEGER, number INTEGER, stamp INTEGER NOT NULL, due INTEGER, priority INTEGER NOT NULL,
        pool TEXT, memory INTEGER, checksum INTEGER NOT NULL, summary TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (session, number)) WITHOUT ROWID;
    CREATE INDEX thread_due ON thread (due, priority, pool) WHERE due > 0;
    CREATE INDEX thread_pool ON thread (pool, due) WHERE due > 0 AND pool IS NOT NULL;
    CREATE INDEX thread_urgent ON thread (priority, due) WHERE due > 0 AND priority != 0;
    CREATE TABLE ready (
        session INTEGER, thread INTEGER, stamp INTEGER NOT NULL, due INTEGER, priority INTEGER NOT NULL,
        pool TEXT, memory INTEGER, PRIMARY KEY (session, thread)) WITHOUT ROWID;
    CREATE INDEX ready_due ON ready (due, priority, pool) WHERE due > 0;
    CREATE INDEX ready_pool ON ready (pool, due) WHERE due > 0 AND pool IS NOT NULL;
    CREATE INDEX ready_urgent ON ready (priority, due) WHERE due > 0 AND priority != 0;
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

/// The tables of a session's records that have its number as a column.
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

/// The tables of a session's records that have a place as key.
pub(super) const PLACED: [&str; 2] = ["future", "log"];

/// The number of bits of a place that are the number of a thread or of a commit. A file with more of them would exceed
/// any disk.
pub(super) const PLACE_BITS: u32 = 33;

/// The upper bound of session numbers, which are the other bits of a place.
pub(super) const SESSIONS_MAX: i64 = 1 << (i64::BITS - 1 - PLACE_BITS);

const _: () = assert!(1 << PLACE_BITS == THREADS_MAX, "a thread's number is the rest of its Future's place");

/// Checks the number of a session's row, which is at least 1.
///
/// # Errors
/// If it is out of range.
pub(super) fn session_number(number: i64) -> rusqlite::Result<i64> {
    let is_possible = (1..SESSIONS_MAX).contains(&number);
    is_possible.then_some(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(0, number))
}

/// The range of a session's rows in a table with places.
pub(super) fn places(session: i64) -> Range<i64> {
    // Beyond this, the places would belong to another session.
    assert!((1..SESSIONS_MAX).contains(&session), "no session has the number {session}");
    session << PLACE_BITS..(session + 1) << PLACE_BITS
}

/// An SQL expression for one more than the greatest thread number of a session, given an expression for the session's
/// number.
pub(super) fn next_thread(session: &str) -> String {
    format!(
        "max(coalesce((SELECT max(thread.number) FROM thread
                WHERE thread.session = {session} AND thread.number >= 0 AND thread.number < {THREADS_MAX}), -1),
            coalesce((SELECT max(place) FROM future
                WHERE place >= ({session} << {PLACE_BITS}) AND place < (({session} + 1) << {PLACE_BITS}))
                - ({session} << {PLACE_BITS}), -1)) + 1"
    )
}

/// The error for a file that was removed or replaced by others.
fn removed(path: &Path) -> StorageError {
    StorageError::Permanent(format!("`{}` was removed or replaced while it was in use", path.display()))
}

fn length_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// Ignores that another process has already created the file.
fn unless_there(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

/// A path, escaped for SQLite's URIs.
fn encoded(path: &Path) -> String {
    let byte = |byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => char::from(*byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    path.as_os_str().as_bytes().iter().map(byte).collect()
}

/// Waits a little. Returns false after too many attempts.
fn wait_while_busy(looks: i32) -> bool {
    std::thread::sleep((BUSY_WAIT * looks.unsigned_abs().saturating_add(1)).min(BUSY_WAIT_MAX));
    looks < BUSY_LOOKS
}

/// The file, and connections for reading.
pub(super) struct Database {
    path: PathBuf,
    /// The files in use, once a connection keeps them open.
    open_files: OpenFiles,
    /// Whether the folder cannot be written to and the file has no log, so that nobody changes it.
    is_still: bool,
    readers: Readers,
}

impl Database {
    /// Opens the file, or creates it.
    pub fn open(path: &Path) -> Result<Database, StorageError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let make = |result: io::Result<()>| {
            result.map_err(|error| {
                StorageError::Permanent(format!("the folder `{}` cannot be created: {error}", folder.display()))
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
            // Before the file is created: a process that finds the file need not sync the folder's name.
            make(private::sync_name(folder))?;
            // SQLite creates its other files with the same mode.
            make(private::make_file(path).map(drop).or_else(unless_there))?;
        }
        private::narrow_all(folder, FILE_NAME, server::FOLDER);
        database.is_still = length_of(&log_path(path)) == 0 && access(folder, Access::WRITE_OK).is_err();
        let mut connection = database.connect_writer()?;
        // If opening fails, the file must stay unchanged, including its log.
        let keep_log = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        keep_log.map_err(|error| database.error(&error))?;
        database.prepare(&mut connection)?;
        if !is_served {
            database.check_structure(&connection)?;
        }
        Ok(database)
    }

    /// Whether nothing can be written to the file.
    pub fn is_still(&self) -> bool {
        self.is_still
    }

    /// Remembers which files are in use. This connection must stay open as long as they are.
    pub fn note_files(&mut self, connection: &Connection) -> Result<(), StorageError> {
        // Its first query opens the log, which then stays open and is not removed by others.
        let look = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
        look.map_err(|error| self.error(&error))?;
        self.open_files = OpenFiles::of(&self.path, self.is_still);
        Ok(())
    }

    /// Checks that the files still have their names: data written to a removed file is lost.
    pub fn check_in_place(&self) -> Result<(), StorageError> {
        self.open_files.find_removed().map_or(Ok(()), |path| Err(removed(path)))
    }

    /// The number of log pages after which the next checkpoint is due.
    pub fn checkpoint_pages(&self) -> i32 {
        let pages = self.open_files.database_bytes() / PAGE_BYTES as u64;
        i32::try_from(pages)
            .map_or(CHECKPOINT_PAGES_MAX, |pages| pages.clamp(CHECKPOINT_PAGES_MIN, CHECKPOINT_PAGES_MAX))
    }

    /// The error for a removed server's lock.
    pub fn removed(&self) -> StorageError {
        removed(self.open_files.find_removed().unwrap_or(&self.path))
    }

    /// Refuses files that SQLite would consider empty, or shorter than they were, and would overwrite.
    fn check_files(&self, is_served: bool) -> Result<(), StorageError> {
        let path = self.path.display();
        let log = log_path(&self.path);
        // In this order, because the file gets its first page before it has a log.
        let has_log = length_of(&log) > 0;
        let why = match length_of(&self.path) {
            0 if has_log => {
                format!("`{path}` is missing or empty, but its log `{path}-wal` is not; nothing was changed")
            }
            // SQLite considers such a file empty.
            1 => format!("`{path}` is not a database, or is damaged"),
            // If it is served, its server has already checked the log, and ongoing writes must not be mistaken for
            // damage.
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

    /// Checks a file that is not large. A wrong bit in an index can hide rows, which would not be noticed as an error
    /// when they are looked up.
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

    /// Creates the schema, or checks that its version is supported.
    fn prepare(&self, connection: &mut Connection) -> Result<(), StorageError> {
        let version = |connection: &Connection| -> rusqlite::Result<(i32, i32, i64)> {
            let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
            let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            Ok((application, version, tables))
        };
        // In one transaction, because another process may be creating the schema.
        let now = |connection: &mut Connection| connection.transaction().and_then(|moment| version(&moment));
        let mut found = now(connection).map_err(|error| self.error(&error))?;
        if found == (0, 0, 0) {
            let make = |connection: &mut Connection| -> rusqlite::Result<(i32, i32, i64)> {
                connection.pragma_update(None, "page_size", PAGE_BYTES)?;
                connection.pragma_update(None, "journal_mode", "wal")?;
                let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                // Another process may have been faster.
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
            _ => Err(StorageError::Permanent(format!("`{path}` is a database, but not a Hark database"))),
        }
    }

    /// A connection for writing.
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

    /// Reads from a single snapshot of the database.
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

    /// A connection. Even one for reading may have to write, to the index of the log. It never creates the file: a
    /// missing file was removed.
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

    /// The error for damage that does not concern a single session.
    pub fn damaged(&self) -> StorageError {
        StorageError::Permanent(format!("`{}` is damaged; nothing was changed", self.path.display()))
    }

    /// The meaning of an SQLite error for the user.
    pub fn error(&self, error: &rusqlite::Error) -> StorageError {
        let path = self.path.display();
        let permanent = |why: &str| StorageError::Permanent(format!("`{path}` {why}"));
        if let Some(exhausted) = shortage::of_sqlite(&self.path, error) {
            return exhausted;
        }
        let code = error.sqlite_error_code();
        // A process that is stopped while it opens the log holds a lock that others wait for in vain. SQLite reports
        // that as a failure of the locking protocol.
        let is_busy = matches!(
            code,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed)
        );
        // If the file was removed, a connection opened later finds no file, or an empty log.
        if !is_busy && let Err(removed) = self.check_in_place() {
            return removed;
        }
        match code {
            _ if is_busy => StorageError::Transient(format!("`{path}` is locked by another process")),
            Some(ErrorCode::DiskFull) => {
                StorageError::Exhausted(format!("the disk is full, so `{path}` cannot be written to"))
            }
            Some(ErrorCode::NotADatabase) => permanent("is not a database, or is damaged"),
            Some(ErrorCode::DatabaseCorrupt) => self.damaged(),
            None if is_damage(error) => self.damaged(),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => permanent("cannot be written to"),
            Some(ErrorCode::CannotOpen) => permanent("cannot be opened"),
            Some(ErrorCode::TooBig) => permanent("cannot store a step that creates or prints more than 1 GB at a time"),
            _ => permanent(&format!("cannot be used: {error}")),
        }
    }
}
