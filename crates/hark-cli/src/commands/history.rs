//! `hark stdout`, `hark events`

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use hark_engine::{LogEntry, SessionId, Timestamp};

use super::FINISHED;
use super::kept::Store;
use crate::args::{self, Events, Kept};
use crate::failure::Failure;
use crate::output;
use crate::render::{Paint, Style};
use crate::report::{self, Json};
use crate::storage;

/// How often a session that is followed is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(50);

/// Prints what a session printed: thread, time since the start, text.
///
/// # Errors
/// If there is no such session, or it cannot be read.
pub fn stdout(wanted: &args::Stdout) -> Result<u8, Failure> {
    let printed = |entries: Vec<LogEntry>| entries.into_iter().filter(LogEntry::is_printed).collect();
    show(&wanted.kept, wanted.id.as_deref(), wanted.follow, printed)
}

/// Prints what happened in a session.
///
/// # Errors
/// If there is no such session, or it cannot be read.
pub fn events(wanted: &Events) -> Result<u8, Failure> {
    let unified = wanted.unified || wanted.follow;
    let sorted = |mut entries: Vec<LogEntry>| {
        if !unified {
            entries.sort_by_key(|entry| entry.thread);
        }
        entries
    };
    show(&wanted.kept, wanted.id.as_deref(), wanted.follow, sorted)
}

fn show(
    kept: &Kept,
    id: Option<&str>,
    follow: bool,
    choose: impl Fn(Vec<LogEntry>) -> Vec<LogEntry>,
) -> Result<u8, Failure> {
    let store = Store::existing(&kept.storage, &kept.config)?;
    let summary = store.find(id)?;
    let started = summary.record.about.started;
    if kept.json {
        let mut read = Ok(());
        report::write_list(|json| {
            read = read_history(&store, &summary.id, follow, |entries| {
                write_json(&choose(entries), json).and_then(|()| json.flush()).map_err(Failure::Output)
            });
            Ok(())
        })?;
        read?;
    } else {
        let style = Style::for_stdout();
        read_history(&store, &summary.id, follow, |entries| {
            let lines: String = choose(entries).iter().map(|entry| line(entry, started, style)).collect();
            output::write_out(&lines)
        })?;
    }
    Ok(FINISHED)
}

/// Shows what there is, and what comes if that is wanted, until the session has ended.
fn read_history(
    store: &Store,
    id: &SessionId,
    follow: bool,
    mut show: impl FnMut(Vec<LogEntry>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let session = store.outside(id)?;
    let mut after = 0;
    loop {
        // Looked at before the history is read: what comes after that is seen in the next round.
        let is_over = !follow || is_over(store, id)?;
        let entries = session.records().history(after, usize::MAX).map_err(storage::failure)?;
        after = entries.last().map_or(after, |(position, _)| *position);
        show(entries.into_iter().map(|(_, entry)| entry).collect())?;
        if is_over {
            return Ok(());
        }
        thread::sleep(FOLLOW_INTERVAL);
    }
}

fn is_over(store: &Store, id: &SessionId) -> Result<bool, Failure> {
    let record = store.catalog()?.record(id).map_err(storage::failure)?;
    Ok(record.is_none_or(|record| record.state.is_over()))
}

fn line(entry: &LogEntry, started: Timestamp, style: Style) -> String {
    let offset = format!("+{:.6}", entry.time.since(started).as_secs_f64());
    let offset = style.paint(Paint::Dim, &format!("{offset:>14}"));
    format!("{:>6}  {offset}  {}\n", entry.thread.to_string(), entry.event)
}

fn write_json<W: Write>(entries: &[LogEntry], json: &mut Json<W>) -> io::Result<()> {
    for entry in entries {
        json.open('{')?;
        json.entry("time", &entry.time.to_string())?;
        json.entry_of("thread", entry.thread)?;
        match &entry.event {
            hark_engine::Event::Printed { text } => {
                json.entry("event", "printed")?;
                json.entry("text", text)?;
            }
            event => {
                json.entry("event", event.name())?;
                json.entry("text", &event.to_string())?;
            }
        }
        json.close('}')?;
    }
    Ok(())
}
