//! A session in which nothing can happen any more, though threads wait.

use hark_bytecode::shortened;
use hark_machine::{Awaited, Error, Program, Value};

use crate::id::ThreadId;
use crate::limits::DEADLOCK_THREADS_MAX;
use crate::record::{Key, Live, Record, Status};
use crate::report::SessionError;
use crate::storage::{Range, SessionStorage, StorageError};
use crate::throttle::Gate;

/// The error of a deadlock: what the first threads wait for, and where the very first of them stands. Its data are the names of
/// the promises among that, which somebody outside could resolve if the session were kept.
pub(crate) fn describe(records: &dyn SessionStorage, program: &Program) -> Result<SessionError, StorageError> {
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
    let thread = first.unwrap_or(ThreadId(0));
    let mut error = Error::new("deadlock", message(waiting)).with_data(Value::list(promises));
    if let Some((trace, omitted)) = stack(records, program, thread)? {
        error.trace = trace;
        error.omitted = omitted;
    }
    Ok(SessionError { thread, error })
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

/// ", which thread 0 has", of a limit's places.
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
