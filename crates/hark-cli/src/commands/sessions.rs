//! `hark sessions`

mod filter;
mod table;

use std::io::{self, Write};

use hark_backends::System;
use hark_engine::{Listed, Summary, Surroundings, Timestamp};

use super::FINISHED;
use super::kept::{Store, shown_state};
use crate::args::Sessions;
use crate::failure::Failure;
use crate::output;
use crate::render::{Style, columns, escape};
use crate::report::{self, Json};
use crate::storage;

/// The maximum number of characters of a function's name in the list.
const NAME_CHARACTERS_MAX: usize = 60;

/// The state of a session whose summary cannot be read.
const DAMAGED: &str = "damaged";

/// Lists sessions, newest first. Damaged ones are reported individually and make the exit status that of an error.
///
/// # Errors
/// If the storage cannot be read.
pub fn sessions(wanted: &Sessions) -> Result<u8, Failure> {
    let (found, place) = match Store::open_or_place(&wanted.kept.storage, &wanted.kept.config)? {
        Ok(store) => (filter::list(&store, wanted, System.now())?, store.place),
        Err(place) => (Vec::new(), place),
    };
    if wanted.kept.json {
        report::write_list(|json| found.iter().try_for_each(|listed| write_listed(listed, json)))?;
    } else if wanted.quiet {
        let ids = found.iter().map(|listed| listed.as_ref().map_or_else(|damaged| &damaged.id, |summary| &summary.id));
        output::write_out(&ids.map(|id| format!("{id}\n")).collect::<String>())?;
    } else if found.is_empty() {
        let such =
            if filter::asks_about(wanted) || wanted.state.is_some() || wanted.limit == Some(0) { "such " } else { "" };
        output::write_out(&format!("no {such}sessions in {}\n", place.store()))?;
    } else {
        output::write_out(&table::drawn(&found, columns::of_stdout(), Style::for_stdout()))?;
    }
    let mut status = FINISHED;
    for damaged in found.into_iter().filter_map(Result::err) {
        let failure = storage::failure(damaged.error);
        output::tell(&failure.drawn(Style::for_stderr()));
        status = failure.exit_status();
    }
    Ok(status)
}

fn end_of(summary: &Summary) -> Timestamp {
    summary.record.ended.unwrap_or_else(|| System.now())
}

/// A function's name, escaped and shortened, because it may be of any length and content.
pub fn shown_name(name: &str) -> String {
    let name = match name.char_indices().nth(NAME_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    };
    escape::line(&name).into_owned()
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

/// Writes a session's description and progress.
pub fn write_summary_fields<W: Write>(summary: &Summary, json: &mut Json<W>) -> io::Result<()> {
    let about = &summary.record.about;
    json.entry("function", &about.function)?;
    json.key("arguments")?;
    json.open('[')?;
    about.arguments.iter().try_for_each(|argument| json.string(argument))?;
    json.close(']')?;
    json.entry_or_null("key", about.labels.given_key())?;
    json.key("tags")?;
    json.open('{')?;
    about.labels.tags.iter().try_for_each(|(name, value)| json.entry(name, value))?;
    json.close('}')?;
    json.entry("file", &about.file)?;
    json.entry("state", shown_state(summary))?;
    json.entry("started", &about.started.to_string())?;
    match summary.record.ended {
        Some(ended) => json.entry("ended", &ended.to_string())?,
        None => json.entry_of("ended", "null")?,
    }
    json.entry_of("took", end_of(summary).since(about.started).as_secs_f64())
}
