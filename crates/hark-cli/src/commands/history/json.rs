//! History entries as JSON: structured fields without prose.

use std::io::{self, Write};

use hark_engine::{Event, FutureId, Gate, GateKind, LogEntry, Needed, Timestamp, WorkerKind};
use hark_machine::Value;

use super::Outcome;
use crate::report::{Json, write_value};

/// Writes an entry as an object: `time`, `thread`, `event` and the fields of that event.
pub fn write_entry<W: Write>(entry: &LogEntry, outcome: &Outcome<'_>, json: &mut Json<W>) -> io::Result<()> {
    json.open('{')?;
    json.entry("time", &entry.time.to_string())?;
    json.entry_of("thread", entry.thread)?;
    json.entry("event", entry.event.name())?;
    write_fields(&entry.event, outcome, json)?;
    json.close('}')
}

fn write_fields<W: Write>(event: &Event, outcome: &Outcome<'_>, json: &mut Json<W>) -> io::Result<()> {
    match event {
        Event::Printed { text, .. } => json.entry("text", text),
        Event::Started { function, parent, arguments } => {
            json.entry("function", function)?;
            json.entry("arguments", arguments)?;
            or_null("parent", parent.as_ref(), json)
        }
        Event::Called { function, attempt, arguments } => {
            json.entry("function", function)?;
            json.entry("arguments", arguments)?;
            json.entry_of("attempt", attempt)
        }
        Event::Returned { value, attempt } => {
            json.entry("value", value)?;
            or_null("attempt", attempt.as_ref(), json)
        }
        Event::Raised { kind, message, attempt } => {
            json.entry("kind", kind)?;
            json.entry("message", message)?;
            or_null("attempt", attempt.as_ref(), json)
        }
        Event::TriesAgain { function, attempt, attempts, delay, message } => {
            json.entry("function", function)?;
            json.entry_of("attempt", attempt)?;
            json.entry_of("attempts", attempts)?;
            json.entry_of("delay", *delay as f64 / 1000.0)?;
            json.entry("message", message)
        }
        Event::Waited { future } => write_wait(Needed::All, std::slice::from_ref(future), 1, None, json),
        Event::Awaited { until, futures, count, deadline } => write_wait(*until, futures, *count, *deadline, json),
        Event::Followed { future } | Event::Resolved { future } => write_future(future, json),
        Event::FailedOutside { future, message } => {
            write_future(future, json)?;
            json.entry("message", message)
        }
        Event::Slept { until } => write_until(Some(*until), json),
        Event::TakenOver { saved } => json.entry_or_null("saved", saved.map(|saved| saved.to_string()).as_deref()),
        Event::Queued { gate, until } => {
            write_gate(gate, json)?;
            write_until(*until, json)
        }
        Event::QueuedInPool { worker, function, attempt, arguments } => {
            match worker {
                WorkerKind::Pool(pool) => json.entry("pool", pool)?,
                WorkerKind::Size { memory, seconds } => {
                    or_null("memory", memory.as_ref(), json)?;
                    or_null("seconds", seconds.as_ref(), json)?;
                }
            }
            json.entry("function", function)?;
            json.entry("arguments", arguments)?;
            json.entry_of("attempt", attempt)
        }
        Event::Finished => json.entry_or_null("value", outcome.value.map(String::as_str)),
        Event::Broke { kind, message } => {
            json.entry("kind", kind)?;
            json.entry("message", message)?;
            json.key("data")?;
            write_value(outcome.data.unwrap_or(&Value::Null), outcome.executable, json)
        }
        Event::Cancelled | Event::StoppedWithSession => json.entry("of", "session"),
        Event::Interrupted | Event::Stopped => json.entry("of", "thread"),
        Event::Resumed | Event::Retried => Ok(()),
    }
}

/// A wait: `needed` is `all` or `any`, `count` the number of futures, `futures` the first of them.
fn write_wait<W: Write>(
    needed: Needed,
    futures: &[FutureId],
    count: u64,
    until: Option<Timestamp>,
    json: &mut Json<W>,
) -> io::Result<()> {
    json.entry("needed", if needed == Needed::All { "all" } else { "any" })?;
    json.entry_of("count", count)?;
    json.key("futures")?;
    json.open('[')?;
    futures.iter().try_for_each(|future| write_name(future, json))?;
    json.close(']')?;
    write_until(until, json)
}

fn write_future<W: Write>(future: &FutureId, json: &mut Json<W>) -> io::Result<()> {
    json.key("future")?;
    write_name(future, json)
}

fn write_name<W: Write>(future: &FutureId, json: &mut Json<W>) -> io::Result<()> {
    json.open('{')?;
    match future {
        FutureId::Thread(thread) => json.entry_of("thread", thread)?,
        FutureId::Promise(name) => json.entry("promise", name)?,
    }
    json.close('}')
}

fn write_gate<W: Write>(gate: &Gate, json: &mut Json<W>) -> io::Result<()> {
    json.entry(if gate.kind == GateKind::Limit { "limit" } else { "rate" }, &gate.name)
}

fn write_until<W: Write>(until: Option<Timestamp>, json: &mut Json<W>) -> io::Result<()> {
    json.entry_or_null("until", until.map(|until| until.to_string()).as_deref())
}

fn or_null<W: Write>(key: &str, value: Option<&impl std::fmt::Display>, json: &mut Json<W>) -> io::Result<()> {
    match value {
        Some(value) => json.entry_of(key, value),
        None => json.entry_of(key, "null"),
    }
}
