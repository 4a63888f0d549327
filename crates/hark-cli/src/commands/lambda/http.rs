//! HTTP requests: the result of a session is the response.
//!
//! A client waits for seconds, and a session may take days. So the response is sent as soon as the first thread has its
//! result, or when no client would wait longer. The threads that run here continue after that, as in any invocation.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use hark_engine::{FutureRecord, Key, Record, SessionStorage, Versioned, step};
use hark_lambda::{StartOfSession, response};
use hark_machine::{Program, Value, is_too_long};
use serde_json::Value as Response;

use super::Function;
use super::reply::Reply;
use super::starts::Begun;
use crate::failure::Failure;
use crate::output;
use crate::report::{Json, write_value};
use crate::storage;

/// The maximum time that a client waits. The API gives up after 30 seconds, some of which may pass before the function
/// begins.
const RESPONSE_TIME_MAX: Duration = Duration::from_secs(25);

/// The pauses between two looks for a result, which become longer.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(800);

impl Function {
    /// Starts a session, runs as much of it as fits into this invocation, and responds meanwhile.
    pub(super) fn respond(
        &self,
        start: StartOfSession,
        request: &str,
        time_left: Duration,
        reply: &Reply<'_>,
    ) -> Result<(), Failure> {
        let until = Instant::now() + time_left.min(RESPONSE_TIME_MAX);
        let begun = self.begin_session(start, request)?;
        let records = self.storage.session(&begun.id, &begun.program).map_err(storage::failure)?;
        let client = Client { begun: &begun, records: &*records, until, reply };
        thread::scope(|scope| {
            let (running, at_rest) = mpsc::channel();
            let waiting = thread::Builder::new().name("client".to_owned());
            let waiting = waiting.spawn_scoped(scope, move || client.wait(&at_rest));
            let waiting = waiting.map_err(|error| Failure::system("cannot start a thread", &error))?;
            let ran = self.run_assigned(begun.first.as_slice());
            drop(running);
            let responded = waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            responded.and(ran)
        })
    }
}

/// A request that waits for its response.
struct Client<'a> {
    begun: &'a Begun,
    records: &'a dyn SessionStorage,
    until: Instant,
    reply: &'a Reply<'a>,
}

impl Client<'_> {
    /// Responds. The channel is closed when no thread of the session runs in this process any more.
    fn wait(&self, at_rest: &Receiver<()>) -> Result<(), Failure> {
        let (mut pause, mut runs_here) = (PAUSE_MIN, true);
        let response = loop {
            let left = self.until.saturating_duration_since(Instant::now());
            if runs_here && at_rest.recv_timeout(pause.min(left)) == Err(RecvTimeoutError::Disconnected) {
                (pause, runs_here) = (PAUSE_MIN, false);
            } else if !runs_here {
                thread::sleep(pause.min(left));
            }
            if let Some(response) = self.response()? {
                break response;
            }
            if left.is_zero() {
                break response::unfinished(self.begun.id.as_str());
            }
            pause = (pause * 2).min(PAUSE_MAX);
        };
        self.reply.give(&response.to_string()).map_err(storage::failure)
    }

    /// The response, if the first thread has its result, or the session is over without one.
    fn response(&self) -> Result<Option<Response>, Failure> {
        let mut found = Vec::new();
        let keys = [Key::Session, Key::Future(step::FIRST.into())];
        self.records.read(&keys, &mut found).map_err(storage::failure)?;
        let (result, session) = (found.pop().flatten(), found.pop().flatten());
        if let Some(Versioned { record: Record::Future(_, FutureRecord::Resolved(value)), .. }) = result {
            return self.response_of(&value).map(Some);
        }
        let has_failed = match (result, session) {
            (Some(Versioned { record: Record::Future(_, FutureRecord::Failed(_)), .. }), _) => true,
            (_, Some(Versioned { record: Record::Session(session), .. })) => session.state.is_over(),
            // The session was removed.
            _ => true,
        };
        Ok(has_failed.then(|| response::failed(self.begun.id.as_str())))
    }

    fn response_of(&self, value: &Value) -> Result<Response, Failure> {
        let response = if is_too_long(value) {
            // Its JSON would be cut.
            Err("it is too long".to_owned())
        } else {
            response::of_result(json_of(value, &self.begun.program)?.trim_end())
        };
        Ok(response.unwrap_or_else(|why| {
            output::tell(&format!("error: `on_http` of session {} has returned no response: {why}\n", self.begun.id));
            response::failed(self.begun.id.as_str())
        }))
    }
}

fn json_of(value: &Value, program: &Program) -> Result<String, Failure> {
    let mut json = Json::new(Vec::new());
    let written = write_value(value, program.executable(), &mut json).and_then(|()| json.finish());
    String::from_utf8(written.map_err(Failure::Output)?)
        .map_err(|error| Failure::usage(format!("the result is not UTF-8: {error}")))
}
