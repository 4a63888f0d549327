//! `hark stdout`, `hark events`

mod json;

use std::collections::HashMap;

use hark_bytecode::Executable;
use hark_engine::outside::Outside;
use hark_engine::{Event, HistoryReader, LogEntry, SessionId, Summary, ThreadId, Timestamp};
use hark_machine::{Error, Value};

use super::kept::Store;
use super::pace::Pace;
use super::{FINISHED, values};
use crate::args::{self, Events, Kept};
use crate::failure::Failure;
use crate::output;
use crate::render::{Paint, Style, columns, escape};
use crate::report::{self, Json};
use crate::storage;

/// The minimal width of a text, however narrow the terminal.
const TEXT_COLUMNS_MIN: usize = 20;

/// The entries of a history to show, and their order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Only output, in the order in which it was recorded.
    Printed,
    /// All entries, in the order in which they were recorded.
    AsItComes,
    /// All entries, in order of time.
    ByTime,
    ByThread,
}

/// The output format.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Each line with its thread and time.
    Lines,
    /// Only the text, unchanged.
    Raw,
    Json,
}

impl Form {
    fn of(kept: &Kept) -> Form {
        if kept.json { Form::Json } else { Form::Lines }
    }
}

/// Prints the output of a session: thread, time since the start, text.
///
/// # Errors
/// If there is no such session, or it cannot be read.
pub fn stdout(wanted: &args::Stdout) -> Result<u8, Failure> {
    let form = if wanted.raw { Form::Raw } else { Form::of(&wanted.kept) };
    show(&wanted.kept, wanted.id.as_deref(), wanted.follow, Wanted::Printed, form)
}

/// Prints the history of a session.
///
/// # Errors
/// If there is no such session, or it cannot be read.
pub fn events(wanted: &Events) -> Result<u8, Failure> {
    let order = match (wanted.follow, wanted.unified) {
        (true, _) => Wanted::AsItComes,
        (false, true) => Wanted::ByTime,
        (false, false) => Wanted::ByThread,
    };
    show(&wanted.kept, wanted.id.as_deref(), wanted.follow, order, Form::of(&wanted.kept))
}

fn show(kept: &Kept, id: Option<&str>, follow: bool, wanted: Wanted, form: Form) -> Result<u8, Failure> {
    let store = Store::existing(&kept.storage, &kept.config)?;
    let summary = store.find(id)?;
    let started = summary.record.about.started;
    let read = |write: &mut Show<'_>| read_history(&store, &summary, follow, wanted, write);
    match form {
        // A list could not be parsed before its end, so a follower gets one object after the other.
        Form::Json if follow => read(&mut |entries, outcomes| {
            let mut out = Vec::new();
            for entry in entries {
                let mut json = Json::new(&mut out);
                json::write_entry(entry, &outcomes.of(entry), &mut json)
                    .and_then(|()| json.finish().map(drop))
                    .map_err(Failure::Output)?;
            }
            output::write_raw(&String::from_utf8_lossy(&out))
        })?,
        Form::Json => {
            let mut done = Ok(());
            report::write_list(|json| {
                let mut write = |entries: &[LogEntry], outcomes: &Outcomes<'_>| {
                    let write_entry = |entry: &LogEntry| json::write_entry(entry, &outcomes.of(entry), json);
                    entries.iter().try_for_each(write_entry).map_err(Failure::Output)
                };
                done = read(&mut write);
                Ok(())
            })?;
            done?;
        }
        Form::Raw => read(&mut |entries, _| {
            let printed = entries.iter().filter_map(|entry| match &entry.event {
                Event::Printed { text, .. } => Some(text.as_str()),
                _ => None,
            });
            output::write_raw(&printed.collect::<String>())
        })?,
        Form::Lines => {
            let lines = Lines { started, columns: columns::of_stdout(), style: Style::for_stdout() };
            read(&mut |entries, outcomes| {
                let mut out = String::new();
                entries.iter().for_each(|entry| lines.draw(entry, outcomes.of(entry).value, &mut out));
                output::write_out(&out)
            })?;
        }
    }
    Ok(FINISHED)
}

/// Shows entries.
type Show<'a> = dyn FnMut(&[LogEntry], &Outcomes<'_>) -> Result<(), Failure> + 'a;

/// The outcomes of the threads that end in some entries.
struct Outcomes<'a> {
    executable: &'a Executable,
    values: HashMap<ThreadId, String>,
    /// The errors, and when their threads broke last: only the error of the last time is kept.
    errors: HashMap<ThreadId, (Timestamp, Error)>,
}

impl<'a> Outcomes<'a> {
    fn read(session: &'a Outside<'_>, entries: &[LogEntry]) -> Result<Outcomes<'a>, Failure> {
        let finished = entries.iter().filter(|entry| entry.event == Event::Finished).map(|entry| entry.thread);
        let values = values::of_threads(session, &finished.collect::<Vec<ThreadId>>())?;
        let broke = entries.iter().filter(|entry| matches!(entry.event, Event::Broke { .. }));
        let last: HashMap<ThreadId, Timestamp> = broke.map(|entry| (entry.thread, entry.time)).collect();
        let errors = values::errors_of_threads(session, &last.keys().copied().collect::<Vec<ThreadId>>())?;
        let errors = errors.into_iter().map(|(thread, error)| (thread, (last[&thread], error))).collect();
        Ok(Outcomes { executable: session.program().executable(), values, errors })
    }

    fn of(&self, entry: &LogEntry) -> Outcome<'_> {
        // A thread that was retried may have broken anew since the entries were read.
        let is_same = |error: &Error| matches!(&entry.event, Event::Broke { kind, message } if **kind == *error.kind && **message == *error.message);
        let error = self.errors.get(&entry.thread).filter(|(last, error)| *last == entry.time && is_same(error));
        Outcome {
            value: self.values.get(&entry.thread),
            data: error.map(|(_, error)| &error.data),
            executable: self.executable,
        }
    }
}

/// The outcome of an entry that ends its thread, which is not in the history.
struct Outcome<'a> {
    value: Option<&'a String>,
    data: Option<&'a Value>,
    executable: &'a Executable,
}

/// Shows the recorded entries and, with `follow`, new ones until the session has ended.
fn read_history(
    store: &Store,
    summary: &Summary,
    follow: bool,
    wanted: Wanted,
    show: &mut Show<'_>,
) -> Result<(), Failure> {
    let (id, arguments) = (&summary.id, summary.record.about.arguments.join(", "));
    let session = store.outside(id)?;
    let mut history = HistoryReader::new(session.records());
    let mut entries: Vec<LogEntry> = Vec::new();
    let mut pace = Pace::of(&store.storage);
    loop {
        // Checked before the history is read: entries added after the check are read in the next round.
        let is_over = !follow || is_over(store, id)?;
        let mut has_found = false;
        while let Some(page) = history.page().map_err(storage::failure)? {
            has_found = true;
            let is_wanted = |entry: &LogEntry| wanted != Wanted::Printed || entry.is_printed();
            entries.extend(page.into_iter().filter(is_wanted).map(|entry| with_arguments(entry, &arguments)));
            if matches!(wanted, Wanted::Printed | Wanted::AsItComes) {
                show(&entries, &Outcomes::read(&session, &entries)?)?;
                entries.clear();
            }
        }
        if is_over {
            break;
        }
        store.storage.check_in_place().map_err(storage::failure)?;
        pace.wait(has_found);
    }
    match wanted {
        Wanted::Printed | Wanted::AsItComes => {}
        Wanted::ByTime => entries = by_time(entries),
        Wanted::ByThread => entries.sort_by_key(|entry| entry.thread),
    }
    show(&entries, &Outcomes::read(&session, &entries)?)
}

/// The arguments of the session's own function are stored only in its summary.
fn with_arguments(mut entry: LogEntry, of_session: &str) -> LogEntry {
    if let Event::Started { parent: None, arguments, .. } = &mut entry.event {
        of_session.clone_into(arguments);
    }
    entry
}

/// Entries are recorded thread by thread, a batch at a time. A thread's own entries keep their order, even if the clock
/// was set back meanwhile.
fn by_time(entries: Vec<LogEntry>) -> Vec<LogEntry> {
    let mut latest: HashMap<ThreadId, Timestamp> = HashMap::new();
    let mut timed: Vec<(Timestamp, LogEntry)> = entries
        .into_iter()
        .map(|entry| {
            let latest = latest.entry(entry.thread).or_insert(entry.time);
            *latest = entry.time.max(*latest);
            (*latest, entry)
        })
        .collect();
    timed.sort_by_key(|(time, _)| *time);
    timed.into_iter().map(|(_, entry)| entry).collect()
}

fn is_over(store: &Store, id: &SessionId) -> Result<bool, Failure> {
    let record = store.catalog()?.record(id).map_err(storage::failure)?;
    Ok(record.is_none_or(|(_, record)| record.state.is_over()))
}

/// How entries are drawn as lines.
struct Lines {
    /// When the session was started.
    started: Timestamp,
    /// The width of the terminal; None in a pipe, where lines are not cut.
    columns: Option<usize>,
    style: Style,
}

impl Lines {
    /// Draws an entry. Printed text is split into lines, so that no line can be mistaken for another entry, and is not
    /// cut.
    fn draw(&self, entry: &LogEntry, value: Option<&String>, out: &mut String) {
        let thread = format!("{:>6}", entry.thread.to_string());
        let offset = format!("+{:.6}", entry.time.since(self.started).as_secs_f64());
        let offset = format!("{offset:>14}");
        // The columns before the text, gaps included.
        let before = thread.len() + offset.len() + 4;
        let offset = self.style.paint(Paint::Dim, &offset);
        let mut draw_line = |line: &str| out.push_str(&format!("{thread}  {offset}  {line}\n"));
        match &entry.event {
            Event::Printed { text, .. } => {
                let text = text.strip_suffix('\n').unwrap_or(text);
                let lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
                lines.for_each(|line| draw_line(&escape::printed_line(line)));
            }
            event => {
                let text = match (event, value) {
                    (Event::Finished, Some(value)) => format!("finished with {value}"),
                    _ => event.to_string(),
                };
                let text = escape::line(&text);
                match self.columns {
                    Some(columns) => {
                        draw_line(&columns::cut(&text, columns.saturating_sub(before).max(TEXT_COLUMNS_MIN)))
                    }
                    None => draw_line(&text),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_orders_threads_and_each_thread_keeps_its_own_order() {
        let entry = |thread, time, text: &str| LogEntry {
            time: Timestamp(time),
            thread: ThreadId(thread),
            event: Event::Printed { text: text.to_owned(), attempt: None },
        };
        // The clock was set back while thread 0 ran.
        let written = vec![entry(0, 1, "a"), entry(0, 5, "d"), entry(0, 2, "e"), entry(1, 3, "b"), entry(1, 4, "c")];
        let texts = by_time(written).into_iter().filter_map(|entry| Some(entry.into_printed()?.text));
        assert_eq!(texts.collect::<String>(), "abcde");
    }
}
