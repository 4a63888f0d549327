//! The conditions that must hold at the end.

use std::collections::{BTreeMap, BTreeSet};

use hark_machine::{Program, text_of};

use super::Act;
use super::universe::Universe;
use super::world::{Count, World};
use crate::history::{Event, LostOutput};
use crate::id::{FutureId, SessionId, ThreadId};
use crate::record::{FutureRecord, Key, Record, SessionState, Waiters};
use crate::report::{Report, Status, root_causes};
use crate::rows::RowRange;
use crate::step;

/// The prefixes that a program prints at the start of an operation that needs cleaning up, at its end, and after
/// cleaning up because its thread was cancelled. The name of the operation follows.
const BEGUN: &str = "in ";
const ENDED: &str = "out ";
const CLEANED: &str = "clean ";

/// The outcome of a session, without what may differ: times and thread numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its final state.
    pub state: SessionState,
    /// The value of its first thread, or its error.
    pub result: String,
    /// The output of each thread, sorted by content.
    pub printed: Vec<Vec<String>>,
    /// The unhandled errors.
    pub errors: Vec<String>,
    /// The foreign calls that were made, each once.
    pub calls: Vec<String>,
    /// The number of failed threads that are kept for a retry.
    pub broken: usize,
}

impl Universe {
    /// Compares the outcomes of all sessions with the expected one, and checks for leftovers.
    pub(super) fn check(&self, expected: Option<&Ended>) -> Result<(Ended, Count), String> {
        let mut world = self.world();
        if let Some(fault) = world.faults.first() {
            return Err(fault.clone());
        }
        let mut last = None;
        for id in world.sessions() {
            let ended = self.ended(&mut world, &id)?;
            if let Some(expected) = expected {
                self.compare(&ended, expected)?;
            }
            world.check_leftovers(&id, self.program())?;
            world.check_gates(&id)?;
            world.disk.check_parts(&id)?;
            world.check_history(&id)?;
            for report in world.reports.iter().filter(|report| report.session == id) {
                self.check_report(report, &ended)?;
            }
            last = Some(ended);
        }
        world.check_calls()?;
        last.map(|ended| (ended, world.count)).ok_or_else(|| "there is no session".to_owned())
    }

    fn ended(&self, world: &mut World, id: &SessionId) -> Result<Ended, String> {
        let program = self.program();
        let damaged = |error: crate::storage::StorageError| error.to_string();
        let state = world.disk.state(id).ok_or("there is no record of the session")?;
        let future = world.disk.read(id, &Key::Future(step::FIRST.into()), program).map_err(damaged)?;
        let result = match future.map(|future| future.record) {
            Some(Record::Future(_, FutureRecord::Resolved(value))) => text_of(&value, program.executable()),
            Some(Record::Future(_, FutureRecord::Failed(failure))) => format!("failed: {}", failure.error.message),
            _ => "nothing".to_owned(),
        };
        let scan = |range| world.disk.records(id, &range, program);
        let failures = scan(RowRange::Unawaited).map_err(damaged)?.into_iter().filter_map(|record| match record {
            Record::Unawaited(_, failure) => Some(*failure),
            _ => None,
        });
        let errors = root_causes(failures);
        let mut errors: Vec<String> =
            errors.iter().map(|error| format!("{}: {}", error.error.kind, error.error.message)).collect();
        errors.sort();
        let broken = scan(RowRange::Broken).map_err(damaged)?.len();
        let mut printed: BTreeMap<ThreadId, Vec<String>> = BTreeMap::new();
        let history = world.disk.history(id);
        let lost = LostOutput::of(&history);
        for (position, entry) in history {
            if lost.contains(position, &entry) {
                continue;
            }
            if let Event::Printed { text, .. } = entry.event {
                printed.entry(entry.thread).or_default().push(text);
            }
        }
        let mut printed: Vec<Vec<String>> = printed.into_values().collect();
        printed.sort();
        let calls: BTreeMap<String, &str> = world
            .calls
            .iter()
            // A call whose worker is lost before each attempt is never made.
            .filter(|made| made.id.session == *id && !made.what.starts_with("poison"))
            .map(|made| (made.id.to_string(), made.what.as_str()))
            .collect();
        let mut calls: Vec<String> = calls.into_values().map(str::to_owned).collect();
        calls.sort();
        Ok(Ended { state, result, printed, errors, calls, broken })
    }

    fn compare(&self, ended: &Ended, expected: &Ended) -> Result<(), String> {
        if ended == expected {
            return Ok(());
        }
        let acts = &self.scenario().acts;
        if ended.state == SessionState::Cancelled && (acts.contains(&Act::Cancel) || acts.contains(&Act::CancelNow)) {
            let mut left: Vec<&String> = expected.printed.iter().flatten().collect();
            for line in ended.printed.iter().flatten().filter(|line| !line.starts_with(CLEANED)) {
                match left.iter().position(|each| *each == line) {
                    Some(index) => drop(left.swap_remove(index)),
                    None => return Err(format!("{line:?} was printed too often")),
                }
            }
            // A session to be retried may have failed before.
            let may_fail = acts.contains(&Act::Retry);
            if let Some(error) = ended.errors.iter().find(|error| !may_fail && !expected.errors.contains(error)) {
                return Err(format!("it has an error of its own: {error}"));
            }
            let may_be_cut_off = acts.contains(&Act::CancelNow);
            return ended.printed.iter().try_for_each(|lines| check_cleaning(lines, may_be_cut_off));
        }
        Err(format!("it came to\n  {ended:?}\nand not to\n  {expected:?}"))
    }

    /// Checks that a report agrees with the outcome.
    fn check_report(&self, report: &Report, ended: &Ended) -> Result<(), String> {
        let executable = self.program().executable();
        let result = report.result.as_ref().map(|value| text_of(value, executable));
        let is_right = match report.status {
            Status::Finished => ended.state == SessionState::Finished && result.as_ref() == Some(&ended.result),
            Status::Broken => ended.state == SessionState::Broken || self.scenario().acts.contains(&Act::Retry),
            Status::Cancelled => ended.state == SessionState::Cancelled,
            Status::Running
            | Status::Suspended
            | Status::Cancelling
            | Status::Moving
            | Status::Moved
            | Status::Importing => false,
        };
        if is_right { Ok(()) } else { Err(format!("a report is wrong: {report:?}\nof {ended:?}")) }
    }
}

/// Checks that each operation that begins with [`BEGUN`] in a thread ends exactly once: normally or, if the thread is
/// cancelled, by cleaning up.
pub(super) fn check_cleaning(lines: &[String], may_be_cut_off: bool) -> Result<(), String> {
    for name in lines.iter().filter_map(|line| line.strip_prefix(BEGUN)) {
        let ends = [ENDED, CLEANED].map(|end| lines.iter().filter(|line| line.strip_prefix(end) == Some(name)).count());
        let is_right = match ends.iter().sum() {
            0 => may_be_cut_off,
            count => count == 1,
        };
        if !is_right {
            return Err(format!("{name:?} is not cleaned up once: {lines:?}"));
        }
    }
    Ok(())
}

impl World {
    /// Whether a session was ended at once, so that its threads did not stop by themselves.
    pub(super) fn was_cut_off(&self, id: &SessionId) -> bool {
        let record = self.disk.record(id).map(|(_, record)| record);
        record.is_some_and(|record| record.state == SessionState::Cancelled && record.threads.is_some())
    }

    fn check_leftovers(&self, id: &SessionId, program: &Program) -> Result<(), String> {
        let Some(kept) = self.disk.sessions.get(id) else { return Ok(()) };
        // The process that would remove them is dead, and a finished session is not taken over.
        let may_be_woken = self.is_lost(kept.server);
        // Waits of a removed thread are not cleaned up.
        let may_wait = self.was_cut_off(id);
        let may_live = may_wait && may_be_woken;
        // The process that was to wake the many waiters of a Future may be lost, while other Futures have let all of
        // them continue.
        let was_lost = self.count.deaths > 0;
        let is_done = |future: &FutureId| {
            let found = self.disk.read(id, &Key::Future(future.clone()), program).ok().flatten();
            matches!(found.map(|found| found.record), Some(Record::Future(_, record)) if !record.is_pending())
        };
        let is_left = |key: &&Key| match key {
            Key::Live(_) => !may_live,
            Key::Ready(_) | Key::Cancel(_) => !may_be_woken,
            // The process that was to cancel them may be lost, while they have ended by themselves.
            Key::Cascade(_) => !was_lost,
            Key::Wait { future, .. } | Key::Todo(future) => !(may_wait || was_lost && is_done(future)),
            _ => false,
        };
        let left: Vec<&Key> = kept.rows.keys().filter(is_left).collect();
        if !left.is_empty() {
            return Err(format!("records are left over: {left:?}"));
        }
        let futures = kept.rows.keys().filter(|key| matches!(key, Key::Future(_)) && !may_wait);
        for future in futures {
            let found = self.disk.read(id, future, program).map_err(|error| error.to_string())?;
            let Some(Record::Future(_, record)) = found.map(|found| found.record) else { continue };
            let waiters = Waiters::of(&record).inline;
            if !waiters.is_empty() {
                return Err(format!("threads that have stopped wait for {future:?}: {waiters:?}"));
            }
        }
        Ok(())
    }

    /// Checks that a finished session leaves nothing at the gates of limits and rates.
    fn check_gates(&self, id: &SessionId) -> Result<(), String> {
        // Where sessions have servers, a wrongly suspected one may write there after the end, and a thread may arrive
        // there while its session is being cancelled. The session is then not being served, so its entries do not block
        // others.
        let is_cancelled = || self.disk.record(id).is_some_and(|(_, record)| record.state == SessionState::Cancelled);
        if !self.disk.is_leased && (self.count.suspicions > 0 || is_cancelled()) {
            return Ok(());
        }
        let (id, area) = (id.as_str().as_bytes(), b'l');
        let is_left = |key: &&Vec<u8>| key.first() == Some(&area) && key.windows(id.len()).any(|part| part == id);
        let left: Vec<String> =
            self.disk.space.keys().filter(is_left).map(|key| key.escape_ascii().to_string()).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("it is left at gates: {left:?}")) }
    }

    /// Checks that every thread starts once and stops once, apart from retries, and that the attempts of a call are
    /// counted.
    fn check_history(&self, id: &SessionId) -> Result<(), String> {
        #[derive(Default)]
        struct Seen {
            started: u32,
            stopped: u32,
            retried: u32,
            attempt: u32,
        }
        let was_cut_off = self.was_cut_off(id);
        let mut cancelled = 0;
        let mut threads: BTreeMap<ThreadId, Seen> = BTreeMap::new();
        for (_, entry) in self.disk.history(id) {
            let seen = threads.entry(entry.thread).or_default();
            match entry.event {
                Event::Started { .. } => seen.started += 1,
                Event::Finished | Event::Broke { .. } | Event::StoppedWithSession => seen.stopped += 1,
                Event::Retried => seen.retried += 1,
                Event::Cancelled => cancelled += 1,
                Event::Returned { .. } | Event::Raised { .. } => {}
                Event::TakenOver { .. } if self.losses() == 0 => {
                    return Err(format!("thread {} was taken over although no process was lost", entry.thread));
                }
                Event::Called { attempt, .. } => {
                    if attempt != 1 && attempt != seen.attempt + 1 {
                        return Err(format!(
                            "try {attempt} of a call of thread {} follows {}",
                            entry.thread, seen.attempt
                        ));
                    }
                    seen.attempt = attempt;
                }
                Event::QueuedInPool { attempt, .. } if attempt != 1 && attempt != seen.attempt + 1 => {
                    return Err(format!("try {attempt} of a call waits for its pool after try {}", seen.attempt));
                }
                _ => {}
            }
        }
        if cancelled > 1 {
            return Err(format!("it was cancelled {cancelled} times"));
        }
        // Whoever takes that thread logs the retry.
        let was_retried = threads.values().any(|seen| seen.retried > 0);
        if was_retried && self.disk.record(id).is_some_and(|(_, record)| record.put_back.is_none()) {
            return Err("its record does not tell what the retry has put back".to_owned());
        }
        for (thread, seen) in threads {
            // The process that was to remove the threads may be lost.
            let is_left = was_cut_off && self.disk.row(id, &Key::Live(thread)).is_some();
            let has_stopped_once = seen.stopped + u32::from(is_left) == seen.retried + 1;
            if seen.started != 1 || !has_stopped_once {
                let Seen { started, stopped, retried, .. } = seen;
                return Err(format!("thread {thread} started {started}, stopped {stopped}, retried {retried} times"));
            }
        }
        Ok(())
    }

    /// How often a process was lost, or taken for lost.
    fn losses(&self) -> u64 {
        self.count.deaths + self.count.suspicions + self.count.lapses
    }

    /// Checks that no attempt of a call is made twice, that a call is always the same, and that it is only repeated if
    /// a process was lost.
    fn check_calls(&self) -> Result<(), String> {
        let mut tries = BTreeSet::new();
        let mut whats: BTreeMap<String, &str> = BTreeMap::new();
        for made in &self.calls {
            let id = made.id.to_string();
            if !tries.insert((id.clone(), made.attempt)) {
                return Err(format!("try {} of {id} was made twice", made.attempt));
            }
            if made.attempt > 1 && self.losses() == 0 && self.repaired.is_empty() {
                return Err(format!("{} was called again although no process was lost", made.what));
            }
            if *whats.entry(id.clone()).or_insert(&made.what) != made.what {
                return Err(format!("{id} is two calls: {} and {}", whats[&id], made.what));
            }
        }
        Ok(())
    }
}
