//! The results of threads. They are not in the history, but are the values of the threads' Futures.

use std::collections::HashMap;

use hark_engine::outside::Outside;
use hark_engine::{FutureRecord, Key, Record, ThreadId};
use hark_machine::{Value, short_text};

use crate::failure::Failure;
use crate::storage;

/// The maximum number of characters of a value.
pub const VALUE_CHARACTERS_MAX: usize = 200;

/// The number of values read per request.
const READ_MAX: usize = 500;

/// The values, as shortened text, of those of these threads that have a value other than `null`.
///
/// # Errors
/// If the storage fails.
pub fn of_threads(session: &Outside<'_>, threads: &[ThreadId]) -> Result<HashMap<ThreadId, String>, Failure> {
    let executable = session.program().executable();
    let mut values = HashMap::new();
    for some in threads.chunks(READ_MAX) {
        let keys: Vec<Key> = some.iter().map(|thread| Key::Future((*thread).into())).collect();
        let mut found = Vec::with_capacity(keys.len());
        session.records().read(&keys, &mut found).map_err(storage::failure)?;
        for (thread, found) in some.iter().zip(found) {
            if let Some(Record::Future(_, FutureRecord::Resolved(value))) = found.map(|found| found.record)
                && !matches!(value, Value::Null)
            {
                values.insert(*thread, short_text(&value, executable, VALUE_CHARACTERS_MAX));
            }
        }
    }
    Ok(values)
}
