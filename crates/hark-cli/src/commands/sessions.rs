//! `hark sessions`

use std::io::{self, Write};

use hark_backends::System;
use hark_engine::{Filter, Listed, SessionState, Summary, Surroundings, Timestamp};
use unicode_width::UnicodeWidthStr;

use super::FINISHED;
use super::kept::{Store, shown_duration, shown_state};
use crate::args::{Sessions, StateName};
use crate::failure::Failure;
use crate::output;
use crate::render::{Paint, Style, escape};
use crate::report::{self, Json};
use crate::storage;

/// The most characters of a function's name in the list.
const NAME_CHARACTERS_MAX: usize = 60;

/// The state of a session whose summary cannot be read.
const DAMAGED: &str = "damaged";

/// Lists sessions, the newest first. Those that are damaged are told one by one, and are in the exit status.
///
/// # Errors
/// If the storage cannot be read.
pub fn sessions(wanted: &Sessions) -> Result<u8, Failure> {
    let (found, place) = match Store::open_or_place(&wanted.kept.storage, &wanted.kept.config)? {
        Ok(store) => (list(&store, wanted)?, store.place),
        Err(place) => (Vec::new(), place),
    };
    if wanted.kept.json {
        report::write_list(|json| found.iter().try_for_each(|listed| write_listed(listed, json)))?;
    } else if wanted.quiet {
        let ids = found.iter().map(|listed| listed.as_ref().map_or_else(|damaged| &damaged.id, |summary| &summary.id));
        output::write_out(&ids.map(|id| format!("{id}\n")).collect::<String>())?;
    } else if found.is_empty() {
        output::write_out(&format!("no sessions in {}\n", place.file()))?;
    } else {
        output::write_out(&table(&found, Style::for_stdout()))?;
    }
    let mut status = FINISHED;
    for damaged in found.into_iter().filter_map(Result::err) {
        let failure = storage::failure(damaged.error);
        output::tell(&failure.drawn(Style::for_stderr()));
        status = failure.exit_status();
    }
    Ok(status)
}

fn list(store: &Store, wanted: &Sessions) -> Result<Vec<Listed>, Failure> {
    let state = wanted.state.map(kept_state);
    // What a session that is not over is doing is found out one by one, so that a limit can only be applied after that.
    let looks_closer = match wanted.state {
        Some(StateName::Running) => Some("running"),
        Some(StateName::Suspended) => Some("suspended"),
        Some(StateName::Cancelling) => Some("cancelling"),
        _ => None,
    };
    let limit = if looks_closer.is_some() { None } else { wanted.limit };
    let mut found = store.catalog()?.list(&Filter { state, limit, ..Filter::default() }).map_err(storage::failure)?;
    if let Some(name) = looks_closer {
        found.retain(|listed| listed.as_ref().map_or(true, |summary| shown_state(summary) == name));
    }
    found.truncate(wanted.limit.unwrap_or(usize::MAX));
    Ok(found)
}

fn kept_state(state: StateName) -> SessionState {
    match state {
        StateName::Running | StateName::Suspended | StateName::Cancelling => SessionState::Running,
        StateName::Finished => SessionState::Finished,
        StateName::Broken => SessionState::Broken,
        StateName::Cancelled => SessionState::Cancelled,
        StateName::Moving => SessionState::Moving,
        StateName::Moved => SessionState::Moved,
        StateName::Importing => SessionState::Importing,
    }
}

fn table(found: &[Listed], style: Style) -> String {
    let mut rows = vec![["ID", "FUNCTION", "STATE", "THREADS", "STARTED", "TOOK"].map(str::to_owned)];
    rows.extend(found.iter().map(|listed| {
        let summary = match listed {
            Ok(summary) => summary,
            Err(damaged) => {
                let id = escape::line(damaged.id.as_str());
                return [&*id, "?", DAMAGED, "?", "?", "?"].map(str::to_owned);
            }
        };
        let about = &summary.record.about;
        [
            summary.id.to_string(),
            shown_name(&about.function),
            shown_state(summary).to_owned(),
            summary.threads.to_string(),
            shown_time(about.started),
            shown_duration(about.started, end_of(summary)),
        ]
    }));
    let widths: Vec<usize> =
        (0..6).map(|column| rows.iter().map(|row| row[column].width()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell}{:1$}", "", width - cell.width()));
        let line = cells.collect::<Vec<_>>().join("  ");
        style.push(&mut out, if index == 0 { Paint::Dim } else { Paint::Plain }, line.trim_end());
        out.push('\n');
    }
    out
}

fn end_of(summary: &Summary) -> Timestamp {
    summary.record.ended.unwrap_or_else(|| System.now())
}

/// A function's name, which may be a stranger's: in one line, and not a very long one.
pub fn shown_name(name: &str) -> String {
    let name = match name.char_indices().nth(NAME_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    };
    escape::line(&name).into_owned()
}

/// To the second.
fn shown_time(time: Timestamp) -> String {
    let text = time.to_string();
    text.split_once('.').map_or(&*text, |(seconds, _)| seconds).replace('T', " ")
}

fn write_listed<W: Write>(listed: &Listed, json: &mut Json<W>) -> io::Result<()> {
    match listed {
        Ok(summary) => write_summary(summary, json),
        Err(damaged) => {
            json.open('{')?;
            json.entry("session", damaged.id.as_str())?;
            json.entry("state", DAMAGED)?;
            json.entry("error", &damaged.error.to_string())?;
            json.close('}')
        }
    }
}

fn write_summary<W: Write>(summary: &Summary, json: &mut Json<W>) -> io::Result<()> {
    json.open('{')?;
    json.entry("session", summary.id.as_str())?;
    write_summary_fields(summary, json)?;
    json.entry_of("threads", summary.threads)?;
    json.close('}')
}

/// Writes what a session is about and how far it is.
pub fn write_summary_fields<W: Write>(summary: &Summary, json: &mut Json<W>) -> io::Result<()> {
    let about = &summary.record.about;
    json.entry("function", &about.function)?;
    json.key("arguments")?;
    json.open('[')?;
    about.arguments.iter().try_for_each(|argument| json.string(argument))?;
    json.close(']')?;
    json.entry("file", &about.file)?;
    json.entry("state", shown_state(summary))?;
    json.entry("started", &about.started.to_string())?;
    match summary.record.ended {
        Some(ended) => json.entry("ended", &ended.to_string())?,
        None => json.entry_of("ended", "null")?,
    }
    json.entry_of("took", end_of(summary).since(about.started).as_secs_f64())
}
