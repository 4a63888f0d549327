//! `hark promises`: the pending promises that sessions wait for.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};

use hark_backends::System;
use hark_engine::{
    Event, Filter, FutureId, LogEntry, Record, SessionId, SessionState, Summary, Surroundings, ThreadId, Timestamp,
    Waiters,
};
use unicode_width::UnicodeWidthStr;

use super::FINISHED;
use super::kept::{Store, shown_duration};
use crate::args::Promises;
use crate::failure::Failure;
use crate::output;
use crate::render::{Paint, Style, columns, escape};
use crate::report::{self, Json};
use crate::storage;

/// The number of characters of an id shown on a terminal.
const SHORT_ID: usize = 18;

/// The maximum number of waiting threads named in a line.
const SHOWN_WAITERS_MAX: usize = 3;

/// The maximum number of characters of a thread's function and arguments.
const CALL_CHARACTERS_MAX: usize = 60;

/// A promise that threads wait for.
struct Open {
    session: SessionId,
    key: Option<String>,
    name: String,
    /// When the first of the threads began to wait.
    since: Option<Timestamp>,
    waiters: Vec<Waiting>,
}

impl Open {
    /// What `hark resolve` takes.
    fn future_id(&self) -> String {
        format!("{}/{}", self.session, self.name)
    }
}

/// A waiting thread.
struct Waiting {
    thread: ThreadId,
    call: String,
    since: Option<Timestamp>,
}

/// Lists the promises that threads wait for, of one session or of all unfinished ones.
///
/// # Errors
/// If there is no such session, or it cannot be read.
pub fn promises(wanted: &Promises) -> Result<u8, Failure> {
    let (storage, config) = (&wanted.kept.storage, &wanted.kept.config);
    let store = match wanted.id {
        Some(_) => Store::existing(storage, config)?,
        None => match Store::open_or_place(storage, config)? {
            Ok(store) => store,
            Err(place) => return nothing(wanted, place.store()),
        },
    };
    let sessions = match wanted.id.as_deref() {
        Some(id) => vec![store.find(Some(id))?],
        None => running(&store)?,
    };
    let mut open = Vec::new();
    for summary in &sessions {
        open.extend(open_promises(&store, summary)?);
    }
    if wanted.quiet {
        let ids = open.iter().map(|promise| format!("{}\n", escape::line(&promise.future_id())));
        output::write_out(&ids.collect::<String>())?;
        return Ok(FINISHED);
    }
    if open.is_empty() {
        return nothing(wanted, store.place.store());
    }
    if wanted.kept.json {
        report::write_list(|json| open.iter().try_for_each(|promise| write_promise(promise, json)))?;
    } else {
        output::write_out(&drawn(&open, System.now(), columns::of_stdout(), Style::for_stdout()))?;
    }
    Ok(FINISHED)
}

fn nothing(wanted: &Promises, file: &str) -> Result<u8, Failure> {
    if wanted.kept.json {
        output::write_out("[]\n")?;
    } else if !wanted.quiet {
        let of = if wanted.id.is_some() {
            "the session is not waiting for a promise".to_owned()
        } else {
            format!("no session in {file} waits for a promise")
        };
        output::write_out(&format!("{of}\n"))?;
    }
    Ok(FINISHED)
}

fn running(store: &Store) -> Result<Vec<Summary>, Failure> {
    let filter = Filter { state: Some(SessionState::Running), ..Filter::default() };
    let found = store.catalog()?.list(&filter).map_err(storage::failure)?;
    // `hark sessions` reports damaged ones.
    Ok(found.into_iter().flatten().collect())
}

/// The promises that a session waits for, the longest wait first. This reads the whole session: the waiting threads are
/// recorded with the promise, the time of the wait in the history.
fn open_promises(store: &Store, summary: &Summary) -> Result<Vec<Open>, Failure> {
    if summary.record.state.is_over() {
        return Ok(Vec::new());
    }
    let session = store.outside(&summary.id)?;
    let everything = session.records().all().map_err(storage::failure)?;
    let known = threads_of(&everything.history, summary);
    let mut waits: BTreeMap<String, Vec<ThreadId>> = BTreeMap::new();
    for record in everything.records {
        match record {
            Record::Future(FutureId::Promise(name), future) if future.is_pending() => {
                let waiters = Waiters::of(&future).inline.into_iter().map(|waiter| waiter.thread);
                waits.entry(name.to_string()).or_default().extend(waiters);
            }
            Record::Wait { future: FutureId::Promise(name), waiter } => {
                waits.entry(name.to_string()).or_default().push(waiter.thread);
            }
            _ => {}
        }
    }
    // Omits promises that no thread waits for.
    let mut open: Vec<Open> = waits
        .into_iter()
        .filter(|(_, threads)| !threads.is_empty())
        .map(|(name, mut threads)| {
            threads.sort_unstable();
            threads.dedup();
            let waiters = threads.into_iter().map(|thread| {
                let (call, since) = known.get(&thread).cloned().unwrap_or_default();
                Waiting { thread, call, since }
            });
            let waiters: Vec<Waiting> = waiters.collect();
            let since = waiters.iter().filter_map(|waiting| waiting.since).min();
            Open {
                session: summary.id.clone(),
                key: summary.record.about.labels.given_key().map(str::to_owned),
                name,
                since,
                waiters,
            }
        })
        .collect();
    open.sort_by_key(|promise| promise.since);
    Ok(open)
}

/// For each thread, its call and when it last began to wait.
fn threads_of(history: &[LogEntry], summary: &Summary) -> HashMap<ThreadId, (String, Option<Timestamp>)> {
    let about = &summary.record.about;
    let mut known: HashMap<ThreadId, (String, Option<Timestamp>)> = HashMap::new();
    for entry in history {
        let (call, since) = known.entry(entry.thread).or_default();
        match &entry.event {
            Event::Started { function, parent, arguments } => {
                let own = about.arguments.join(", ");
                let arguments = if parent.is_none() { &own } else { arguments };
                let text = if arguments.is_empty() { function.clone() } else { format!("{function}({arguments})") };
                *call = columns::cut(&text, CALL_CHARACTERS_MAX);
            }
            Event::Waited { .. } | Event::Awaited { .. } | Event::Followed { .. } => *since = Some(entry.time),
            _ => {}
        }
    }
    known
}

/// A line per promise: the argument for `hark resolve`, how long it has been awaited, and the waiting threads.
fn drawn(open: &[Open], now: Timestamp, terminal: Option<usize>, style: Style) -> String {
    let id = |promise: &Open| {
        let session = match (&promise.key, terminal) {
            (Some(key), _) => key.as_str(),
            (None, Some(_)) => promise.session.as_str().get(..SHORT_ID).unwrap_or_default(),
            (None, None) => promise.session.as_str(),
        };
        escape::line(&format!("{session}/{}", promise.name)).into_owned()
    };
    let since = |promise: &Open| promise.since.map_or_else(|| "?".to_owned(), |since| shown_duration(since, now));
    let mut rows = vec![["FUTURE_ID".to_owned(), "OPEN FOR".to_owned(), "WAITED FOR BY".to_owned()]];
    rows.extend(open.iter().map(|promise| [id(promise), since(promise), shown_waiters(&promise.waiters)]));
    // The id is never cut, because it must be typed. One that takes most of the terminal has a line of its own.
    let id_columns_max = terminal.map_or(usize::MAX, |columns| columns / 2);
    let widest = |column: usize, most: usize| {
        rows.iter().map(|row| row[column].width()).filter(|width| *width <= most).max().unwrap_or(0)
    };
    let (id_columns, since_columns) = (widest(0, id_columns_max), widest(1, usize::MAX));
    let mut out = String::new();
    for (index, [id, since, waiters]) in rows.iter().enumerate() {
        let is_long = id.width() > id_columns;
        if is_long {
            out.push_str(id);
            out.push('\n');
        }
        let shown_id = columns::padded(if is_long { "" } else { id }, id_columns);
        let before = format!("{shown_id}  {}  ", columns::padded(since, since_columns));
        let rest = match terminal {
            Some(columns) => columns::cut(waiters, columns.saturating_sub(before.width())),
            None => waiters.clone(),
        };
        let line = format!("{before}{rest}");
        style.push(&mut out, if index == 0 { Paint::Dim } else { Paint::Plain }, line.trim_end());
        out.push('\n');
    }
    out
}

/// "thread 0 main, thread 3 approve("a") and 4 more"
fn shown_waiters(waiters: &[Waiting]) -> String {
    let name = |waiting: &Waiting| format!("thread {} {}", waiting.thread, waiting.call).trim_end().to_owned();
    let names: Vec<String> = waiters.iter().take(SHOWN_WAITERS_MAX).map(name).collect();
    let more = match waiters.len().saturating_sub(SHOWN_WAITERS_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    escape::line(&format!("{}{more}", names.join(", "))).into_owned()
}

fn write_promise<W: Write>(promise: &Open, json: &mut Json<W>) -> io::Result<()> {
    json.open('{')?;
    json.entry("future_id", &promise.future_id())?;
    json.entry("session", promise.session.as_str())?;
    json.entry_or_null("key", promise.key.as_deref())?;
    json.entry("promise", &promise.name)?;
    write_since(promise.since, json)?;
    json.key("waiters")?;
    json.open('[')?;
    for waiting in &promise.waiters {
        json.open('{')?;
        json.entry_of("thread", waiting.thread)?;
        json.entry("call", &waiting.call)?;
        write_since(waiting.since, json)?;
        json.close('}')?;
    }
    json.close(']')?;
    json.close('}')
}

fn write_since<W: Write>(since: Option<Timestamp>, json: &mut Json<W>) -> io::Result<()> {
    json.entry_or_null("since", since.map(|since| since.to_string()).as_deref())
}
