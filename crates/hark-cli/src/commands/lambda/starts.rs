//! Events that start sessions.

use std::sync::Arc;

use hark_backends::System;
use hark_engine::outside::Outside;
use hark_engine::{About, Assignment, Keyed, Labels, SessionId, Start, Surroundings, check_key, key_of_request};
use hark_lambda::StartOfSession;
use hark_lambda::response::ANSWER_BYTES_MAX;
use hark_machine::Program;
use serde_json::{Value, json};

use super::{Function, config};
use crate::args::StorageName;
use crate::commands::kept::outside_failure;
use crate::commands::run::keyed;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::program::Compiled;
use crate::project;
use crate::render::Style;
use crate::report::{self, Json};
use crate::storage;
use crate::value;

/// A session that an event has started, now or at an earlier delivery.
pub(super) struct Begun {
    pub id: SessionId,
    pub program: Arc<Program>,
    /// Its first thread, if this process is to run it.
    pub first: Option<Assignment>,
}

impl Function {
    /// Starts a session, and runs as much of it as fits into this invocation. Returns the answer, which is JSON.
    pub(super) fn start(&self, start: StartOfSession, request: &str) -> Result<String, Failure> {
        if !start.waits {
            return self.leave(start, request);
        }
        let begun = self.begin_session(start, request)?;
        self.run_assigned(begun.first.as_slice())?;
        self.report(&begun.id)
    }

    /// Starts a session, and leaves it to other invocations.
    fn leave(&self, start: StartOfSession, request: &str) -> Result<String, Failure> {
        let is_named = start.key.is_some();
        let start = self.of_program(start, request)?;
        let own = start.about(System.now());
        let id = match self.engine.leave_keyed(start).map_err(storage::failure)? {
            Keyed::New(id) => id,
            Keyed::Known(id) => self.checked(id, &own, is_named)?,
        };
        Ok(json!({ "session": id.as_str() }).to_string())
    }

    /// Starts some sessions, whose keys are known, and runs as much of them as fits into this invocation.
    pub(super) fn start_all(&self, starts: Vec<StartOfSession>) -> Result<String, Failure> {
        let (mut begun, mut failed) = (Vec::new(), None);
        for start in starts {
            match self.begin_session(start, "") {
                Ok(session) => begun.push(session),
                Err(failure) => failed = Some(failure),
            }
        }
        let first: Vec<Assignment> = begun.iter().filter_map(|begun| begun.first.clone()).collect();
        self.run_assigned(&first)?;
        match failed {
            // Lambda sends the event again, and then only the remaining sessions are started.
            Some(failure) => Err(failure),
            None => {
                let ids: Vec<&str> = begun.iter().map(|begun| begun.id.as_str()).collect();
                Ok(json!({ "sessions": ids }).to_string())
            }
        }
    }

    /// Stores a new session, unless one has its key.
    pub(super) fn begin_session(&self, start: StartOfSession, request: &str) -> Result<Begun, Failure> {
        let is_named = start.key.is_some();
        let start = self.of_program(start, request)?;
        let (program, own) = (start.program.clone(), start.about(System.now()));
        Ok(match self.engine.begin_assigned(start).map_err(storage::failure)? {
            Keyed::New(first) => Begun { id: first.session.clone(), program, first: Some(first) },
            Keyed::Known(id) => Begun { id: self.checked(id, &own, is_named)?, program, first: None },
        })
    }

    /// The session that has the key of an event already, which must have been started with the same call if people know it by that key.
    /// Its program may be an earlier one: an event may be delivered again after a deployment.
    fn checked(&self, id: SessionId, own: &About, is_named: bool) -> Result<SessionId, Failure> {
        let catalog = self.storage.catalog().filter(|_| is_named);
        let record = catalog.map_or(Ok(None), |catalog| catalog.record(&id)).map_err(storage::failure)?;
        match record.and_then(|(_, known)| keyed::other_call(&known.about, own)) {
            Some(other) => Err(other.with_hint(format!("it is the session {id}; a new session needs a different key"))),
            None => Ok(id),
        }
    }

    /// A session of the package's program.
    fn of_program(&self, start: StartOfSession, request: &str) -> Result<Start, Failure> {
        self.lambda.set_hops(0);
        let StartOfSession { function, arguments, key, request: named, waits: _ } = start;
        for (name, given) in [("key", &key), ("request", &named)] {
            if let Some(Err(wrong)) = given.as_deref().map(check_key) {
                return Err(Failure::usage(format!("the event's `{name}` is wrong: {wrong}")));
            }
        }
        // If Lambda delivers an event again, it has the request id of the first delivery. If the sender repeats it, it
        // has a new one.
        let key = key.unwrap_or_else(|| key_of_request(named.as_deref().unwrap_or(request)));
        let labels = Labels { key: Some(key), ..Labels::default() };
        let program = self.program.clone().map_or_else(compile, Ok)?;
        let arguments = arguments.iter().map(|argument| value::from_json(argument));
        let Entry { callee, arguments } =
            Entry::with_values(program.executable(), &function, arguments.collect::<Result<_, _>>()?)?;
        Ok(Start { labels, ..Start::new(program, callee, arguments) })
    }

    /// The report of a session so far. Lambda passes on only some megabytes, and few JSON parsers accept deep nesting
    /// or values such as NaN. In these cases the answer contains only the session's status; the rest is in the table.
    fn report(&self, id: &SessionId) -> Result<String, Failure> {
        let outside = Outside::open(&*self.storage, &System, id).map_err(outside_failure)?;
        let report = outside.report(true).map_err(outside_failure)?;
        let mut json = Json::new(Vec::new());
        let written = json
            .open('{')
            .and_then(|()| report::write_report(&report, outside.program().executable(), &mut json))
            .and_then(|()| json.close('}'))
            .and_then(|()| json.finish());
        let text = written.map_err(Failure::Output)?;
        if text.len() <= ANSWER_BYTES_MAX
            && serde_json::from_slice::<Value>(&text).is_ok()
            && let Ok(text) = String::from_utf8(text)
        {
            return Ok(text);
        }
        let status = report.status.to_string();
        Ok(json!({ "session": id.as_str(), "status": status, "incomplete": true }).to_string())
    }
}

/// The failure that the program in the package is rejected. Who reads it does not see what the function prints.
fn rejected(compiled: &Compiled) -> Failure {
    let why = compiled.drawn(Style::PLAIN);
    Failure::usage(format!("the program in the function's package is rejected:\n{}", why.trim_end())).with_hint(
        "`hark check` finds this in the project, and `hark deploy` deploys what was mended; if it finds nothing, `hark_binary` in \
         hark.toml is another version of Hark",
    )
}

/// The program in the package, compiled.
///
/// # Errors
/// If it is rejected, or cannot be read.
pub(super) fn compile() -> Result<Arc<Program>, Failure> {
    let mut loaded = project::load(None, config().as_deref())?;
    let mut compiled = Compiled::for_storage(&mut loaded, Some(StorageName::Lambda));
    // For the function's log.
    compiled.tell(Style::for_stderr());
    let executable = compiled.executable.take().ok_or_else(|| rejected(&compiled))?;
    Program::new(executable).map(Arc::new).map_err(|error| Failure::usage(error.to_string()))
}
