//! Changes to the rows of one session in a file, of which nothing but their meaning tells.

use std::path::Path;

use hark_engine::SessionId;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use crate::damage::{Random, damage};
use crate::document::{Document, sealed, unsealed};

/// How many bytes tell of one change.
pub const CHANGE_BYTES: usize = 8;

/// A table, the columns that say which row is meant, whose row it is, and what its checksum is of, in this order.
struct Table {
    name: &'static str,
    session: &'static str,
    columns: &'static [&'static str],
    sealed: &'static [&'static str],
    /// The summary or content whose end is in the checksum.
    end: &'static str,
}

const TABLES: [Table; 9] = [
    Table {
        name: "session",
        session: "number",
        columns: &["stamp", "state", "ended", "server", "summary"],
        sealed: &["id", "state", "ended"],
        end: "summary",
    },
    Table {
        name: "thread",
        session: "session",
        columns: &["number", "stamp", "due", "summary", "content"],
        sealed: &["session", "number", "due"],
        end: "summary",
    },
    Table {
        name: "broken",
        session: "session",
        columns: &["thread", "stamp", "summary", "content"],
        sealed: &["session", "thread"],
        end: "summary",
    },
    Table {
        name: "unawaited",
        session: "session",
        columns: &["thread", "stamp", "content"],
        sealed: &["session", "thread"],
        end: "content",
    },
    Table {
        name: "promise",
        session: "session",
        columns: &["name", "stamp", "content"],
        sealed: &["session", "name"],
        end: "content",
    },
    Table { name: "ready", session: "session", columns: &["thread", "stamp"], sealed: &[], end: "" },
    Table { name: "wait", session: "session", columns: &["future", "thread", "stamp"], sealed: &[], end: "" },
    Table { name: "todo", session: "session", columns: &["future", "stamp"], sealed: &[], end: "" },
    Table { name: "log", session: "(place >> 33)", columns: &["entries"], sealed: &[], end: "" },
];

/// Makes the changes, all of them to rows of one session, and answers which.
pub fn change(file: &Path, changes: &[u8]) -> Option<SessionId> {
    let connection = Connection::open(file).ok()?;
    let mut changes = changes.chunks_exact(CHANGE_BYTES);
    let first = changes.next()?;
    let count: usize = connection.query_row("SELECT count(*) FROM session", [], |row| row.get(0)).ok()?;
    let sql = "SELECT number, id FROM session ORDER BY number LIMIT 1 OFFSET ?1";
    let picked = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let (session, id) = connection.query_row(sql, [usize::from(first[0]) % count], picked).ok()?;
    for bytes in std::iter::once(first).chain(changes) {
        // What the file does not allow is not changed.
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
    // The row may have another key now.
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

/// Gives the row the checksum that fits it, as `seal.rs` does.
fn mend_row(connection: &Connection, table: &Table, is_key: &str, key: &[Value]) -> rusqlite::Result<()> {
    if table.sealed.is_empty() {
        return Ok(());
    }
    let Table { name, sealed, end, .. } = table;
    let mut parameters = vec![Value::Null];
    parameters.extend(key.iter().cloned());
    let columns = format!("{}, {end}", sealed.join(", "));
    let sql = format!("SELECT {columns} FROM {name} WHERE {is_key} AND ?1 IS NULL");
    let values: Option<Vec<Value>> = connection
        .query_row(&sql, params_from_iter(&parameters), |row| (0..=sealed.len()).map(|at| row.get(at)).collect())
        .optional()?;
    let Some(values) = values else { return Ok(()) };
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(name.as_bytes());
    hasher.update(&[0]);
    for value in &values[..sealed.len()] {
        match value {
            Value::Text(text) => {
                hasher.update(text.as_bytes());
                hasher.update(&[0]);
            }
            Value::Integer(number) => {
                hasher.update(&[1]);
                hasher.update(&number.to_le_bytes());
            }
            _ => hasher.update(&[0; 9]),
        }
    }
    let bytes = match &values[sealed.len()] {
        Value::Text(text) => text.as_bytes(),
        Value::Blob(bytes) => bytes,
        _ => &[],
    };
    hasher.update(&bytes[bytes.len().saturating_sub(16)..]);
    parameters[0] = Value::Integer(i64::from(hasher.finalize() as i32));
    let sql = format!("UPDATE {name} SET checksum = ?1 WHERE {is_key}");
    connection.execute(&sql, params_from_iter(&parameters)).map(drop)
}
