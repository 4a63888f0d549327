//! Two concurrent commands on one session: the first is paused or killed at each of its requests, while the second
//! runs. The outcome must be that of running them one after the other.
//!
//! A paused command continues when the other one has ended. Both results count, as well as the final session. The
//! second one may also be refused because the session is busy, and must then have no effect. The result of a killed
//! command is unknown: it may have happened or not, but not partially.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hark_machine::{Program, Value, text_of};

use super::check::check_cleaning;
use super::command::Command;
use super::universe::Universe;
use super::world::{Disturbances, Number, World};
use super::{Scenario, Shared};
use crate::history::Event;
use crate::id::{SessionId, ThreadId};
use crate::record::{FutureRecord, Key, Record, SessionState};
use crate::rows::RowRange;
use crate::step;

/// The promise that the program waits for.
const PROMISE: &str = "p/1";

/// The state of the session when the two commands begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setup {
    /// There is no session, but a file of a waiting one.
    Nothing,
    /// It was started, but has not run.
    Started,
    /// It waits for a promise, and is not being served.
    Waiting,
    /// Its promise has a value, but it has not continued.
    Resolved,
    /// Several of its threads have failed.
    Broken,
    /// It has finished.
    Finished,
    /// It waits, and was moved away.
    Moved,
}

/// All setups.
pub const SETUPS: [Setup; 7] =
    [Setup::Nothing, Setup::Started, Setup::Waiting, Setup::Resolved, Setup::Broken, Setup::Finished, Setup::Moved];

/// The interruption of a command at one of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interruption {
    Pause,
    Kill,
}

/// The second command, and when it runs.
pub(super) struct Script {
    /// The interrupted process, once it has begun.
    process: Option<Number>,
    /// The number of the pause at which it is interrupted.
    at: u64,
    passed: u64,
    interruption: Interruption,
    then: Command,
}

impl Script {
    /// Sets the interrupted process, if it is not set.
    pub fn begin(&mut self, number: Number) {
        self.process.get_or_insert(number);
    }

    /// Whether the process has reached the point of the interruption.
    pub fn is_due(&mut self, number: Number) -> bool {
        if self.process != Some(number) {
            return false;
        }
        self.passed += 1;
        self.passed == self.at
    }
}

/// The outcome of a session, as far as it must not depend on the timing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Outcome {
    state: Option<&'static str>,
    promise: String,
    result: String,
    printed: Vec<String>,
    errors: Vec<String>,
    live: usize,
    broken: usize,
    /// The session in the storage to which it was moved.
    elsewhere: Option<Box<Outcome>>,
}

/// The results of the two commands, and the outcome.
type Observed = (String, String, Outcome);

/// The allowed outcomes of a pair.
struct Allowed {
    first: Command,
    second: Command,
    in_order: Vec<Observed>,
    first_alone: Observed,
    second_alone: Observed,
}

/// Two concurrent commands.
#[derive(Debug, Clone, Copy)]
pub struct Meeting {
    /// The initial state of the session.
    pub setup: Setup,
    /// The interrupted command.
    pub first: Command,
    /// The command that runs during the interruption.
    pub second: Command,
    /// Whether threads are leased, and sessions have no servers.
    pub is_leased: bool,
}

/// Tries two concurrent commands with all interruptions at every `stride`-th request. Returns the number of tried
/// interruptions.
///
/// # Errors
/// The fault, and how it came about.
pub fn check_pair(scenario: &Scenario, meeting: Meeting, stride: u64) -> Result<u64, String> {
    let Meeting { setup, first, second, is_leased } = meeting;
    let pair = Pair { scenario, meeting };
    let mut in_order = vec![pair.one_by_one(&[first, second])?, pair.turned(pair.one_by_one(&[second, first])?)];
    if first == Command::Retry {
        // A retry consists of two commands: after reopening the session, it serves it like any other process.
        let (_, second, outcome) = pair.one_by_one(&[Command::Reopen, second, Command::Resume])?;
        in_order.push(("served".to_owned(), second, outcome));
    }
    let allowed = Allowed {
        first,
        second,
        in_order,
        first_alone: pair.one_by_one(&[first])?,
        second_alone: pair.turned(pair.one_by_one(&[second])?),
    };
    let mut ways = 0;
    for interruption in [Interruption::Pause, Interruption::Kill] {
        let mut at = 1;
        while let Some(observed) = pair.interrupted(interruption, at)? {
            allowed.check(interruption, &observed).map_err(|error| {
                let how = if is_leased { ", leased" } else { "" };
                format!("{setup:?}{how}: {first:?}, at its request {at} {interruption:?}, and {second:?}: {error}")
            })?;
            ways += 1;
            at += stride;
        }
    }
    Ok(ways)
}

struct Pair<'a> {
    scenario: &'a Scenario,
    meeting: Meeting,
}

impl Pair<'_> {
    fn universe(&self) -> Result<Shared, String> {
        let disturbances = Disturbances { is_by_thread: self.meeting.is_leased, ..Disturbances::none() };
        let universe = Universe::new(self.scenario, 1, disturbances, false);
        universe.prepare(self.meeting.setup)?;
        Ok(universe)
    }

    /// Swaps the results of commands that were run in the other order.
    fn turned(&self, (second, first, outcome): Observed) -> Observed {
        (first, second, outcome)
    }

    fn one_by_one(&self, commands: &[Command]) -> Result<Observed, String> {
        let universe = self.universe()?;
        let answers: Vec<String> = commands.iter().map(|command| universe.command(*command, None)).collect();
        let outcome = universe.observe();
        universe.close();
        let answer = |index: usize| answers.get(index).cloned().unwrap_or_default();
        Ok((answer(0), answer(1), outcome.map_err(|error| format!("{:?}: {commands:?}: {error}", self.meeting))?))
    }

    /// None if the first command ends before it is interrupted.
    fn interrupted(&self, interruption: Interruption, at: u64) -> Result<Option<Observed>, String> {
        let universe = self.universe()?;
        let script = Script { process: None, at, passed: 0, interruption, then: self.meeting.second };
        let first = universe.command(self.meeting.first, Some(script));
        let second = universe.world().interjected.take();
        let observed = match second {
            None => Ok(None),
            Some(second) => universe
                .observe()
                .map(|outcome| Some((first, second, outcome)))
                .map_err(|error| format!("{:?}, at its request {at} {interruption:?}: {error}", self.meeting)),
        };
        universe.close();
        observed
    }
}

impl Allowed {
    fn check(&self, interruption: Interruption, observed: &Observed) -> Result<(), String> {
        let (first, second, outcome) = observed;
        // Two concurrent retries help each other.
        let is_same = |one: &str, other: &str| {
            let helps = self.first == self.second && self.first == Command::Retry;
            one == other || helps && matches!((one, other), ("served", "refused") | ("refused", "served"))
        };
        let is_seen = |(_, answer, came_to): &Observed| is_same(answer, second) && came_to == outcome;
        // A removal spares a session that has changed since it was checked.
        let removes_nothing = self.first == Command::Prune && is_seen(&self.second_alone);
        let has_nothing_to_do = matches!(&**second, "busy" | "pruned" | "served" | "shown");
        let is_alone = has_nothing_to_do && *outcome == self.first_alone.2;
        let is_right = match interruption {
            Interruption::Pause => {
                removes_nothing
                    || is_alone && *first == self.first_alone.0
                    || self.in_order.iter().any(|allowed| is_same(&allowed.0, first) && is_seen(allowed))
            }
            Interruption::Kill => {
                is_alone || is_seen(&self.second_alone) || self.in_order.iter().any(is_seen)
                    // A moved session is still in the file.
                    || self.first == Command::Import && outcome.state.is_none()
            }
        };
        if is_right { Ok(()) } else { Err(format!("it came to\n  {observed:?}\nand not to one of\n{self}")) }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.in_order.iter().try_for_each(|observed| writeln!(formatter, "  {observed:?}"))?;
        write!(formatter, "or alone\n  {:?}\n  {:?}", self.first_alone, self.second_alone)
    }
}

impl Universe {
    /// Interrupts a process, if it has reached that point.
    pub(super) fn interject(&self, number: Number) {
        let script = {
            let mut world = self.world();
            let is_due = world.script.as_mut().is_some_and(|script| script.is_due(number));
            if is_due { world.script.take() } else { None }
        };
        let Some(script) = script else { return };
        if script.interruption == Interruption::Kill {
            let lost = self.world().kill(number);
            drop(lost);
        }
        let answer = self.command(script.then, None);
        self.world().interjected = Some(answer);
    }

    fn prepare(&self, setup: Setup) -> Result<(), String> {
        use Command::{Export, Import, Prune, Resolve, Retry, Start, Worker};
        // Each session was exported and imported before.
        let steps: &[Command] = match setup {
            Setup::Nothing => &[Start, Worker, Export, Prune],
            Setup::Started => &[Start, Export, Import],
            Setup::Waiting => &[Start, Worker, Export, Import],
            Setup::Resolved => &[Start, Worker, Export, Import, Resolve],
            Setup::Broken => &[Start, Worker, Export, Import, Resolve, Worker],
            Setup::Finished => &[Start, Worker, Export, Import, Resolve, Worker, Retry],
            Setup::Moved => &[Start, Worker, Export],
        };
        for step in steps {
            self.command(*step, None);
        }
        let mut world = self.world();
        world.exported.clear();
        if let Some(fault) = world.faults.first() {
            return Err(format!("{setup:?}: {fault}"));
        }
        Ok(())
    }

    /// The outcome after a worker has completed the remaining work. Also checks that the session can continue.
    fn observe(&self) -> Result<Outcome, String> {
        self.command(Command::Worker, None);
        let mut outcome = self.outcome()?;
        let moved = self.world().exported.pop();
        if outcome.state == Some("moved")
            && let Some(file) = moved
        {
            let elsewhere = Universe::new(self.scenario(), 2, self.world().disturbances, false);
            elsewhere.world().files.push(file);
            elsewhere.world().repaired = self.world().repaired.clone();
            let imported = elsewhere.command(Command::Import, None);
            let observed = elsewhere.observe();
            elsewhere.close();
            if imported != "done" {
                return Err(format!("the file cannot be imported: {imported}"));
            }
            outcome.elsewhere = Some(Box::new(observed?));
        }
        self.check_goes_on(&outcome)?;
        let world = self.world();
        match world.faults.first() {
            Some(fault) => Err(fault.clone()),
            None => Ok(outcome),
        }
    }

    fn outcome(&self) -> Result<Outcome, String> {
        let (program, mut world) = (self.program().clone(), self.world());
        let mut outcome = Outcome {
            state: None,
            promise: String::new(),
            result: String::new(),
            printed: Vec::new(),
            errors: Vec::new(),
            live: 0,
            broken: 0,
            elsewhere: None,
        };
        let Some(id) = world.sessions().pop() else { return Ok(outcome) };
        let damaged = |error: crate::storage::StorageError| error.to_string();
        let state = world.disk.state(&id).ok_or("a session has no record")?;
        outcome.state = Some(state.name());
        if state.is_in_transit() {
            return Err(format!("it was left {}", state.name()));
        }
        let future = |record: Option<crate::record::Versioned>| match record.map(|record| record.record) {
            Some(Record::Future(_, FutureRecord::Resolved(value))) => text_of(&value, program.executable()),
            Some(Record::Future(_, FutureRecord::Failed(failure))) => failure.error.message.to_string(),
            _ => "pending".to_owned(),
        };
        let read = |world: &super::world::World, key| world.disk.read(&id, &key, &program).map_err(damaged);
        outcome.promise = future(read(&world, Key::Future(promise()))?);
        if state == SessionState::Cancelled && !world.was_cut_off(&id) {
            world.check_cleaned_up(&id, &program)?;
        }
        if matches!(state, SessionState::Cancelled | SessionState::Moved) {
            // Its progress depends on the timing; and the outcome of a moved session is that of the file.
            return Ok(outcome);
        }
        outcome.result = future(read(&world, Key::Future(step::FIRST.into()))?);
        let scan = |range| world.disk.records(&id, &range, &program);
        outcome.live = scan(RowRange::Live(step::FIRST)).map_err(damaged)?.len();
        outcome.broken = scan(RowRange::Broken).map_err(damaged)?.len();
        let errors: BTreeSet<String> = scan(RowRange::Unawaited)
            .map_err(damaged)?
            .into_iter()
            .filter_map(|record| match record {
                Record::Unawaited(_, failure) => Some(failure.error.message.to_string()),
                _ => None,
            })
            .collect();
        outcome.errors = errors.into_iter().collect();
        let printed = world.disk.history(&id).into_iter().filter_map(|(_, entry)| match entry.event {
            Event::Printed { text, .. } => Some(text),
            _ => None,
        });
        outcome.printed = printed.collect();
        outcome.printed.sort();
        Ok(outcome)
    }

    /// Checks that an unfinished session ends when its promise is resolved.
    fn check_goes_on(&self, outcome: &Outcome) -> Result<(), String> {
        if !matches!(outcome.state, Some("running" | "broken")) || outcome.promise == super::command::FAILED {
            return Ok(());
        }
        let copy = self.world().disk.clone();
        for command in [Command::Resolve, Command::Worker, Command::Retry] {
            self.command(command, None);
        }
        let ended = self.outcome()?;
        if ended.state != Some("finished") || ended.live + ended.broken > 0 {
            return Err(format!("it does not go on: from {outcome:?} to {ended:?}"));
        }
        self.world().disk = copy;
        Ok(())
    }

    /// The session of the commands.
    pub(super) fn newest(&self) -> Option<SessionId> {
        self.world().sessions().pop()
    }
}

impl World {
    /// Checks that all threads of a cancelled session have stopped, and that each has cleaned up.
    fn check_cleaned_up(&mut self, id: &SessionId, program: &Program) -> Result<(), String> {
        let live = self.disk.records(id, &RowRange::Live(step::FIRST), program);
        if live.is_ok_and(|live| !live.is_empty()) {
            return Err("it is cancelled, and has threads".to_owned());
        }
        let mut printed: BTreeMap<ThreadId, Vec<String>> = BTreeMap::new();
        for (_, entry) in self.disk.history(id) {
            if let Event::Printed { text, .. } = entry.event {
                printed.entry(entry.thread).or_default().push(text);
            }
        }
        printed.values().try_for_each(|lines| check_cleaning(lines, false))
    }
}

fn promise() -> crate::id::FutureId {
    crate::id::FutureId::Promise(PROMISE.into())
}

/// The value of the promise.
pub(super) fn value() -> (&'static str, Value) {
    (PROMISE, Value::Integer(5))
}
