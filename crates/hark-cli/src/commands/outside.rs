//! `hark resolve`, `hark fail`

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use hark_engine::outside::{Outside, OutsideError};
use hark_engine::storage::{Range, StorageError};
use hark_engine::{FutureId, FutureRecord, Key, Record, SessionId, ThreadId, ThreadStatus, Versioned};
use hark_machine::{Awaited, short_text};

use super::kept::{Store, outside_failure};
use super::{FINISHED, moving};
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
        let others = Demand::of(&session).unwrap_or_default();
        // If none is open, this one may well be meant: the session may not have begun to wait.
        if !others.names.is_empty() {
            output::tell(&format!("no thread waits for `{}` yet{others}\n", escape::line(promise)));
        }
    }
    Ok(FINISHED)
}

/// The open promises that threads wait for: if the name was mistyped, one of them was probably meant.
#[derive(Default)]
struct Demand {
    names: Vec<Arc<str>>,
    /// Whether there may be others, as a thread waits for more Futures than its record names.
    is_partial: bool,
}

impl Demand {
    fn of(session: &Outside<'_>) -> Result<Demand, StorageError> {
        let live = session.records().scan(Range::Live(ThreadId(0)), SEARCHED_THREADS_MAX)?;
        let (mut awaited, mut is_partial) = (Vec::new(), live.len() == SEARCHED_THREADS_MAX);
        for record in live {
            let Record::Live(_, live) = record else { continue };
            match live.status {
                ThreadStatus::Waiting(future) | ThreadStatus::Following(future) => awaited.push(future),
                ThreadStatus::Awaiting(awaiting) => {
                    let is_for_promises = matches!(awaiting.futures.last(), Some(Awaited::Promise(_)));
                    is_partial |= is_for_promises && awaiting.count > awaiting.futures.len() as u64;
                    awaited.extend(awaiting.futures);
                }
                _ => {}
            }
        }
        let promises: BTreeSet<Arc<str>> = awaited
            .iter()
            .filter_map(|awaited| match FutureId::from(awaited) {
                FutureId::Promise(name) => Some(name),
                FutureId::Thread(_) => None,
            })
            .collect();
        // Of a wait for several, some may be settled.
        let keys: Vec<Key> = promises.iter().map(|name| Key::Future(FutureId::Promise(name.clone()))).collect();
        let mut found = Vec::with_capacity(keys.len());
        session.records().read(&keys, &mut found)?;
        let is_open = |found: &Option<Versioned>| match found {
            Some(Versioned { record: Record::Future(_, future), .. }) => future.is_pending(),
            _ => true,
        };
        let open = promises.into_iter().zip(&found).filter(|(_, found)| is_open(found));
        Ok(Demand { names: open.map(|(name, _)| name).collect(), is_partial })
    }
}

impl fmt::Display for Demand {
    /// "; the session waits for `a/1`, `b/2` and 3 more"
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.names.iter().take(SHOWN_PROMISES_MAX).map(|name| format!("`{}`", escape::line(name)));
        write!(formatter, "; the session waits for {}", shown.collect::<Vec<_>>().join(", "))?;
        match self.names.len().saturating_sub(SHOWN_PROMISES_MAX) {
            _ if self.is_partial => formatter.write_str(" and others"),
            0 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
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
            let failure = format!("`{future}` cannot be resolved: its session {}", state.predicate());
            moving::explained(Failure::usage(failure), session)
        }
        other => outside_failure(other),
    }
}
