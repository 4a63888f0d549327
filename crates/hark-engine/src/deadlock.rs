//! Deadlocks: sessions in which all threads wait and nothing can happen any more.

use std::collections::HashSet;
use std::sync::Arc;

use hark_bytecode::shortened;
use hark_machine::{Awaited, Error, Program, Value};

use crate::id::{SessionId, ThreadId};
use crate::limits::{DEADLOCK_SCAN, DEADLOCK_THREADS_MAX};
use crate::outside::awaited_by;
use crate::record::{Awaiting, Key, Live, Record, Status};
use crate::report::SessionError;
use crate::space::Space;
use crate::storage::{Range, SessionStorage, StorageError};
use crate::throttle::{self, Gate, GateKind, Holder, Request};

/// The error of a deadlock: what the first threads wait for, and the position of the very first. Its data are the names
/// of the awaited promises, which could be resolved from outside if the session were stored.
pub(crate) fn describe(records: &dyn SessionStorage, program: &Program) -> Result<SessionError, StorageError> {
    let (first, mut error) = explain(records)?;
    let thread = first.unwrap_or(ThreadId(0));
    if let Some((trace, omitted)) = stack(records, program, thread)? {
        error.trace = trace;
        error.omitted = omitted;
    }
    Ok(SessionError { thread, error })
}

/// The error that the first queued thread raises for all of them. The thread adds its trace.
pub(crate) fn error_in(records: &dyn SessionStorage) -> Result<Error, StorageError> {
    explain(records).map(|(_, error)| error)
}

/// What the threads wait for, and the first of them.
fn explain(records: &dyn SessionStorage) -> Result<(Option<ThreadId>, Error), StorageError> {
    let live = records.scan(Range::Live(ThreadId(0)), usize::MAX)?;
    let live_threads: Vec<(ThreadId, &Live)> = live.iter().filter_map(thread_of).collect();
    let mut first = None;
    let mut waiting = Vec::new();
    let mut promises = Vec::new();
    for record in &live {
        let Record::Live(thread, live) = record else { continue };
        let Some(mut text) = wait_text(*thread, &live.status) else { continue };
        if let Status::Queued(request) = &live.status {
            text.push_str(&holders_text(&live_threads, &request.gate));
        }
        first.get_or_insert(*thread);
        waiting.push(text);
        if let Status::Waiting(Awaited::Promise(id)) | Status::Following(Awaited::Promise(id)) = &live.status
            && promises.len() < DEADLOCK_THREADS_MAX
        {
            promises.push(Value::string(&**id));
        }
    }
    Ok((first, Error::new("deadlock", message(waiting)).with_data(Value::list(promises))))
}

/// The perspective of the check for deadlocks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Looking {
    /// A session in memory, in which nothing happens. Reading a thread's record there would take the thread, so a
    /// thread that awaits more Futures than its record names is not examined, and never counts as deadlocked.
    InMemory,
    /// A thread of a stored session, during its turn.
    Thread(ThreadId),
    /// The server of a stored session.
    Server,
}

/// Checks whether no thread of a session can continue, and nothing outside can change that: all wait for each other, or
/// for places of limits held only by them. Returns the first queued thread in that case.
///
/// The records are not read atomically. But a thread that was seen waiting continues only after what it waits for has
/// changed: after a thread has stopped that was later seen live, or has given up a place that it was later seen to
/// hold. Among the threads that continued, none could have been the first.
pub(crate) fn find(
    records: &dyn SessionStorage,
    space: &dyn Space,
    session: &SessionId,
    program: &Program,
    looking: Looking,
) -> Result<Option<ThreadId>, StorageError> {
    let mut threads = Vec::new();
    let mut awaited = Vec::new();
    let mut crowds = Vec::new();
    let mut queued: Vec<(ThreadId, Box<Request>)> = Vec::new();
    let mut held: HashSet<(ThreadId, Arc<str>)> = HashSet::new();
    let mut next = ThreadId(0);
    loop {
        let found = records.scan(Range::Live(next), DEADLOCK_SCAN)?;
        let is_last = found.len() < DEADLOCK_SCAN;
        for record in found {
            let Record::Live(thread, live) = record else { continue };
            match live.status {
                Status::Waiting(Awaited::Thread(other)) | Status::Following(Awaited::Thread(other)) => {
                    awaited.push(ThreadId(other));
                }
                Status::Awaiting(awaiting) if is_stuck(&awaiting) => {
                    if awaiting.count > awaiting.futures.len() as u64 {
                        crowds.push(thread);
                    }
                }
                Status::Queued(request) if request.gate.kind == GateKind::Limit && request.deadline.is_none() => {
                    queued.push((thread, request));
                }
                _ => return Ok(None),
            }
            if live.stops.is_some() {
                return Ok(None);
            }
            let own = live.places.iter().filter(|place| place.lender.is_none());
            held.extend(own.map(|place| (thread, place.name.clone())));
            threads.push(thread);
            next = ThreadId(thread.0 + 1);
        }
        if is_last {
            break;
        }
    }
    let Some(first) = queued.first().map(|(thread, _)| *thread) else { return Ok(None) };
    if awaited.iter().any(|thread| threads.binary_search(thread).is_err()) || are_woken(records, &threads, looking)? {
        return Ok(None);
    }
    for (thread, request) in queued {
        let holder = Holder { session: session.clone(), thread };
        let has_place =
            |holder: &Holder| holder.session == *session && held.contains(&(holder.thread, request.gate.name.clone()));
        if !throttle::is_queued(space, &holder, &request.token())?
            || !throttle::is_full_of(space, &request.gate, has_place)?
        {
            return Ok(None);
        }
    }
    for thread in crowds {
        if matches!(looking, Looking::InMemory) || !awaits_threads(records, thread, program)? {
            return Ok(None);
        }
    }
    Ok(Some(first))
}

/// Whether only threads can end this wait, as far as its record says.
fn is_stuck(awaiting: &Awaiting) -> bool {
    awaiting.deadline.is_none()
        && awaiting.is_entered
        && awaiting.futures.iter().all(|future| matches!(future, Awaited::Thread(_)))
}

/// Whether all Futures awaited by a thread are threads'. Its record names only the first few.
fn awaits_threads(records: &dyn SessionStorage, thread: ThreadId, program: &Program) -> Result<bool, StorageError> {
    let mut found = Vec::with_capacity(1);
    records.read(&[Key::Live(thread)], &mut found)?;
    let Some(Record::Live(_, mut live)) = found.pop().flatten().map(|found| found.record) else { return Ok(false) };
    let awaited = live.state.take().map_or_else(Vec::new, |state| awaited_by(state, program));
    Ok(!awaited.is_empty() && awaited.iter().all(|future| matches!(future, Awaited::Thread(_))))
}

/// Whether any of these threads will be woken.
fn are_woken(records: &dyn SessionStorage, threads: &[ThreadId], looking: Looking) -> Result<bool, StorageError> {
    if !records.scan(Range::Todos, 1)?.is_empty() || !records.scan(Range::Cascades, 1)?.is_empty() {
        return Ok(true);
    }
    let mut found = Vec::new();
    for threads in threads.chunks(DEADLOCK_SCAN) {
        found.clear();
        let others = threads.iter().filter(|thread| !matches!(looking, Looking::Thread(asking) if asking == **thread));
        let keys: Vec<Key> = others.map(|thread| Key::Ready(*thread)).collect();
        records.read(&keys, &mut found)?;
        if found.iter().any(Option::is_some) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn wait_text(thread: ThreadId, status: &Status) -> Option<String> {
    match status {
        Status::Waiting(Awaited::Promise(id)) => {
            Some(format!("thread {thread} waits for future `{}`, which nothing can resolve", shortened(id)))
        }
        Status::Following(Awaited::Promise(id)) => {
            Some(format!("thread {thread} ended with future `{}`, which nothing can resolve", shortened(id)))
        }
        Status::Waiting(Awaited::Thread(other)) => Some(format!("thread {thread} waits for thread {other}")),
        Status::Following(Awaited::Thread(other)) => {
            Some(format!("thread {thread} ended with thread {other}'s future"))
        }
        Status::Awaiting(awaiting) => Some(format!("thread {thread} waits for {awaiting}")),
        Status::Queued(request) => Some(format!("thread {thread} waits for {}", request.gate)),
        Status::Runnable | Status::Sleeping { .. } | Status::Calling(_) => None,
    }
}

fn thread_of(record: &Record) -> Option<(ThreadId, &Live)> {
    match record {
        Record::Live(thread, live) => Some((*thread, live)),
        _ => None,
    }
}

/// The text ", which thread 0 has", about the places of a limit.
fn holders_text(threads: &[(ThreadId, &Live)], gate: &Gate) -> String {
    let has = |(_, live): &&(ThreadId, &Live)| live.places.iter().any(|place| place.name == gate.name);
    let holders: Vec<String> = threads.iter().filter(has).map(|(thread, _)| thread.to_string()).collect();
    match &holders[..] {
        [] => String::new(),
        [one] => format!(", which thread {one} has"),
        some => format!(", which threads {} have", some[..some.len().min(DEADLOCK_THREADS_MAX)].join(", ")),
    }
}

fn message(mut waiting: Vec<String>) -> String {
    let more = waiting.len().saturating_sub(DEADLOCK_THREADS_MAX);
    waiting.truncate(DEADLOCK_THREADS_MAX);
    let listed = waiting.join("; ");
    if more > 0 {
        format!("no thread can go on: {listed}; and {more} more")
    } else {
        format!("no thread can go on: {listed}")
    }
}

type Stack = (Vec<hark_machine::TraceFrame>, u64);

fn stack(records: &dyn SessionStorage, program: &Program, thread: ThreadId) -> Result<Option<Stack>, StorageError> {
    let mut found = Vec::new();
    records.read(&[Key::Live(thread)], &mut found)?;
    let Some(Some(versioned)) = found.pop() else { return Ok(None) };
    let Record::Live(_, mut live) = versioned.record else { return Ok(None) };
    Ok(live.state.take().map(|state| state.stack(program, thread.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_threads_wait_for() {
        let promise = Status::Waiting(Awaited::Promise("mail/1".into()));
        let thread = Status::Waiting(Awaited::Thread(7));
        let waiting = [(0, thread), (7, promise)];
        let waiting = waiting.iter().filter_map(|(thread, status)| wait_text(ThreadId(*thread), status)).collect();
        assert_eq!(
            message(waiting),
            "no thread can go on: thread 0 waits for thread 7; thread 7 waits for future `mail/1`, which nothing can resolve"
        );
    }

    #[test]
    fn it_lists_ten_threads() {
        let text = message((0..12).map(|thread| thread.to_string()).collect());
        assert_eq!(text, "no thread can go on: 0; 1; 2; 3; 4; 5; 6; 7; 8; 9; and 2 more");
    }
}
