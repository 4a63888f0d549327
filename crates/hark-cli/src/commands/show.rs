//! `hark show`

mod tree;

use std::collections::BTreeMap;
use std::io::{self, Write};

use hark_backends::System;
use hark_engine::outside::Outside;
use hark_engine::step::FIRST;
use hark_engine::storage::Range;
use hark_engine::{
    Announcement, Awaiting, Event, FutureId, HistoryReader, Key, LogEntry, Place, Record, Report, SessionState,
    Summary, Surroundings, Tenure, ThreadId, ThreadStatus, Timestamp, WorkerKind,
};
use hark_machine::{Thread, TraceFrame};
use serde_json::value::RawValue;

use super::kept::{Store, outside_failure, shown_duration, shown_state};
use super::sessions::write_summary_fields;
use super::{FINISHED, changed, moving, unserved, values};
use crate::args::OfSession;
use crate::failure::Failure;
use crate::output;
use crate::render::{Lines, Paint, Style, columns, draw_errors, escape};
use crate::report::{self, Json};
use crate::storage::{self, Kept};

/// The width of the names before the values.
const FIELD_COLUMNS: usize = 9;

/// The maximum length of the arguments of a call that waits for a worker.
const ARGUMENTS_WAITING_MAX: usize = 80;

/// The state of a thread that failed with an error.
const BROKEN: &str = "broken";

/// The state of a thread that ended because it was cancelled.
const CANCELLED: &str = "cancelled";

/// What is known of a thread.
#[derive(Default)]
struct Shown {
    function: String,
    /// The function's arguments as text, shortened.
    arguments: String,
    /// The thread's result as text, shortened.
    value: Option<String>,
    /// Its last call.
    call: Option<Call>,
    parent: Option<ThreadId>,
    children: Vec<ThreadId>,
    /// "ready" (it can run, but has not begun or is not being served), "running", "waiting", "sleeping", "calling",
    /// "finished", "broken" or "cancelled".
    state: &'static str,
    /// Details about the state, such as what the thread waits for.
    detail: String,
    /// Where several processes run its session: the pool in which it runs, unless that is the default one.
    pool: Option<String>,
    /// The last progress reported by its call, as JSON.
    progress: Option<Box<str>>,
    /// The current position of the thread.
    place: Option<TraceFrame>,
}

/// A call of a Python function.
struct Call {
    function: String,
    /// As text, shortened.
    arguments: String,
    /// The number of the attempt.
    attempt: u32,
    /// When the attempt began, or began to wait for a worker of its pool.
    since: Timestamp,
    /// All Python processes were busy then, and the storage does not record when the call got one: it may still be waiting.
    may_wait: bool,
}

impl Call {
    /// The call, the attempt if it is not the first, and how long it has been running, if the session is being served.
    fn shown(&self, columns: usize, is_served: bool) -> String {
        let mut text = self.function.clone();
        if !self.arguments.is_empty() {
            text.push_str(&format!("({})", columns::cut(&self.arguments, columns)));
        }
        if self.attempt > 1 {
            text.push_str(&format!(", try {}", self.attempt));
        }
        if self.may_wait {
            text.push_str(", or waiting for a Python process");
        }
        if is_served {
            text.push_str(&format!(", for {}", shown_duration(self.since, System.now())));
        }
        text
    }
}

/// Shows a session in detail.
///
/// # Errors
/// If there is no such session, or it cannot be read.
pub fn show(wanted: &OfSession) -> Result<u8, Failure> {
    let store = Store::existing(&wanted.kept.storage, &wanted.kept.config)?;
    let summary = store.find(wanted.id.as_deref())?;
    let session = store.outside(&summary.id)?;
    let threads = threads_of(&session, &summary, &store.storage)?;
    let report = session.report(summary.is_served).map_err(outside_failure)?;
    let executable = session.program().executable();
    let lines = Lines::new(&executable.sources);
    if wanted.kept.json {
        report::write(|json| {
            report::write_report(&report, executable, json)?;
            report::write_no_diagnostics(json)?;
            write_summary_fields(&summary, json)?;
            write_threads(&threads, &lines, json)
        })?;
        return Ok(FINISHED);
    }
    let note = if summary.record.state.is_over() && summary.record.state != SessionState::Broken {
        None
    } else {
        changed::note(&store.project, executable)
    };
    let retry = match summary.record.state {
        SessionState::Broken => Some(store.place.command(&format!("retry {}", summary.id))),
        _ => None,
    };
    let pools = match summary.is_served {
        true => unserved::notes(&*store.storage, std::slice::from_ref(&summary.id), &store.place),
        false => Vec::new(),
    };
    let notes = Notes { note, pools, retry, moving: moving::note(&session) };
    output::write_out(&drawn(&summary, &threads, &report, &session, &lines, &notes))?;
    Ok(FINISHED)
}

/// Notes about a session beside its state.
struct Notes {
    /// Whether its program has changed.
    note: Option<String>,
    /// The pools that it needs and that no worker serves.
    pools: Vec<String>,
    /// That it is being moved.
    moving: Option<String>,
    /// The command that continues it, if it is broken.
    retry: Option<String>,
}

fn threads_of(session: &Outside<'_>, summary: &Summary, kept: &Kept) -> Result<BTreeMap<ThreadId, Shown>, Failure> {
    let are_functions = kept.is_run_by_functions();
    let (is_leased, announced) = match kept.tenure() {
        Tenure::Leases(leases) => (true, leases.announced_by_others().map_err(storage::failure)?),
        Tenure::Process | Tenure::Servers(_) => (false, None),
    };
    let is_served = |place: &Place| {
        let serves = |process: &Announcement| process.serves(&summary.id, place);
        summary.is_served && announced.as_ref().is_none_or(|processes| processes.iter().any(serves))
    };
    let mut threads: BTreeMap<ThreadId, Shown> = BTreeMap::new();
    let mut history = HistoryReader::new(session.records());
    while let Some(page) = history.page().map_err(storage::failure)? {
        page.into_iter().for_each(|entry| note(&mut threads, entry));
    }
    for record in session.records().scan(Range::Live(ThreadId(0)), usize::MAX).map_err(storage::failure)? {
        let Record::Live(number, _) = record else { continue };
        let mut found = Vec::new();
        session.records().read(&[Key::Live(number)], &mut found).map_err(storage::failure)?;
        let Some(Some(Record::Live(_, mut live))) = found.pop().map(|found| found.map(|found| found.record)) else {
            continue;
        };
        let thread = threads.entry(number).or_default();
        let calls = live.call.as_ref().map(|call| (call.foreign, call.attempt));
        let state = live.state.take();
        // The storage does not record which threads have a worker at this moment.
        let may_run = is_served(&live.demand.place) && state.as_ref().is_some_and(Thread::has_begun);
        (thread.state, thread.detail) = match &live.status {
            ThreadStatus::Runnable => (if may_run { "running" } else { "ready" }, String::new()),
            ThreadStatus::Waiting(awaited) => ("waiting", format!("for {}", FutureId::from(awaited))),
            ThreadStatus::Awaiting(awaiting) => ("waiting", waited_for(awaiting)),
            ThreadStatus::Following(awaited) => ("waiting", format!("at its end for {}", FutureId::from(awaited))),
            ThreadStatus::Sleeping(until) => ("sleeping", format!("until {until}")),
            ThreadStatus::Queued(request) => ("waiting", format!("for {}", request.gate)),
            ThreadStatus::Calling(_) if live.waits_for_pool => {
                ("waiting", waits_elsewhere(&WorkerKind::of(&live.demand.place, are_functions), thread.call.as_ref()))
            }
            ThreadStatus::Calling(_) => {
                if let Some(call) = &mut thread.call {
                    call.may_wait = live.call.as_ref().is_some_and(|pending| pending.is_queued);
                }
                ("calling", called(session, calls))
            }
        };

        // Between two attempts of a call the thread sleeps.
        if matches!(live.status, ThreadStatus::Calling(_) | ThreadStatus::Sleeping(_)) {
            thread.progress = live.progress.take();
        }
        thread.pool = live.demand.place.pool_name().filter(|_| is_leased && !are_functions).map(str::to_owned);
        if let Some(stops) = live.stops {
            let separator = if thread.detail.is_empty() { "" } else { ", " };
            thread.detail = format!("{}{separator}cancelled, until {stops} at most", thread.detail);
        }
        if let Some(state) = state {
            thread.place = state.stack(session.program(), number.0).0.pop();
        }
    }
    // Threads that were running when their session was ended.
    for thread in threads.values_mut().filter(|thread| thread.state.is_empty()) {
        thread.state = summary.record.state.name();
    }
    for thread in threads.values_mut().filter(|thread| thread.state != "calling") {
        thread.call = None;
    }
    // The first thread's value is shown as the session's result.
    let finished: Vec<ThreadId> =
        threads.iter().filter(|(_, thread)| thread.state == "finished").map(|(number, _)| *number).collect();
    for (number, value) in values::of_threads(session, &finished)? {
        threads.entry(number).or_default().value = Some(value);
    }
    if let Some(first) = threads.get_mut(&FIRST) {
        first.arguments = summary.record.about.arguments.join(", ");
    }
    note_children(&mut threads);
    Ok(threads)
}

/// Adds each thread to its parent's children. Records may be forged, so a missing parent, or one with a number that is
/// not smaller, is ignored; this guarantees trees.
fn note_children(threads: &mut BTreeMap<ThreadId, Shown>) {
    let started: Vec<(ThreadId, ThreadId)> =
        threads.iter().filter_map(|(number, thread)| Some((thread.parent?, *number))).collect();
    for (parent, child) in started {
        match threads.get_mut(&parent) {
            Some(thread) if parent < child => thread.children.push(child),
            _ => threads.entry(child).or_default().parent = None,
        }
    }
}

fn waited_for(awaiting: &Awaiting) -> String {
    match awaiting.deadline {
        Some(deadline) => format!("for {awaiting}, until {deadline}"),
        None => format!("for {awaiting}"),
    }
}

/// "for a worker of pool `gpu` to call infer(3), since 2026-11-28T08:00:00Z"
fn waits_elsewhere(worker: &WorkerKind, call: Option<&Call>) -> String {
    let call = call.map(|call| format!(" to call {}, since {}", call.shown(ARGUMENTS_WAITING_MAX, false), call.since));
    format!("for {worker}{}", call.unwrap_or_default())
}

fn called(session: &Outside<'_>, call: Option<(hark_bytecode::ForeignIndex, u32)>) -> String {
    let Some((foreign, attempt)) = call else { return String::new() };
    let foreign = session.program().executable().foreign.get(foreign.0 as usize);
    let name = foreign.map_or("?", |foreign| &foreign.name);
    if attempt > 1 { format!("{name}, try {attempt}") } else { name.to_owned() }
}

fn note(threads: &mut BTreeMap<ThreadId, Shown>, entry: LogEntry) {
    let thread = threads.entry(entry.thread).or_default();
    match entry.event {
        Event::Started { function, parent, arguments } => {
            (thread.function, thread.parent, thread.arguments) = (function, parent, arguments);
        }
        Event::Called { function, attempt, arguments } | Event::QueuedInPool { function, attempt, arguments, .. } => {
            thread.call = Some(Call { function, arguments, attempt, since: entry.time, may_wait: false });
        }
        Event::Finished => (thread.state, thread.detail) = ("finished", String::new()),
        Event::Broke { kind, message } => {
            let state = if kind == CANCELLED { CANCELLED } else { BROKEN };
            (thread.state, thread.detail) = (state, message);
        }
        _ => {}
    }
}

fn drawn(
    summary: &Summary,
    threads: &BTreeMap<ThreadId, Shown>,
    report: &Report,
    session: &Outside<'_>,
    lines: &Lines<'_>,
    notes: &Notes,
) -> String {
    let (style, columns) = (Style::for_stdout(), columns::of_stdout());
    let about = &summary.record.about;
    let mut out = String::new();
    let mut field = |name: &str, value: &str| {
        style.push(&mut out, Paint::Dim, &format!("{name:FIELD_COLUMNS$}"));
        out.push_str(&escape::line(value));
        out.push('\n');
    };
    let fitted = |text: &str| match columns {
        Some(columns) => columns::cut(text, columns.saturating_sub(FIELD_COLUMNS)),
        None => text.to_owned(),
    };
    field("session", summary.id.as_str());
    field("state", shown_state(summary));
    field("call", &fitted(&format!("{}({})", about.function, about.arguments.join(", "))));
    if let Some(key) = about.labels.given_key() {
        field("key", key);
    }
    let tags: Vec<String> = about.labels.tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !tags.is_empty() {
        field("tags", &fitted(&tags.join(" ")));
    }
    field("file", &about.file);
    if let Some(note) = &notes.note {
        field("note", note);
    }
    notes.pools.iter().chain(&notes.moving).for_each(|note| field("note", note));
    field("started", &about.started.to_string());
    if let Some(ended) = summary.record.ended {
        field("ended", &format!("{ended}, after {}", shown_duration(about.started, ended)));
    }
    if let Some(retry) = &notes.retry {
        field("next", &format!("`{retry}` continues from where it failed, with its original program"));
    }
    if let Some(result) = &report.result {
        field("result", &hark_machine::literal_text(result, session.program().executable()));
    }
    out.push('\n');
    tree::draw(threads, lines, summary.is_served, columns, style, &mut out);
    if !report.errors.is_empty() {
        out.push('\n');
        let executable = session.program().executable();
        draw_errors(report.errors.iter().map(|each| &each.error), executable, lines, style, &mut out);
    }
    out
}

fn write_threads<W: Write>(
    threads: &BTreeMap<ThreadId, Shown>,
    lines: &Lines<'_>,
    json: &mut Json<W>,
) -> io::Result<()> {
    json.key("threads")?;
    json.open('[')?;
    for (number, thread) in threads {
        json.open('{')?;
        json.entry_of("thread", number)?;
        match thread.parent {
            Some(parent) => json.entry_of("parent", parent)?,
            None => json.entry_of("parent", "null")?,
        }
        json.entry("function", &thread.function)?;
        json.entry("arguments", &thread.arguments)?;
        json.entry("state", thread.state)?;
        json.entry("detail", &thread.detail)?;
        json.entry_or_null("value", thread.value.as_deref())?;
        json.key("call")?;
        match &thread.call {
            Some(call) => {
                json.open('{')?;
                json.entry("function", &call.function)?;
                json.entry("arguments", &call.arguments)?;
                json.entry_of("attempt", call.attempt)?;
                json.entry("since", &call.since.to_string())?;
                json.entry_of("has_begun", if call.may_wait { "null" } else { "true" })?;
                json.close('}')?;
            }
            None => json.atom("null")?,
        }
        json.entry_or_null("pool", thread.pool.as_deref())?;
        // The record may be forged, so the JSON is validated.
        let progress = thread.progress.as_deref().filter(|json| serde_json::from_str::<&RawValue>(json).is_ok());
        json.entry_of("progress", progress.unwrap_or("null"))?;
        json.key("place")?;
        match &thread.place {
            Some(place) => {
                let location = lines.location(place.span.start);
                json.open('{')?;
                json.entry("function", &place.function)?;
                json.entry("file", location.file)?;
                json.entry_of("line", location.line)?;
                json.entry_of("column", location.column)?;
                json.close('}')?;
            }
            None => json.atom("null")?,
        }
        json.close('}')?;
    }
    json.close(']')
}

#[cfg(test)]
mod tests {
    use hark_bytecode::{Source, Sources};
    use hark_engine::Timestamp;

    use super::*;

    #[test]
    fn threads_make_trees_whatever_their_records_say() {
        let mut threads = BTreeMap::new();
        let started = [(0, None), (1, Some(0)), (2, Some(2)), (3, Some(4)), (4, Some(3)), (5, Some(99)), (6, Some(1))];
        for (number, parent) in started {
            let event = Event::Started {
                function: format!("f{number}"),
                parent: parent.map(ThreadId),
                arguments: String::new(),
            };
            note(&mut threads, LogEntry { time: Timestamp(0), thread: ThreadId(number), event });
            note(&mut threads, LogEntry { time: Timestamp(1), thread: ThreadId(number), event: Event::Finished });
        }
        note_children(&mut threads);
        let (mut out, sources) = (String::new(), Sources::from(Source::new("x.hk", "")));
        tree::draw(&threads, &Lines::new(&sources), false, None, Style::PLAIN, &mut out);
        let wanted =
            "thread 0 f0\n  thread 1 f1\n    thread 6 f6\nthread 2 f2\nthread 3 f3\n  thread 4 f4\nthread 5 f5\n";
        assert_eq!(out.replace(": finished", ""), wanted);
    }
}
