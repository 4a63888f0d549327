//! Semantic changes to the rows of one session in a file: lengths and checksums remain correct.

use std::path::Path;

use hark_engine::{FutureId, Key, SessionId, ThreadId};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::damage::{Random, damage};
use crate::document::{Document, sealed, unsealed};

/// The number of bytes that describe a change.
pub const CHANGE_BYTES: usize = 8;

/// A table, its columns that are changed, its column with the session's number, and how its rows are sealed.
struct Table {
    name: &'static str,
    session: &'static str,
    columns: &'static [&'static str],
    /// The key of a row, from the part of its primary key after the session's number, and the column whose end is
    /// covered by the checksum.
    seal: Option<(KeyOf, &'static str)>,
}

type KeyOf = fn(&Value) -> Key;

fn thread(value: &Value) -> ThreadId {
    match value {
        Value::Integer(number) => ThreadId(*number as u64),
        _ => ThreadId(0),
    }
}

fn promise(value: &Value) -> Key {
    let name = match value {
        Value::Text(name) => name.as_str(),
        _ => "",
    };
    Key::Future(FutureId::Promise(name.into()))
}

const TABLES: [Table; 9] = [
    Table {
        name: "session",
        session: "number",
        columns: &["stamp", "state", "ended", "server", "summary"],
        seal: Some((|_| Key::Session, "summary")),
    },
    Table {
        name: "thread",
        session: "session",
        columns: &["number", "stamp", "due", "summary", "content"],
        seal: Some((|value| Key::Live(thread(value)), "summary")),
    },
    Table {
        name: "broken",
        session: "session",
        columns: &["thread", "stamp", "summary", "content"],
        seal: Some((|value| Key::Broken(thread(value)), "summary")),
    },
    Table {
        name: "unawaited",
        session: "session",
        columns: &["thread", "stamp", "content"],
        seal: Some((|value| Key::Unawaited(thread(value)), "content")),
    },
    Table {
        name: "promise",
        session: "session",
        columns: &["name", "stamp", "content"],
        seal: Some((promise, "content")),
    },
    Table { name: "ready", session: "session", columns: &["thread", "stamp"], seal: None },
    Table { name: "wait", session: "session", columns: &["future", "thread", "stamp", "summary"], seal: None },
    Table { name: "todo", session: "session", columns: &["future", "stamp"], seal: None },
    Table { name: "log", session: "(place >> 33)", columns: &["entries"], seal: None },
];

/// Makes the changes, all of them to rows of one session. Returns that session.
pub fn change(file: &Path, changes: &[u8]) -> Option<SessionId> {
    let connection = Connection::open(file).ok()?;
    let mut changes = changes.chunks_exact(CHANGE_BYTES);
    let first = changes.next()?;
    let count: usize = connection.query_row("SELECT count(*) FROM session", [], |row| row.get(0)).ok()?;
    let sql = "SELECT number, id FROM session ORDER BY number LIMIT 1 OFFSET ?1";
    let picked = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let (session, id) = connection.query_row(sql, [usize::from(first[0]) % count], picked).ok()?;
    for bytes in std::iter::once(first).chain(changes) {
        // Changes that violate a constraint are skipped.
        let _ = change_row(&connection, session, bytes);
    }
    Some(SessionId::from_text(&id))
}

fn change_row(connection: &Connection, session: i64, bytes: &[u8]) -> rusqlite::Result<()> {
    let table = &TABLES[usize::from(bytes[1]) % TABLES.len()];
    let Table { name, session: owner, .. } = table;
    let count: usize =
        connection
            .query_row(&format!("SELECT count(*) FROM {name} WHERE {owner} = ?1"), [session], |row| row.get(0))?;
    if count == 0 {
        return Ok(());
    }
    let column = table.columns[usize::from(bytes[2]) % table.columns.len()];
    let row = format!("{owner} = ?1 LIMIT 1 OFFSET {}", usize::from(bytes[3]) % count);
    let old: Value =
        connection.query_row(&format!("SELECT {column} FROM {name} WHERE {row}"), [session], |row| row.get(0))?;
    let keys = key_columns(connection, name)?;
    let key_list = keys.join(", ");
    let key: Vec<Value> =
        connection.query_row(&format!("SELECT {key_list} FROM {name} WHERE {row}"), [session], |row| {
            (0..keys.len()).map(|index| row.get(index)).collect()
        })?;
    let mut random = Random(u64::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7], bytes[3], bytes[2], 0, 0]));
    let new = changed(&mut random, &old);
    let is_key: Vec<String> = keys.iter().enumerate().map(|(index, key)| format!("{key} = ?{}", index + 2)).collect();
    let is_key = is_key.join(" AND ");
    let mut values = vec![new.clone()];
    values.extend(key.iter().cloned());
    connection.execute(&format!("UPDATE {name} SET {column} = ?1 WHERE {is_key}"), params_from_iter(&values))?;
    // The change may have been to the key.
    let key: Vec<Value> =
        keys.iter().zip(key).map(|(each, old)| if each == column { new.clone() } else { old }).collect();
    mend_row(connection, table, &is_key, &key)
}

fn key_columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk";
    let mut statement = connection.prepare(sql)?;
    statement.query_map([table], |row| row.get(0))?.collect()
}

fn changed(random: &mut Random, old: &Value) -> Value {
    let telling = [0, 1, -1, 1 << 20, (1 << 33) - 1, 1 << 33, i64::MAX, i64::MIN];
    match old {
        Value::Text(text) if text.starts_with(['{', '[']) => {
            let mut bytes = unsealed(text).into_bytes();
            let other = bytes.clone();
            damage(random, &mut bytes, &other);
            Value::Text(sealed(&String::from_utf8_lossy(&bytes)))
        }
        Value::Blob(bytes) => {
            let mut bytes = bytes.clone();
            let other = bytes.clone();
            damage(random, &mut bytes, &other);
            Value::Blob(Document::read(&bytes).map_or(bytes, |document| document.write()))
        }
        _ => match random.below(10) {
            0 => Value::Null,
            1 => Value::Text("nonsense\u{0}".to_owned()),
            2 => Value::Real(0.5),
            _ => Value::Integer(telling[random.below(telling.len())]),
        },
    }
}

/// Corrects the checksum of the row, computed as in the engine.
fn mend_row(connection: &Connection, table: &Table, is_key: &str, key: &[Value]) -> rusqlite::Result<()> {
    let Some((key_of, end)) = table.seal else { return Ok(()) };
    let name = table.name;
    let mut parameters = vec![Value::Null];
    parameters.extend(key.iter().cloned());
    let id: Option<String> =
        connection.query_row("SELECT id FROM session WHERE number = ?1", [&key[0]], |row| row.get(0)).optional()?;
    let sql = format!("SELECT {end} FROM {name} WHERE {is_key} AND ?1 IS NULL");
    let sealed: Option<Value> =
        connection.query_row(&sql, params_from_iter(&parameters), |row| row.get(0)).optional()?;
    let (Some(id), Some(sealed)) = (id, sealed) else { return Ok(()) };
    let bytes = match &sealed {
        Value::Text(text) => text.as_bytes(),
        Value::Blob(bytes) => bytes,
        _ => &[],
    };
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(id.as_bytes());
    hasher.update(&[0]);
    hasher.update(&key_of(key.last().unwrap_or(&Value::Null)).encode());
    hasher.update(&bytes[bytes.len().saturating_sub(16)..]);
    parameters[0] = Value::Integer(i64::from(hasher.finalize() as i32));
    let sql = format!("UPDATE {name} SET checksum = ?1 WHERE {is_key}");
    connection.execute(&sql, params_from_iter(&parameters)).map(drop)
}
