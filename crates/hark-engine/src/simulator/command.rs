//! The commands of a user on a session, each run to its end in a separate process.

use std::sync::Arc;

use super::pairs::{self, Script};
use super::storage::DiskStorage;
use super::universe::Universe;
use super::world::{Health, Number, Process};
use crate::id::SessionId;
use crate::import::{ExportedSession, ImportError, import};
use crate::options::Scope;
use crate::output::{Observer, OutputItem};
use crate::outside::{ExportError, Outside, OutsideError, prune};
use crate::place::Pools;
use crate::record::SessionState;
use crate::report::{Report, Status};
use crate::storage::{self, Storage, StorageError};
use crate::surroundings::Timestamp;

/// The message of a failed promise.
pub(super) const FAILED: &str = "no mail";

/// How often a server sweeps before it ends.
const LOOKS: u32 = 3;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "they are the commands of their names")]
pub enum Command {
    /// Stores a session for others to run.
    Start,
    Run,
    Worker,
    Resume,
    Retry,
    /// A retry that leaves the session to others.
    Reopen,
    /// Cancels the threads and leaves it to others to run them.
    Cancel,
    CancelNow,
    Resolve,
    Fail,
    Export,
    Import,
    Prune,
    Show,
}

/// The commands that are combined.
pub const COMMANDS: [Command; 12] = [
    Command::Run,
    Command::Worker,
    Command::Resume,
    Command::Retry,
    Command::Cancel,
    Command::CancelNow,
    Command::Resolve,
    Command::Fail,
    Command::Export,
    Command::Import,
    Command::Prune,
    Command::Show,
];

/// The result of a command if there is no session.
fn nothing_done(command: Command) -> &'static str {
    match command {
        Command::Show => "shown",
        Command::Resume => "served",
        _ => "none",
    }
}

impl Universe {
    /// Runs a command to its end, in a separate process that is interrupted as the script says. Returns its result.
    pub(super) fn command(&self, command: Command, script: Option<Script>) -> String {
        let number = self.new_number();
        {
            let mut world = self.world();
            // Where threads are leased, every process that runs threads serves all sessions.
            let serves = world.disk.is_leased
                && matches!(command, Command::Run | Command::Worker | Command::Resume | Command::Retry);
            world.processes.insert(number, Process { serves, ..Process::default() });
            if let Some(mut script) = script {
                script.begin(number);
                world.script = Some(script);
            }
        }
        let answer = self.carry_out(command, number);
        let mut world = self.world();
        let has_died = world.health(number) == Health::Dead;
        // The process has ended, which releases what it held.
        world.processes.remove(&number);
        match answer {
            _ if has_died => "died".to_owned(),
            Ok(answer) => answer.to_owned(),
            Err(error) => {
                world.faults.push(format!("{command:?}: {error}"));
                error
            }
        }
    }

    fn carry_out(&self, command: Command, number: Number) -> Result<&'static str, String> {
        let storage = &*DiskStorage::of(self.shared(), number);
        let surroundings = self.surroundings();
        match command {
            Command::Start => {
                let engine = self.add_engine(number);
                let left = engine.leave_to_others(self.start());
                self.remove_engine(number);
                return left.map(|_| "done").map_err(|error| error.to_string());
            }
            Command::Run => {
                let engine = self.add_engine(number);
                let begun = engine.submit(self.start(), |_| {});
                return begun.map_err(|error| error.to_string()).map(|_| self.serve(number, Scope::Own));
            }
            Command::Worker => {
                self.add_engine(number);
                return Ok(self.serve(number, Scope::All));
            }
            Command::Import => {
                let file = self.world().files.first().cloned();
                let file = file.unwrap_or_default();
                let read = ExportedSession::read(&file);
                return match read.and_then(|session| import(session, storage, &*surroundings)) {
                    Ok(_) => Ok("done"),
                    Err(ImportError::Exists { state, .. }) if state.is_in_transit() => Ok("busy"),
                    Err(ImportError::Exists { .. }) => Ok("exists"),
                    Err(error) => Err(error.to_string()),
                };
            }
            Command::Prune => {
                // Everything that has ended.
                return match prune(storage, &*surroundings, (Timestamp(u64::MAX), Timestamp(u64::MAX))) {
                    // The number of removed sessions depends on the progress of other processes.
                    Ok(_) => Ok("pruned"),
                    Err(error) => Err(error.to_string()),
                };
            }
            _ => {}
        }
        let Some(id) = self.newest() else { return Ok(nothing_done(command)) };
        if command == Command::Resume {
            return self.resume(&id, number);
        }
        let done = Outside::open(storage, &*surroundings, &id).and_then(|session| {
            let (promise, value) = pairs::value();
            match command {
                Command::Resolve => session.resolve(promise, value).map(|_| ())?,
                Command::Fail => session.fail(promise, FAILED).map(|_| ())?,
                Command::Cancel => session.cancel()?,
                Command::CancelNow => session.cancel_now()?,
                Command::Retry | Command::Reopen => {
                    if session.record().as_before_move().state == SessionState::Broken {
                        // The cause of the failure is repaired first.
                        self.world().repaired.insert(id.clone());
                    }
                    session.retry()?;
                }

                Command::Export => return self.export(&session, number),
                _ => return self.show(&session, storage, &id),
            }
            Ok("done")
        });
        match done {
            Ok(_) if command == Command::Retry => self.resume(&id, number),
            Ok(answer) => Ok(answer),
            Err(OutsideError::NoSession(_) | OutsideError::Storage(StorageError::Gone)) => Ok(nothing_done(command)),
            Err(OutsideError::AlreadyDone(_)) => Ok("already"),
            Err(OutsideError::Served) => Ok("busy"),
            Err(OutsideError::WrongState(state)) if state.is_in_transit() => Ok("busy"),
            Err(OutsideError::WrongState(_)) => Ok("refused"),
            Err(OutsideError::Storage(error)) => Err(error.to_string()),
        }
    }

    fn resume(&self, id: &SessionId, number: Number) -> Result<&'static str, String> {
        let engine = self.add_engine(number);
        let observer: Arc<dyn Observer> = Arc::new(|_: &[OutputItem]| {});
        let on_end: Arc<dyn Fn(Report) + Send + Sync> = Arc::new(|_| {});
        let resumed = engine.resume(Some(id), &observer, &on_end);
        resumed.map_err(|error| error.to_string()).map(|_| self.serve(number, Scope::Own))
    }

    /// Exports a session. The file can be imported only after the session is moved.
    fn export(&self, session: &Outside<'_>, number: Number) -> Result<&'static str, OutsideError> {
        let mut file = Vec::new();
        let exported = session.export(|bytes| {
            file = bytes.to_vec();
            self.interject(number);
            if self.world().health(number) != Health::Dead {
                self.world().exported.push(file.clone());
            }
            Ok::<(), ()>(())
        });
        match exported {
            Ok(()) => {
                self.world().files.push(file);
                Ok("done")
            }
            Err(ExportError::Refused(error)) => Err(error),
            Err(ExportError::Write(()) | ExportError::Changed) => Ok("changed"),
        }
    }

    /// Checks that a report is correct at any time. Whether the session is being served is not checked here.
    fn show(&self, session: &Outside<'_>, storage: &dyn Storage, id: &SessionId) -> Result<&'static str, OutsideError> {
        let served = storage.tenure().is_served_elsewhere(id, self.surroundings().steady_now())?;
        let report = session.report(served)?;
        let is_storage = |error: &crate::report::SessionError| &*error.error.kind == "storage";
        if report.errors.iter().any(is_storage) && storage::catalog_of(storage)?.record(id)?.is_some() {
            self.world().faults.push(format!("a report has a storage error: {report:?}"));
        }
        if report.status == Status::Finished && report.result.is_none() {
            self.world().faults.push(format!("a report says finished, without a result: {report:?}"));
        }
        // The result must not depend on when the report was made; that its status is valid was checked above.
        Ok("shown")
    }

    /// Serves until nothing happens any more, and then releases everything, as on Ctrl-C.
    fn serve(&self, number: Number, scope: Scope) -> &'static str {
        let mut idle = 0;
        while idle < LOOKS && self.world().health(number) != Health::Dead {
            if self.work(number) {
                idle = 0;
                continue;
            }
            let changes = self.world().disk.changes;
            self.attend(number, scope);
            let mut world = self.world();
            if let Some(due) = world.next_due(&Pools::All, world.now) {
                world.now = world.now.max(due);
            }
            idle = if world.disk.changes == changes { idle + 1 } else { 0 };
        }
        if let Some(engine) = self.remove_engine(number) {
            engine.cancel_handle().cancel();
            // A dead process cannot.
            let _ = engine.release();
        }
        "served"
    }

    /// Handles a hint or the result of a call. Returns whether there was one.
    fn work(&self, number: Number) -> bool {
        let (has_hints, is_calling) = match self.world().processes.get(&number) {
            Some(process) => (!process.hints.is_empty(), !process.under_way.is_empty()),
            None => (false, false),
        };
        if has_hints {
            self.carry_out_hint(number);
        } else if is_calling {
            self.carry_out_answer(number);
        }
        has_hints || is_calling
    }
}
