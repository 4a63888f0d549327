//! `hark invoke`: starts a session of an instance on AWS Lambda, whose functions run it, and shows it as `hark run` shows one.
//!
//! One invocation starts the session and runs as much of it as fits. Meanwhile the command follows the session through
//! the table, so output is shown as it appears, and nothing depends on the invocation's answer.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use hark_backends::System;
use hark_backends::aws::InvocationError;
use hark_engine::outside::Outside;
use hark_engine::{Labels, Report, SessionId, Start, Surroundings, key_of_request, session_of};
use hark_machine::{Value, text_of};
use serde_json::{Value as Json, json};

use super::FINISHED;
use super::follow::{From, follow};
use super::kept::Store;
use super::pace::Pace;
use super::progress::{Progress, Watched};
use super::run::{self, keyed};
use super::under_way::UnderWay;
use crate::args::Invoke;
use crate::entry::{self, Entry};
use crate::failure::Failure;
use crate::instance::{Instance, invocation};
use crate::output;
use crate::place::quoted;
use crate::render::{Paint, Style};
use crate::report;
use crate::signals::Interruption;
use crate::storage;
use crate::value;

/// Starts a session, and shows it to its end.
///
/// # Errors
/// If it cannot be started, or standard output cannot be written to.
pub fn invoke(wanted: &Invoke) -> Result<u8, Failure> {
    let started = Instant::now();
    let call = Call::of(wanted)?;
    let under_way = UnderWay::watched("no session was started")?;
    invocation::check_size(&call.event)?;
    let store = Store::of_instance(wanted.instance.given(), &wanted.config)?;
    let (instance, aws) = store.storage.instance().ok_or_else(|| Failure::usage("no instance is named"))?;
    under_way.say(call.interrupted(&store));
    let sent = {
        let (instance, aws, event) = (instance.clone(), aws.clone(), call.event.clone());
        send(move || instance.invoke(&aws, &event))?
    };
    let mut invoked = Invoked { store: &store, instance, sent, call: &call };
    let Some(id) = invoked.session()? else {
        let message = "no session has been started, and the function does not say why";
        let logs = store.place.instance_command("logs");
        return Err(Failure::undone(message).with_hint(format!("`{logs}` shows what it has written")));
    };
    under_way.leave_to_others();
    call.check(&store, &id)?;
    if wanted.is_async {
        output::write_out(&if wanted.json { format!("{{\"session\": \"{id}\"}}\n") } else { format!("{id}\n") })?;
        return Ok(FINISHED);
    }
    let interruption = Interruption::default();
    interruption.watch(output::status::hide).map_err(|error| Failure::system("cannot watch for signals", &error))?;
    if wanted.json {
        let report = follow(&store, &id, From::Start, &interruption, |_| Ok(()), &mut |_| Ok(()))?;
        let session = store.outside(&id)?;
        report::write(|json| {
            report::write_report(&report, session.program().executable(), json)?;
            report::write_no_diagnostics(json)
        })?;
        return Ok(run::exit_status(&report, &interruption));
    }
    let report = show(wanted, &store, &id, &interruption)?;
    if !wanted.quiet {
        dim(&format!("-- {:.3} s", started.elapsed().as_secs_f64()));
    }
    Ok(run::exit_status(&report, &interruption))
}

/// Shows output as it comes, then the result or the errors.
fn show(wanted: &Invoke, store: &Store, id: &SessionId, interruption: &Interruption) -> Result<Report, Failure> {
    if !wanted.quiet {
        dim(&format!("session {id}"));
    }
    let mut progress = Progress::prepare(!wanted.quiet && !wanted.no_progress);
    let (shared, watched) = (store.storage.shared(), id.clone());
    progress.watch(move || {
        let session = Outside::open(&*shared, &System, &watched).ok()?;
        Some(Watched::kept(vec![session.into_records()], 1).run_by_functions())
    });
    let report = follow(store, id, From::Start, interruption, |_| Ok(()), &mut output::write_raw)?;
    drop(progress);
    let session = store.outside(id)?;
    let executable = session.program().executable();
    if let Some(result) = report.result.as_ref().filter(|result| !matches!(result, Value::Null)) {
        output::write_raw(&format!("{}\n", text_of(result, executable)))?;
    }
    run::tell_end(&report, executable, &*store.storage, &store.place, !wanted.quiet);
    Ok(report)
}

fn dim(text: &str) {
    output::tell(&format!("{}\n", Style::for_stderr().paint(Paint::Dim, text)));
}

/// The call that starts the session.
struct Call {
    function: String,
    arguments: Vec<Value>,
    /// The key under which the session can be found: the user's, or a hidden one.
    key: String,
    is_key_given: bool,
    event: Json,
}

impl Call {
    fn of(wanted: &Invoke) -> Result<Call, Failure> {
        let (arguments, listed) = match &wanted.call.json {
            Some(text) => {
                let text = value::text_of_option(text)?;
                (entry::listed_arguments(&text)?, in_event(&text)?)
            }
            None => {
                let arguments = entry::words(&wanted.call.words)?;
                let words = arguments.iter().map(|word| word.as_str().unwrap_or_default());
                let listed = words.map(Json::from).collect();
                (arguments, listed)
            }
        };
        // If the event is sent again, only its first delivery starts a session.
        let request = format!("{:016x}{:016x}", System.random(), System.random());
        let event = json!({
            "function": wanted.call.function,
            "args": listed,
            "key": wanted.key,
            "request": request,
            "wait": !wanted.is_async,
        });
        Ok(Call {
            function: wanted.call.function.clone(),
            arguments,
            is_key_given: wanted.key.is_some(),
            key: wanted.key.clone().unwrap_or_else(|| key_of_request(&request)),
            event,
        })
    }

    /// The message if a signal ends the command while the invocation is under way.
    fn interrupted(&self, store: &Store) -> String {
        let find = match self.is_key_given {
            true => format!("show {}", quoted(&self.key)),
            false => "sessions --since 5m".to_owned(),
        };
        let find = store.place.command(&find);
        format!(
            "the invocation has been sent: it may have started the session, or start it yet; `{find}` shows whether it has"
        )
    }

    /// Checks that a session under a key that the user gave was started by the same call.
    fn check(&self, store: &Store, id: &SessionId) -> Result<(), Failure> {
        if !self.is_key_given {
            return Ok(());
        }
        let session = store.outside(id)?;
        let program = session.program().clone();
        let Entry { callee, arguments } =
            Entry::with_values(program.executable(), &self.function, self.arguments.clone())?;
        let labels = Labels { key: Some(self.key.clone()), ..Labels::default() };
        let own = Start { labels, ..Start::new(program, callee, arguments) }.about(System.now());
        keyed::check(&*store.storage, &own, id, &store.place)
    }
}

/// A list of arguments for an event. Events are JSON, whose numbers most programs read as floats.
fn in_event(text: &str) -> Result<Json, Failure> {
    let read = serde_json::from_str::<Json>(text.trim());
    let is_same = |read: &Json| value::from_json(&read.to_string()).ok() == value::from_json(text).ok();
    read.ok().filter(is_same).ok_or_else(|| {
        Failure::usage("an argument contains a number that cannot be passed to an AWS Lambda invocation")
            .with_hint("NaN, the infinities and integers of more than 64 bits can be passed as strings")
    })
}

/// The outcome of an invocation.
type Answer = Result<Json, InvocationError>;

/// Invokes in another OS thread, which ends with the process if nobody needs the answer any more.
fn send(invoke: impl FnOnce() -> Answer + Send + 'static) -> Result<Receiver<Answer>, Failure> {
    let (tell, told) = mpsc::channel();
    let invoke = move || {
        // The receiver is gone if the session is known already.
        let _ = tell.send(invoke());
    };
    let started = thread::Builder::new().name("invocation".to_owned()).spawn(invoke);
    started.map_err(|error| Failure::system("cannot start a thread", &error))?;
    Ok(told)
}

/// An invocation under way.
struct Invoked<'a> {
    store: &'a Store,
    instance: &'a Arc<Instance>,
    sent: Receiver<Answer>,
    call: &'a Call,
}

impl Invoked<'_> {
    /// The session that it has started, as soon as it is known: from the table, or from the answer.
    fn session(&mut self) -> Result<Option<SessionId>, Failure> {
        let mut pace = Pace::of(&self.store.storage);
        loop {
            match self.sent.recv_timeout(pace.next(false)) {
                Ok(answer) => return self.answered(answer),
                Err(RecvTimeoutError::Timeout) => {}
                // The panic hook has reported a panic.
                Err(RecvTimeoutError::Disconnected) => return self.in_table(),
            }
            if let Some(id) = self.in_table()? {
                return Ok(Some(id));
            }
        }
    }

    fn answered(&self, answer: Answer) -> Result<Option<SessionId>, Failure> {
        let error = match answer {
            Ok(answer) => match answer["session"].as_str() {
                Some(id) => return Ok(Some(SessionId::from_text(id))),
                None => return self.in_table(),
            },
            Err(error) => error,
        };
        // The invocation may have begun the session before it failed; then others continue it.
        let is_refused = matches!(&error, InvocationError::Function { kind, .. } if kind == invocation::REFUSED);
        // A refused event began no session. But if its key already has one, that session says more.
        let may_be_there = !is_refused || self.call.is_key_given;
        let begun = if may_be_there { self.in_table().unwrap_or_default() } else { None };
        let Some(id) = begun else { return Err(invocation::failure(error, self.instance, &self.store.place)) };
        // The session may also have ended, with a report that is too long for an answer.
        let record = self.store.catalog()?.record(&id).map_err(storage::failure)?;
        if !is_refused && !record.is_some_and(|(_, record)| record.state.is_over()) {
            output::tell(&format!("{error}; the recovery continues the session within two minutes\n"));
        }
        Ok(Some(id))
    }

    fn in_table(&self) -> Result<Option<SessionId>, Failure> {
        let Some(id) = session_of(self.store.storage.space(), &self.call.key).map_err(storage::failure)? else {
            return Ok(None);
        };
        // The key is written before the session.
        let record = self.store.catalog()?.record(&id).map_err(storage::failure)?;
        Ok(record.map(|_| id))
    }
}
