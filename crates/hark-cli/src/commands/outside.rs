//! `hark resolve`, `hark fail`

use std::collections::BTreeSet;
use std::sync::Arc;

use hark_engine::outside::{Outside, OutsideError};
use hark_engine::storage::{Range, StorageError};
use hark_engine::{FutureId, FutureRecord, Record, SessionId, ThreadId, ThreadStatus};
use hark_machine::short_text;

use super::FINISHED;
use super::kept::{Store, outside_failure};
use crate::args::{Fail, Resolve};
use crate::failure::Failure;
use crate::output;
use crate::render::escape;
use crate::storage;
use crate::value;

/// The maximum number of characters of a value in a message.
const SHOWN_VALUE_MAX: usize = 200;

/// The maximum number of awaited promises named in a message.
const SHOWN_PROMISES_MAX: usize = 5;

/// The maximum number of threads searched for awaited promises.
const SEARCHED_THREADS_MAX: usize = 1_000;

/// Resolves a promise with a value.
///
/// # Errors
/// If the value is not valid JSON, or the promise is already settled.
pub fn resolve(wanted: &Resolve) -> Result<u8, Failure> {
    let value = value::of_option(&wanted.value)?;
    let store = Store::existing(&wanted.storage, &wanted.config)?;
    settle(&store, &wanted.future, |session, promise| session.resolve(promise, value.clone()))
}

/// Fails a promise.
///
/// # Errors
/// If the promise is already settled.
pub fn fail(wanted: &Fail) -> Result<u8, Failure> {
    let store = Store::existing(&wanted.storage, &wanted.config)?;
    settle(&store, &wanted.future, |session, promise| session.fail(promise, &wanted.message))
}

fn settle(
    store: &Store,
    future: &str,
    settle: impl FnOnce(&Outside<'_>, &str) -> Result<bool, OutsideError>,
) -> Result<u8, Failure> {
    let Some((session, promise)) = storage::split_future_id(future).filter(|(_, promise)| promise.contains('/')) else {
        let failure = Failure::usage(format!("`{future}` is not the id of a future"));
        return Err(failure.with_hint("it is the result of `future_id`, or SESSION/NAME/ID for `future(NAME, ID)`"));
    };
    let id: SessionId = match store.catalog()?.record(&session).map_err(storage::failure)? {
        Some(_) => session,
        // It may also be the prefix of an id.
        None => store.find(Some(session.as_str()))?.id,
    };
    let session = store.outside(&id)?;
    if !settle(&session, promise).map_err(|error| refused(error, &session, future))? {
        // The promise is settled; a failure of this lookup does not matter.
        let others = promises_in_demand(&session).unwrap_or_default();
        if !others.is_empty() {
            let others = others.iter().map(|name| format!("`{}`", escape::line(name))).collect::<Vec<_>>().join(", ");
            output::tell(&format!("no thread waits for `{promise}` yet; the session waits for {others}\n"));
        }
    }
    Ok(FINISHED)
}

/// The first promises that threads wait for: if the name was mistyped, one of them was probably meant.
fn promises_in_demand(session: &Outside<'_>) -> Result<BTreeSet<Arc<str>>, StorageError> {
    let live = session.records().scan(Range::Live(ThreadId(0)), SEARCHED_THREADS_MAX)?;
    let waits =
        live.into_iter().filter_map(|record| if let Record::Live(_, live) = record { Some(live.status) } else { None });
    let awaited = waits.flat_map(|status| match status {
        ThreadStatus::Waiting(awaited) | ThreadStatus::Following(awaited) => vec![awaited],
        ThreadStatus::Awaiting(awaiting) => awaiting.futures.clone(),
        _ => Vec::new(),
    });
    let promises = awaited.filter_map(|awaited| match FutureId::from(&awaited) {
        FutureId::Promise(name) => Some(name),
        FutureId::Thread(_) => None,
    });
    Ok(promises.take(SHOWN_PROMISES_MAX).collect())
}

fn refused(error: OutsideError, session: &Outside<'_>, future: &str) -> Failure {
    match error {
        OutsideError::AlreadyDone(first) => {
            let executable = session.program().executable();
            Failure::usage(match first {
                FutureRecord::Failed(failure) => {
                    format!("`{future}` has already failed: {}", failure.error.message)
                }
                FutureRecord::Resolved(value) => {
                    format!("`{future}` already has a value: {}", short_text(&value, executable, SHOWN_VALUE_MAX))
                }
                _ => format!("`{future}` is already resolved"),
            })
        }
        OutsideError::WrongState(state) => {
            Failure::usage(format!("`{future}` cannot be resolved: its session {}", state.predicate()))
        }
        other => outside_failure(other),
    }
}
