//! The foreign functions of the simulator. They are pure, except for one that must be repaired first and one that kills
//! its server.

use std::sync::Arc;

use hark_bytecode::Executable;
use hark_machine::{Error, ObjectBody, Pickle, Value, literal_text, text_of};

use super::Shared;
use super::universe::Holding;
use super::world::{Health, Made, Number, Solo, UnderWay, World};
use crate::foreign::{Answer, Call, CallError, CallEvent, CallId, CallSink, Foreign};
use crate::id::SessionId;

/// The maximum number of concurrent calls of a server, where threads are leased. It takes only a few more threads whose
/// calls must wait.
const CALLS_AT_A_TIME: usize = 2;

/// The type of the objects made by functions.
const THING: &str = "outside.Thing";

/// Large enough that the pickle is stored separately.
const THING_REPEATED: usize = 1_000;

/// The result of a foreign call.
pub(super) type Result = std::result::Result<Value, Error>;

/// The functions, as called by this server.
pub(super) struct Functions {
    pub universe: Shared,
    pub number: Number,
}

impl Foreign for Functions {
    fn call(&self, executable: &Executable, call: Call, events: CallSink, answer: Answer) {
        let (solo, id, attempt) = (solo_of(executable, &call), call.id.clone(), call.attempt);
        if let Some(outcome) = self.begin(executable, call)
            && let Some(process) = self.universe.world().processes.get_mut(&self.number)
        {
            process.under_way.push(UnderWay { id, attempt, events, answer, solo, outcome });
        }
    }

    fn calls_at_a_time(&self) -> usize {
        if self.universe.world().disk.is_leased { CALLS_AT_A_TIME } else { usize::MAX }
    }

    /// Whether the call has begun is decided at random.
    fn withdraw(&self, call: &CallId) -> bool {
        let mut world = self.universe.world();
        let withdrawn = world.withdraw(self.number, call);
        drop(world);
        withdrawn.is_some()
    }

    fn call_blocking(
        &self,
        executable: &Executable,
        call: Call,
        events: &mut dyn FnMut(CallEvent),
    ) -> std::result::Result<Value, CallError> {
        let solo = solo_of(executable, &call);
        let outcome = self.begin(executable, call);
        let _ = self.universe.pause(self.number, Holding::Nothing);
        self.universe.world().end_solo(self.number, solo.as_ref());
        let outcome = outcome.unwrap_or_else(|| Err(Error::new("python", "nobody is there to learn of this")));
        events_of(&outcome).for_each(events);
        outcome.map_err(CallError::from)
    }

    fn cancel(&self, session: &SessionId) {
        self.universe.world().solos.retain(|solo| solo.by != self.number || solo.id.session != *session);
    }

    // Calls in flight end by themselves.
    fn cancel_call(&self, _call: &CallId) {}
}

impl Functions {
    /// Begins a call, if the server is alive. Returns its later result.
    fn begin(&self, executable: &Executable, call: Call) -> Option<Result> {
        let name = executable.foreign.get(call.foreign.0 as usize).map_or("?", |foreign| &*foreign.name);
        let argument = call.arguments.first().cloned().unwrap_or_default();
        let mut world = self.universe.world();
        if world.health(self.number) == Health::Dead {
            return None;
        }
        let what = format!("{name}({})", literal_text(&argument, executable));
        world.tell(|| format!("{} calls {what}, try {}", self.number, call.attempt));
        world.check_place_of(self.number, &call);
        world.count.repeated_calls += u64::from(call.attempt > 1);
        let is_repaired = world.repaired.contains(&call.id.session);
        if let Some(solo) = solo_of(executable, &call) {
            world.begin_solo(self.number, solo);
        }
        world.calls.push(Made { id: call.id, attempt: call.attempt, what });
        if name == "poison" {
            let lost = world.kill(self.number);
            drop(world);
            drop(lost);
            return None;
        }
        Some(outcome(name, argument, is_repaired))
    }
}

/// The call and its attempt, if it is a call of `solo`.
fn solo_of(executable: &Executable, call: &Call) -> Option<(CallId, u32)> {
    let foreign = executable.foreign.get(call.foreign.0 as usize)?;
    (&*foreign.name == "solo").then(|| (call.id.clone(), call.attempt))
}

impl World {
    /// Begins a call of `solo`. No other live server, which is not suspected, may be making such a call that its thread
    /// still waits for.
    fn begin_solo(&mut self, by: Number, (id, attempt): (CallId, u32)) {
        let lives = |world: &World, number| world.health(number) == Health::Alive;
        let counts = |solo: &&Solo| lives(self, solo.by) && self.disk.awaits(&solo.id, solo.attempt);
        // A process that was unresponsive for longer than its lease may make a call that another process has repeated
        // meanwhile.
        if lives(self, by)
            && self.disk.awaits(&id, attempt)
            && let Some(Solo { by: other, .. }) = self.solos.iter().find(counts)
        {
            self.faults.push(format!("{by} calls `solo` while {other} does"));
        }
        self.solos.push(Solo { by, id, attempt });
    }

    /// Forgets a waiting call, as if it had not been made. None if it has begun.
    fn withdraw(&mut self, number: Number, id: &CallId) -> Option<UnderWay> {
        let under_way = &mut self.processes.get_mut(&number)?.under_way;
        let place = under_way.iter().position(|call| call.id == *id)?;
        if self.chance.per_mille(500) {
            return None;
        }
        let withdrawn = self.processes.get_mut(&number)?.under_way.swap_remove(place);
        self.end_solo(number, withdrawn.solo.as_ref());
        self.calls.retain(|made| made.id != *id || made.attempt != withdrawn.attempt);
        self.count.withdrawn_calls += 1;
        self.tell(|| format!("{number} withdraws try {} of a call of thread {}", withdrawn.attempt, id.thread));
        Some(withdrawn)
    }

    /// A call of `solo` has ended.
    pub(super) fn end_solo(&mut self, number: Number, ended: Option<&(CallId, u32)>) {
        let Some((id, attempt)) = ended else { return };
        let is_this = |solo: &Solo| solo.by == number && solo.id == *id && solo.attempt == *attempt;
        if let Some(place) = self.solos.iter().position(is_this) {
            self.solos.swap_remove(place);
        }
    }
}

fn outcome(name: &str, argument: Value, is_repaired: bool) -> Result {
    match name {
        "echo" | "solo" => Ok(argument),
        "say" => Ok(Value::string(format!("said {}", argument.as_str().unwrap_or("?")))),
        "chat" => Ok(Value::string(format!("chatted {}", argument.as_str().unwrap_or("?")))),
        "make" => Ok(thing(&argument)),
        "look" => looked_at(&argument).ok_or_else(|| Error::new("python", "it is not what it was")),
        "unready" if is_repaired => Ok(argument),
        "unready" => Err(Error::new("python", "it is not ready")),
        _ => Err(Error::new("python", "it failed")),
    }
}

/// An object whose pickle contains its text many times.
fn thing(argument: &Value) -> Value {
    let text = text_of(argument, &Executable::default());
    let pickle = Arc::new(Pickle::new(text.repeat(THING_REPEATED).into_bytes()));
    Value::object(ObjectBody::new(THING, Some(text), pickle))
}

/// The text of such an object, if its pickle is unchanged.
fn looked_at(argument: &Value) -> Option<Value> {
    let Value::Object(object) = argument else { return None };
    let text = object.text().filter(|_| object.type_name() == THING)?;
    let is_whole = object.pickle().bytes().ok()? == text.repeat(THING_REPEATED).as_bytes();
    is_whole.then(|| Value::string(text))
}

fn events_of(outcome: &Result) -> impl Iterator<Item = CallEvent> {
    texts_printed(outcome).into_iter().map(CallEvent::Printed)
}

/// The output of a call: `say` prints its result once, and `chat` three times.
pub(super) fn texts_printed(outcome: &Result) -> Vec<String> {
    let Some(said) = outcome.as_ref().ok().and_then(Value::as_str) else { return Vec::new() };
    match said.split_once(' ') {
        Some(("said", _)) => vec![format!("{said}\n")],
        Some(("chatted", _)) => (1..=3).map(|time| format!("{said} {time}\n")).collect(),
        _ => Vec::new(),
    }
}

impl UnderWay {
    /// Ends a call.
    pub fn end(self) {
        let UnderWay { mut events, answer, outcome, .. } = self;
        events_of(&outcome).for_each(&mut events);
        answer(outcome.map_err(CallError::from));
    }
}

/// The functions of a server.
pub(super) fn of_server(universe: Shared, number: Number) -> Arc<dyn Foreign> {
    Arc::new(Functions { universe, number })
}
