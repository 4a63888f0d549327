//! The log of a worker: a line when a session starts, resumes, is retried or ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hark_backends::System;
use hark_bytecode::Executable;
use hark_engine::{About, Journal, Milestone, Report, SessionId, Status, Storage, Surroundings, Timestamp};

use crate::commands::changed;
use crate::commands::kept::{shown_call, shown_duration};
use crate::output::{self, Stream};
use crate::project::Project;
use crate::render::{Paint, Style, escape};

/// The maximum number of characters of a call, and of an error's message, in a line.
const TEXT_CHARACTERS_MAX: usize = 200;

/// Logs to standard error, without waiting for the reader.
pub struct Log {
    /// The stream for the lines.
    pub messages: Arc<Stream>,
    /// Whether only failures are logged.
    pub quiet: bool,
    /// The programs of sessions that another process has left.
    pub programs: Programs,
}

impl Journal for Log {
    fn note(&self, session: &SessionId, about: &About, milestone: &Milestone<'_>) {
        let is_failure = matches!(milestone, Milestone::Ended(report) if report.status == Status::Broken);
        if is_failure || !self.quiet {
            let continues = matches!(milestone, Milestone::Resumed | Milestone::Retried);
            let change = continues.then(|| self.programs.change_of(about)).flatten();
            let text = line(System.now(), session, about, milestone, change.as_deref(), Style::for_stderr());
            self.messages.print(&output::told(&text));
        }
    }
}

/// Programs, to be compared with the files of the project as they are now.
pub struct Programs {
    project: Arc<Project>,
    storage: Arc<dyn Storage>,
    /// By hash, because many sessions may have the same program.
    known: Mutex<HashMap<String, Arc<Executable>>>,
}

impl Programs {
    /// The programs of a project's sessions in this storage.
    pub fn new(project: Arc<Project>, storage: Arc<dyn Storage>) -> Programs {
        Programs { project, storage, known: Mutex::default() }
    }

    /// A note if the files of a session's program have changed. A program that cannot be read is reported when it is run.
    fn change_of(&self, about: &About) -> Option<String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(&about.program) {
            let executable = self.storage.catalog()?.program(&about.program).ok()?;
            known.insert(about.program.clone(), Arc::new(executable));
        }
        let executable = known.get(&about.program)?.clone();
        drop(known);
        changed::note(&self.project, &executable)
    }
}

/// A line of the log: time, id, what happened to which call, how long it took, the error, and whether the program has changed.
fn line(
    now: Timestamp,
    session: &SessionId,
    about: &About,
    milestone: &Milestone<'_>,
    change: Option<&str>,
    style: Style,
) -> String {
    let call = escape::line(&shown_call(about, TEXT_CHARACTERS_MAX)).into_owned();
    let mut out = String::new();
    style.push(&mut out, Paint::Dim, &format!("{} ", seconds(now)));
    out.push_str(session.as_str());
    match milestone {
        Milestone::Started => out.push_str(&format!(" started {call}")),
        Milestone::Resumed => out.push_str(&format!(" resumed {call}")),
        Milestone::Retried => out.push_str(&format!(" retried {call}")),
        Milestone::Ended(report) => {
            let paint = if report.status == Status::Broken { Paint::Error } else { Paint::Plain };
            out.push(' ');
            style.push(&mut out, paint, &report.status.to_string());
            out.push_str(&format!(" {call} after {}", shown_duration(about.started, now)));
            out.push_str(&error_of(report));
        }
    }
    if let Some(change) = change {
        out.push_str(&format!("; {}", escape::line(change)));
    }
    out.push('\n');
    out
}

/// The first error of a broken session, and the number of further ones.
fn error_of(report: &Report) -> String {
    let Some(first) = report.errors.first() else { return String::new() };
    let error = &first.error;
    let message = error.message.lines().next().unwrap_or_default();
    let text = escape::cut(&format!("{}: {message}", error.kind), TEXT_CHARACTERS_MAX).into_owned();
    let more = match report.errors.len() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!(": {}{more}", escape::line(&text))
}

/// A time, to the second.
fn seconds(time: Timestamp) -> String {
    let text = time.to_string();
    text.split_once('.').map_or_else(|| text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

#[cfg(test)]
mod tests {
    use hark_engine::{SessionError, ThreadId};
    use hark_machine::Error;

    use super::*;

    #[test]
    fn lines_have_time_id_call_duration_and_error() {
        let id = SessionId::from_text("01a1fd87-1c18-745c-840f-1377ec20e767");
        let about = About {
            function: "order".to_owned(),
            arguments: vec!["\"a\"".to_owned(), "3".to_owned()],
            started: Timestamp(1_795_774_296_000_000),
            ..About::default()
        };
        let at = |milestone: &Milestone<'_>| {
            line(Timestamp(1_795_774_298_310_000), &id, &about, milestone, None, Style::PLAIN)
        };
        let before = "2026-11-27T10:11:38Z 01a1fd87-1c18-745c-840f-1377ec20e767";
        assert_eq!(at(&Milestone::Started), format!("{before} started order(\"a\", 3)\n"));
        assert_eq!(at(&Milestone::Resumed), format!("{before} resumed order(\"a\", 3)\n"));
        assert_eq!(at(&Milestone::Retried), format!("{before} retried order(\"a\", 3)\n"));
        let error = |thread| SessionError { thread: ThreadId(thread), error: Error::new("value", "no such\nthing") };
        let mut report = Report {
            session: id.clone(),
            status: Status::Finished,
            result: None,
            output: Vec::new(),
            errors: Vec::new(),
            cancelled: None,
            threads: 3,
            was_taken_over: false,
        };
        assert_eq!(at(&Milestone::Ended(&report)), format!("{before} finished order(\"a\", 3) after 2.31 s\n"));
        (report.status, report.errors) = (Status::Broken, vec![error(1)]);
        let broken = format!("{before} broken order(\"a\", 3) after 2.31 s: value: no such");
        assert_eq!(at(&Milestone::Ended(&report)), format!("{broken}\n"));
        report.errors.push(error(2));
        assert_eq!(at(&Milestone::Ended(&report)), format!("{broken}, and 1 more\n"));
    }
}
