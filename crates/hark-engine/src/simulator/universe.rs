//! The course of a simulation: requests, interruptions, and what happens next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hark_bytecode::Binding;
use hark_machine::{Program, Value};

use super::client::Progress;
use super::disk::due_of;
use super::slot::{Hints, Worker};
use super::storage::DiskStorage;
use super::world::{Disturbances, Health, Hint, Number, Process, World};
use super::{Scenario, Shared, foreign};
use crate::engine::{Engine, Start};
use crate::id::{SessionId, ThreadId};
use crate::invoker::Runner;
use crate::options::{Options, Scope};
use crate::output::{Observer, OutputItem};
use crate::place::Pools;
use crate::ports::Ports;
use crate::record::{Due, Key, SessionState};
use crate::report::Report;
use crate::storage::StorageError;
use crate::surroundings::{Surroundings, Timestamp};

/// The maximum number of nested paused requests.
const DEPTH_MAX: usize = 4;
/// The run has ended after this many sweeps that find nothing.
const IDLE_ROUNDS_MAX: u32 = 20;
/// The duration of leases, where threads are leased.
pub(super) const LEASE: Duration = Duration::from_secs(10);
/// The maximum number of actions in a run. A thousand threads that poll once a minute need many after a clock was set back
/// by hours.
const ACTIONS_MAX: u64 = 1_000_000;

/// A simulation.
pub(super) struct Universe {
    scenario: Scenario,
    start: Start,
    world: Mutex<World>,
    engines: Mutex<BTreeMap<Number, Running>>,
    progress: Mutex<BTreeMap<(SessionId, usize), Progress>>,
    /// Sessions that were started, but may not have been written.
    begun: Mutex<Vec<(Number, SessionId)>>,
    numbers: AtomicU64,
    me: Weak<Universe>,
}

#[derive(Clone)]
struct Running {
    engine: Arc<Engine>,
    stop: Arc<AtomicBool>,
}

/// What the engine may hold during a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holding {
    /// Nothing: other workers of the server can continue.
    Nothing,
    /// Locks: other workers may wait for this request.
    Locks,
}

/// The next action.
enum Action {
    Hint(Number),
    Answer(Number),
    Attend(Number),
    Outside(SessionId, usize),
    Clock,
    Begin(Number),
    NewServer,
}

/// Time and randomness of all processes.
struct Sky(Shared);

impl Surroundings for Sky {
    fn now(&self) -> Timestamp {
        let mut world = self.0.world();
        world.now.0 += 1;
        world.now
    }

    /// In a simulation, the clock also jumps for running timers, which is what happens at restarts.
    fn steady_now(&self) -> Timestamp {
        self.now()
    }

    fn pause(&self, duration: Duration) {
        let mut world = self.0.world();
        world.now = world.now.after(duration);
    }

    fn random(&self) -> u64 {
        self.0.world().chance.bits()
    }
}

impl Universe {
    pub fn new(scenario: &Scenario, seed: u64, disturbances: Disturbances, is_told: bool) -> Shared {
        let program = Arc::new(Program::new(scenario.executable.clone()).expect("the program is sound"));
        let Some(Binding::Function(main)) = scenario.executable.binding("main") else { panic!("there is no `main`") };
        Arc::new_cyclic(|me| Universe {
            scenario: scenario.clone(),
            start: Start::new(program, Value::Function(main), Vec::new()),
            world: Mutex::new(World::new(seed, disturbances, is_told)),
            engines: Mutex::default(),
            progress: Mutex::default(),
            begun: Mutex::default(),
            numbers: AtomicU64::new(1),
            me: me.clone(),
        })
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    pub fn progress(&self) -> MutexGuard<'_, BTreeMap<(SessionId, usize), Progress>> {
        lock(&self.progress)
    }

    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    pub fn start(&self) -> Start {
        self.start.clone()
    }

    pub fn program(&self) -> &Arc<Program> {
        &self.start.program
    }

    pub fn shared(&self) -> Shared {
        self.me.upgrade().expect("whoever asks holds it")
    }

    pub fn surroundings(&self) -> Arc<dyn Surroundings> {
        Arc::new(Sky(self.shared()))
    }

    pub fn new_number(&self) -> Number {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes a request of a process, with possible events before and after it.
    pub fn request<T>(
        &self,
        number: Number,
        holding: Holding,
        effect: impl FnOnce(&mut World) -> T,
    ) -> Result<T, StorageError> {
        self.pause(number, holding)?;
        let answer = {
            let mut world = self.world();
            world.count.requests += 1;
            world.disk.note_request();
            world.carry_out_late();
            let cases = world.disturbances.transient;
            if world.happens(cases) {
                world.count.transient += 1;
                world.tell(|| format!("{number} is refused"));
                return Err(StorageError::Transient("it is busy".into()));
            }
            effect(&mut world)
        };
        self.pause(number, holding)?;
        Ok(answer)
    }

    /// A point at which a process may die, or others may act.
    pub fn pause(&self, number: Number, holding: Holding) -> Result<(), StorageError> {
        self.interject(number);
        let (lost, length) = {
            let mut world = self.world();
            let disturbances = world.disturbances;
            let lost = if world.happens(disturbances.death) { world.kill(number) } else { None };
            if world.happens(disturbances.suspicion) {
                world.suspect(number);
            }
            let pauses = world.depth < DEPTH_MAX && world.happens(disturbances.pause);
            (lost, if pauses { 1 + world.chance.below(disturbances.pause_length) } else { 0 })
        };
        drop(lost);
        if length > 0 {
            self.come_between(number, holding, length);
        }
        match self.world().health(number) {
            Health::Dead => Err(StorageError::Permanent("this process is dead".into())),
            _ => Ok(()),
        }
    }

    fn come_between(&self, number: Number, holding: Holding, length: u64) {
        self.hold(number, holding, 1, |depth| depth + 1);
        self.world().count.pauses += 1;
        for _ in 0..length {
            self.act();
        }
        self.hold(number, holding, u32::MAX, |depth| depth - 1);
    }

    fn hold(&self, number: Number, holding: Holding, by: u32, depth: impl FnOnce(usize) -> usize) {
        let mut world = self.world();
        world.depth = depth(world.depth);
        if holding == Holding::Locks
            && let Some(process) = world.processes.get_mut(&number)
        {
            process.held = process.held.wrapping_add(by);
        }
    }

    /// Performs actions until all sessions have ended and nothing more happens.
    pub fn run(&self) -> Result<(), String> {
        // A polling thread may become due right after each sweep.
        let (mut idle, mut changes) = (0, 0);
        for _ in 0..ACTIONS_MAX {
            self.bury();
            if !self.has_work() && self.world().is_calm() {
                let seen = self.world().now;
                self.look_everywhere();
                let before = std::mem::replace(&mut changes, self.world().disk.changes);
                // Leases taken before the clock was set back are very long.
                let waits = self.world().disk.is_leased && self.world().now.since(seen) > Duration::from_millis(10);
                idle = if self.has_work() || before != changes || waits { 0 } else { idle + 1 };
                if idle == IDLE_ROUNDS_MAX {
                    return if self.is_done() { self.check_at_rest() } else { Err(self.world().describe()) };
                }
            }
            self.act();
        }
        Err("it does not end".into())
    }

    /// Checks that each process counts no more pending work than it has. Where threads are leased, it would otherwise take
    /// fewer and fewer of them.
    fn check_at_rest(&self) -> Result<(), String> {
        let engines = lock(&self.engines);
        let counted = engines.iter().map(|(number, running)| (number, running.engine.in_hand()));
        match counted.into_iter().find(|(_, count)| *count > 0) {
            Some((number, count)) => Err(format!("server {number} counts {count} hints and calls, and has none")),
            None => Ok(()),
        }
    }

    /// Whether a worker or a call has something to do.
    fn has_work(&self) -> bool {
        let world = self.world();
        world.processes.values().any(|process| !process.hints.is_empty() || !process.under_way.is_empty())
    }

    /// Whether all sessions have begun and ended, and all acts were done.
    fn is_done(&self) -> bool {
        let world = self.world();
        let (sessions, wanted) = (world.sessions(), world.disturbances.sessions);
        let is_over = |id| world.disk.state(id).is_some_and(|state| state.is_over());
        let ended = sessions.iter().all(is_over);
        drop(world);
        ended && sessions.len() as u64 >= wanted && sessions.iter().all(|id| self.is_all_done_to(id))
    }

    /// Removes dead servers; at the end, suspected ones are killed as well.
    fn bury(&self) {
        let mut lost = Vec::new();
        let mut world = self.world();
        let numbers: Vec<(Number, Health)> =
            world.processes.iter().map(|(number, each)| (*number, each.health)).collect();
        for (number, health) in numbers {
            if health == Health::Suspected && world.is_calm() {
                lost.push(world.kill(number));
            }
        }
        let health = |number: &Number| world.health(*number);
        let mut engines = lock(&self.engines);
        let dead: Vec<Number> = engines.keys().copied().filter(|number| health(number) == Health::Dead).collect();
        let dead: Vec<Option<Running>> = dead.iter().map(|number| engines.remove(number)).collect();
        drop((engines, world));
        drop((lost, dead));
    }

    /// All servers sweep, outside processes act, and time passes.
    fn look_everywhere(&self) {
        let begun = self.world().now;
        let servers: Vec<Number> = lock(&self.engines).keys().copied().collect();
        if servers.is_empty() || self.lacks_pool() {
            self.new_server();
        }
        for &server in &servers {
            self.attend(server, Scope::All);
        }
        if let Some(&server) = servers.first()
            && self.wants_session()
        {
            self.begin(server);
        }
        if let Some((id, index)) = self.possible_acts().pop() {
            self.try_act(&id, index);
        }
        let has_work = self.has_work();
        let is_awaited = !self.possible_acts().is_empty();
        let mut world = self.world();
        let have_looked = !servers.is_empty() && servers.iter().all(|server| world.health(*server) == Health::Alive);
        if has_work || !have_looked || is_awaited {
            // Time must not pass yet: first the effects of a timeout, the remaining outside acts and the takeover from
            // dead servers must be processed.
            return;
        }
        // Where threads are leased, everything due is taken by the next sweep.
        let is_left = world.disk.is_leased && world.is_any_due();
        // The next sweep finds what became due since this one began.
        if let Some(due) = world.next_due(&Pools::All, begun).filter(|_| !is_left) {
            world.now = world.now.max(due);
        }
    }

    /// Performs one action.
    fn act(&self) {
        let Some(action) = self.choose() else { return };
        match action {
            Action::Hint(number) => self.carry_out_hint(number),
            Action::Answer(number) => self.carry_out_answer(number),
            Action::Attend(number) => self.attend(number, Scope::All),
            Action::Outside(id, index) => self.try_act(&id, index),
            Action::Clock => self.world().pass_time(),
            Action::Begin(number) => self.begin(number),
            Action::NewServer => self.new_server(),
        }
    }

    fn choose(&self) -> Option<Action> {
        let engines: Vec<Number> = lock(&self.engines).keys().copied().collect();
        let mut choices: Vec<(u64, Action)> = vec![(1, Action::Clock)];
        choices.extend(self.possible_acts().into_iter().map(|(id, index)| (1, Action::Outside(id, index))));
        let begins = self.wants_session();
        let mut world = self.world();
        let mut alive = 0;
        for number in engines {
            let Some(process) = world.processes.get(&number) else { continue };
            alive += u64::from(process.health == Health::Alive);
            if process.health == Health::Dead || process.held > 0 {
                continue;
            }
            if !process.hints.is_empty() {
                choices.push((20, Action::Hint(number)));
            }
            if !process.under_way.is_empty() {
                choices.push((10, Action::Answer(number)));
            }
            if !process.attends {
                choices.push((2, Action::Attend(number)));
            }
            if begins {
                choices.push((5, Action::Begin(number)));
            }
        }
        if alive < world.disturbances.servers {
            choices.push((if alive == 0 { 20 } else { 3 }, Action::NewServer));
        }
        let mut place = world.chance.below(choices.iter().map(|(weight, _)| weight).sum());
        for (weight, action) in choices {
            if place < weight {
                return Some(action);
            }
            place -= weight;
        }
        None
    }

    /// Lets a worker of a server handle one or a few hints.
    pub fn carry_out_hint(&self, number: Number) {
        let Some((runner, threads)) = self.world().take_hints(number) else { return };
        let hints = Hints { universe: self.shared(), number };
        let done = runner.run(&threads, &mut Worker { hints, runner: &runner });
        let mut world = self.world();
        if let Some(process) = world.processes.get_mut(&number).filter(|process| process.health != Health::Dead) {
            let left = threads.iter().skip(done);
            process.hints.extend(left.map(|&thread| Hint { runner: runner.clone(), thread }));
        }
    }

    /// Ends a call of a server.
    pub fn carry_out_answer(&self, number: Number) {
        let answer = self.world().take_answer(number);
        if let Some(answer) = answer {
            self.world().end_solo(number, answer.solo.as_ref());
            answer.end();
        }
    }

    /// Lets a server take sessions that are not being served, if `scope` says so, and sweep once.
    pub fn attend(&self, number: Number, scope: Scope) {
        let Some(running) = lock(&self.engines).get(&number).cloned() else { return };
        let can_attend =
            |process: &&mut Process| process.held == 0 && !process.attends && process.health != Health::Dead;
        match self.world().processes.get_mut(&number).filter(|process| can_attend(process)) {
            Some(process) => process.attends = true,
            None => return,
        }
        running.stop.store(false, Ordering::Relaxed);
        // Storage failures are simulated, and sessions that are not being served are found by other servers.
        let tell = |id: &SessionId, error: &StorageError| {
            if *error == StorageError::TakenOver && self.world().disturbances.is_by_thread {
                // Leased threads are lost one by one; a session that is moved is no failure.
                self.world().faults.push(format!("{number} tells that it has lost {}", id.as_str()));
            }
            self.world().tell(|| format!("{number} cannot go on with {}: {error}", &id.as_str()[32..]));
        };
        let _ = running.engine.attend(scope, &running.stop, &tell);
        if let Some(process) = self.world().processes.get_mut(&number) {
            process.attends = false;
        }
    }

    pub fn stop_attending(&self, number: Number) {
        if let Some(running) = lock(&self.engines).get(&number) {
            running.stop.store(true, Ordering::Relaxed);
        }
    }

    fn wants_session(&self) -> bool {
        let world = self.world();
        let mut begun = lock(&self.begun);
        begun.retain(|(number, id)| world.health(*number) != Health::Dead && !world.disk.sessions.contains_key(id));
        ((world.disk.sessions.len() + begun.len()) as u64) < world.disturbances.sessions
    }

    /// Starts a session, which this server runs or leaves to others.
    fn begin(&self, number: Number) {
        let Some(running) = lock(&self.engines).get(&number).cloned() else { return };
        let leaves = self.world().chance.per_mille(500);
        let start = self.start.clone();
        let begun = if leaves {
            running.engine.leave_to_others(start)
        } else {
            let universe = self.shared();
            running.engine.submit(start, move |report| universe.note_report(number, report))
        };
        let mut world = self.world();
        match begun {
            Ok(id) => lock(&self.begun).push((number, id)),
            // A failure of the storage is returned to the caller of a start.
            Err(StorageError::Transient(_)) => {}
            Err(error) if world.health(number) != Health::Dead => world.faults.push(format!("a start: {error}")),
            Err(_) => {}
        }
    }

    fn note_report(&self, number: Number, report: Report) {
        let mut world = self.world();
        // A dead process reports nothing.
        if world.health(number) != Health::Dead {
            world.reports.push(report);
        }
    }

    /// Creates an engine for this process.
    pub fn add_engine(&self, number: Number) -> Arc<Engine> {
        let universe = self.shared();
        let ports = Ports {
            storage: DiskStorage::of(universe.clone(), number),
            invoker: Arc::new(Hints { universe: universe.clone(), number }),
            foreign: foreign::of_server(universe, number),
            surroundings: self.surroundings(),
        };
        // The output of calls is written immediately.
        let Scenario { max_tries, cancel_grace, .. } = self.scenario;
        let pools = self.world().processes.get(&number).map(|process| process.pools.clone()).unwrap_or_default();
        let options = Options { max_tries, cancel_grace, output_piece_bytes: 1, pools, ..Options::default() };
        let engine = Arc::new(Engine::new(options, ports));
        lock(&self.engines).insert(number, Running { engine: engine.clone(), stop: Arc::default() });
        engine
    }

    pub fn remove_engine(&self, number: Number) -> Option<Arc<Engine>> {
        lock(&self.engines).remove(&number).map(|running| running.engine)
    }

    fn new_server(&self) {
        let number = self.new_number();
        let universe = self.shared();
        let pools = self.pools_of_new_server();
        let resumes = {
            let mut world = self.world();
            world.tell(|| format!("{number} begins to serve {pools:?}"));
            world.processes.insert(number, Process { serves: true, pools, ..Process::default() });
            world.chance.per_mille(300)
        };
        let engine = self.add_engine(number);
        if resumes {
            let observer: Arc<dyn Observer> = Arc::new(|_: &[OutputItem]| {});
            let on_end: Arc<dyn Fn(Report) + Send + Sync> =
                Arc::new(move |report| universe.note_report(number, report));
            // An error means that it has died.
            let _ = engine.resume(None, &observer, &on_end);
        }
    }

    /// Drops everything, because the parts reference each other.
    pub fn close(&self) {
        let engines = std::mem::take(&mut *lock(&self.engines));
        let processes = std::mem::take(&mut self.world().processes);
        drop((engines, processes));
    }
}

impl World {
    fn suspect(&mut self, number: Number) {
        let is_server = |process: &&mut Process| process.health == Health::Alive;
        if let Some(process) = self.processes.get_mut(&number).filter(is_server) {
            process.health = Health::Suspected;
            self.count.suspicions += 1;
            self.tell(|| format!("{number} is suspected"));
        }
    }

    /// Takes one or a few hints for one session.
    fn take_hints(&mut self, number: Number) -> Option<(Arc<dyn Runner>, Vec<ThreadId>)> {
        let World { processes, chance, .. } = self;
        let hints = &mut processes.get_mut(&number)?.hints;
        if hints.is_empty() {
            return None;
        }
        let Hint { runner, thread } = hints.swap_remove(chance.index(hints.len()));
        let mut threads = vec![thread];
        while chance.per_mille(300)
            && let Some(index) = hints.iter().position(|hint| Arc::ptr_eq(&hint.runner, &runner))
        {
            threads.push(hints.swap_remove(index).thread);
        }
        self.tell(|| format!("{number} looks at {threads:?}"));
        Some((runner, threads))
    }

    fn take_answer(&mut self, number: Number) -> Option<super::world::UnderWay> {
        let World { processes, chance, .. } = self;
        let under_way = &mut processes.get_mut(&number)?.under_way;
        (!under_way.is_empty()).then(|| under_way.swap_remove(chance.index(under_way.len())))
    }

    fn pass_time(&mut self) {
        let cases = self.disturbances.clock_jump;
        if self.happens(cases) {
            let by = self.chance.below(3_600_000_000);
            let is_back = self.chance.per_mille(500);
            self.now.0 = if is_back { self.now.0 - by } else { self.now.0 + by };
            return;
        }
        let cases = self.disturbances.lapse;
        if self.happens(cases) {
            self.now = self.now.after(LEASE * 2);
        }
        self.now.0 += self.chance.below(500_000);
    }

    /// A description of the remaining state when nothing happens any more.
    fn describe(&self) -> String {
        let sessions = self.disk.sessions.iter().map(|(id, kept)| {
            let state = self.disk.state(id);
            let rows: Vec<_> = kept.rows.iter().map(|(key, row)| (key, row.due.map(|due| due.due()))).collect();
            format!("\n  at {:?} {state:?}, served by {:?}: {rows:?}", self.now, kept.server)
        });
        format!("nothing happens any more:{}", sessions.collect::<String>())
    }

    /// Whether any thread of a running session is due.
    fn is_any_due(&self) -> bool {
        let runs = |id| self.disk.state(id) == Some(SessionState::Running);
        let sessions = self.disk.sessions.iter().filter(|(id, _)| runs(id));
        let mut rows = sessions.flat_map(|(_, kept)| &kept.rows);
        let is_due = |due| matches!(due, Due::At(time) | Due::Leased(time) | Due::Withdrawn(time) if time <= self.now);
        rows.any(|(key, row)| matches!(key, Key::Live(_) | Key::Ready(_)) && due_of(row).is_some_and(is_due))
    }

    /// The first time after this one at which a thread of these pools is due.
    pub fn next_due(&self, pools: &Pools, after: Timestamp) -> Option<Timestamp> {
        let rows = self.disk.sessions.values().flat_map(|kept| &kept.rows);
        // The due time of a session that is being moved does not belong to a thread.
        let of_threads = rows.filter(|(key, row)| **key != Key::Session && pools.serve(&row.place));
        let times = of_threads.filter_map(|(_, row)| match due_of(row) {
            // Threads due before that have had their turns, and may wait for something else.
            Some(Due::At(time) | Due::Leased(time) | Due::Withdrawn(time)) if time > after => Some(time),
            _ => None,
        });
        times.min()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
