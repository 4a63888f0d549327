//! The results of threads, and the data of their errors. They are not in the history, but in the threads' Futures.

use std::collections::HashMap;

use hark_engine::outside::Outside;
use hark_engine::{FutureRecord, Key, Record, ThreadId};
use hark_machine::{Error, Value, short_text};

use crate::failure::Failure;
use crate::storage;

/// The maximum number of characters of a value.
pub const VALUE_CHARACTERS_MAX: usize = 200;

/// The number of values read per request.
const READ_MAX: usize = 500;

/// The values of these threads as shortened text. Threads without a value, or with `null`, are left out.
///
/// # Errors
/// If the storage fails.
pub fn of_threads(session: &Outside<'_>, threads: &[ThreadId]) -> Result<HashMap<ThreadId, String>, Failure> {
    let executable = session.program().executable();
    let mut values = HashMap::new();
    each_future(session, threads, |thread, future| {
        if let FutureRecord::Resolved(value) = future
            && !matches!(value, Value::Null)
        {
            values.insert(thread, short_text(&value, executable, VALUE_CHARACTERS_MAX));
        }
    })?;
    Ok(values)
}

/// The errors of those of these threads that are still failed: some may have been retried.
///
/// # Errors
/// If the storage fails.
pub fn errors_of_threads(session: &Outside<'_>, threads: &[ThreadId]) -> Result<HashMap<ThreadId, Error>, Failure> {
    let mut errors = HashMap::new();
    each_future(session, threads, |thread, future| {
        if let FutureRecord::Failed(failure) = future {
            errors.insert(thread, failure.error.clone());
        }
    })?;
    Ok(errors)
}

fn each_future(
    session: &Outside<'_>,
    threads: &[ThreadId],
    mut note: impl FnMut(ThreadId, FutureRecord),
) -> Result<(), Failure> {
    for some in threads.chunks(READ_MAX) {
        let keys: Vec<Key> = some.iter().map(|thread| Key::Future((*thread).into())).collect();
        let mut found = Vec::with_capacity(keys.len());
        session.records().read(&keys, &mut found).map_err(storage::failure)?;
        for (thread, found) in some.iter().zip(found) {
            if let Some(Record::Future(_, future)) = found.map(|found| found.record) {
                note(*thread, future);
            }
        }
    }
    Ok(())
}
