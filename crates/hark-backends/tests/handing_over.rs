//! Sessions whose threads are run by processes that are started for them, one after the other. Each process is given
//! the threads of one hint, and leaves all others to further hints. Only a recovery looks for due threads.

#![cfg(feature = "dynamodb")]

#[path = "support/dynamodb.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod server;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_bytecode::{Binding, Executable};
use hark_engine::foreign::{Answer, CallSink};
use hark_engine::outside::Outside;
use hark_engine::{
    Assignment, Call, CallId, Deadline, Dispatcher, Engine, Foreign, Hint, Options, Pools, Ports, Scope, SessionId,
    SessionState, Size, Sizes, Start, Storage, Surroundings, Timestamp,
};
use hark_machine::{Program, Value};
use server::{Server, new_table};

/// Longer than any process takes here.
const LEASE: Duration = Duration::from_secs(60);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

/// Collects hints, as a service that starts a process for each of them.
struct Hints {
    sent: Mutex<Vec<(SessionId, Hint)>>,
    pools: Pools,
    /// A code with which no process can be started any more.
    gone: &'static str,
}

impl Dispatcher for Hints {
    fn dispatch(&self, session: &SessionId, hints: &[Hint]) {
        lock(&self.sent).extend(hints.iter().map(|hint| (session.clone(), hint.clone())));
    }

    fn started_pools(&self) -> Option<&Pools> {
        Some(&self.pools)
    }

    fn reaches(&self, code: &str) -> bool {
        code != self.gone
    }
}

/// Answers calls at once, and remembers which attempts were made and how long each might take.
#[derive(Default)]
struct Functions(Mutex<Vec<(u32, Option<Duration>)>>);

impl Foreign for Functions {
    fn call(&self, _: &Executable, call: Call, _: CallSink, answer: Answer) {
        lock(&self.0).push((call.attempt, call.timeout));
        answer(Ok(Value::Integer(42)));
    }

    fn calls_at_a_time(&self) -> usize {
        1
    }

    fn cancel(&self, _: &SessionId) {}

    fn cancel_call(&self, _: &CallId) {}
}

/// The surroundings of a process after this much time has passed.
#[derive(Debug)]
struct Later(Duration);

impl Surroundings for Later {
    fn now(&self) -> Timestamp {
        System.now().after(self.0)
    }

    fn steady_now(&self) -> Timestamp {
        System.steady_now().after(self.0)
    }

    fn pause(&self, duration: Duration) {
        System.pause(duration);
    }

    fn random(&self) -> u64 {
        System.random()
    }
}

/// The deadline of a process that begins now and has this much time.
fn deadline(now: Timestamp, time: Duration) -> Deadline {
    Deadline::new(now, now.after(time), Duration::from_millis(100))
}

/// A process that is started for some threads.
struct Process {
    engine: Engine,
    storage: Arc<dyn Storage>,
}

impl Process {
    /// Runs these threads until nothing is left to do here. The process then ends at once, because its sweeper is told,
    /// as in the program of a function.
    fn run(&self, hints: &[(SessionId, Hint)], deadline: Deadline) {
        self.engine.set_deadline(Some(deadline));
        let stop = AtomicBool::new(false);
        let assignments: Vec<Assignment> = hints.iter().map(|(session, hint)| hint.assignment(session)).collect();
        thread::scope(|scope| {
            scope.spawn(|| self.engine.attend(Scope::Own, &stop, &|_, _| {}));
            self.engine.run_assigned(&assignments).expect("the table answers");
            stop.store(true, Ordering::Release);
            self.storage.catalog().expect("it keeps sessions").ring();
        });
    }
}

/// A table, and the hints for its threads.
struct Service {
    server: Server,
    table: String,
    lease: Duration,
    hints: Arc<Hints>,
    functions: Arc<Functions>,
}

impl Service {
    fn start(lease: Duration) -> Option<Service> {
        let server = Server::start()?;
        let (table, _) = new_table(&server);
        let hints =
            Arc::new(Hints { sent: Mutex::default(), pools: Pools::Only([Default::default()].into()), gone: "gone" });
        Some(Service { server, table, lease, hints, functions: Arc::default() })
    }

    /// The storage of a process.
    fn storage(&self) -> Arc<dyn Storage> {
        let mut storage = self.server.open_leased(&self.table, self.lease);
        storage.set_dispatcher(self.hints.clone());
        Arc::new(storage)
    }

    fn process(&self) -> Process {
        self.sized_process(None)
    }

    fn sized_process(&self, sizes: Option<Sizes>) -> Process {
        self.process_in(Arc::new(System), Options { sizes, ..Options::default() })
    }

    /// A process with this code.
    fn coded_process(&self, code: &str) -> Process {
        self.process_in(Arc::new(System), Options { code: Some(code.to_owned()), ..Options::default() })
    }

    fn process_in(&self, surroundings: Arc<dyn Surroundings>, options: Options) -> Process {
        let storage = self.storage();
        let ports = Ports {
            storage: storage.clone(),
            invoker: Arc::new(Threads::new(1)),
            foreign: self.functions.clone(),
            surroundings,
        };
        Process { engine: Engine::for_assigned(options, ports), storage }
    }

    fn begin(&self, text: &str) -> SessionId {
        self.begin_in(&self.process(), text)
    }

    fn begin_in(&self, process: &Process, text: &str) -> SessionId {
        let compilation = hark_compiler::compile("test.hk", text);
        let executable = compilation.executable.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics));
        let program = Arc::new(Program::new(executable).expect("the program is sound"));
        let Some(Binding::Function(main)) = program.executable().binding("main") else { panic!("there is no main") };
        let start = Start::new(program, Value::Function(main), Vec::new());
        process.engine.leave_to_others(start).expect("a session can begin")
    }

    fn take_hints(&self) -> Vec<(SessionId, Hint)> {
        std::mem::take(&mut *lock(&self.hints.sent))
    }

    /// Runs a process that is started for these hints and has this much time.
    fn run(&self, hints: &[(SessionId, Hint)], time: Duration) {
        self.run_in(&self.process(), hints, time);
    }

    /// The same, for a process of one of several sizes.
    fn run_as(&self, sizes: Option<Sizes>, hints: &[(SessionId, Hint)]) {
        self.run_in(&self.sized_process(sizes), hints, LEASE * 20);
    }

    fn run_in(&self, process: &Process, hints: &[(SessionId, Hint)], time: Duration) {
        process.run(hints, deadline(System.steady_now(), time));
    }

    /// Runs a process for each hint, in order, until none is left. Returns how many there were.
    fn run_all(&self, time: Duration) -> usize {
        let mut processes = 0;
        loop {
            let hints = self.take_hints();
            if hints.is_empty() {
                return processes;
            }
            for (session, hint) in hints {
                if let Some(until) = hint.not_before {
                    thread::sleep(until.since(System.steady_now()));
                }
                self.run(&[(session, hint)], time);
                processes += 1;
            }
        }
    }

    fn state(&self, id: &SessionId) -> SessionState {
        let storage = self.storage();
        let found = storage.catalog().expect("it keeps sessions").record(id).expect("the table answers");
        found.expect("the session is there").1.state
    }
}

const TREE: &str = "fn leaf(n) { n + 1 }
    fn main() { if sum(map_async(range(40), leaf)) == 820 { 1 } else { error(\"wrong\") } }";

/// Computes until this time.
const COMPUTE: &str = "fn compute(until) { if now() >= until { 0 } else { compute(until) } }";

#[test]
fn processes_that_are_started_for_hints_run_a_session() {
    let Some(service) = Service::start(LEASE) else { return };
    let id = service.begin(TREE);
    assert!(lock(&service.hints.sent)[0].1.held.is_some(), "it is handed over with its lease");
    let begun = System.steady_now();
    let processes = service.run_all(LEASE);
    assert_eq!(service.state(&id), SessionState::Finished);
    assert!(processes > 20, "a process keeps only some of the threads: {processes}");
    let each = System.steady_now().since(begun) / u32::try_from(processes).expect("they are few");
    assert!(each < Duration::from_millis(500), "a process ends when it has nothing left to do, not {each:?} later");
}

#[test]
fn hints_that_come_twice_do_no_harm() {
    let Some(service) = Service::start(LEASE) else { return };
    let id = service.begin(TREE);
    loop {
        let hints = service.take_hints();
        if hints.is_empty() {
            break;
        }
        for hint in hints {
            service.run(std::slice::from_ref(&hint), LEASE);
            service.run(&[hint], LEASE);
        }
    }
    assert_eq!(service.state(&id), SessionState::Finished);
}

#[test]
fn a_recovery_hands_over_what_lost_processes_had() {
    let Some(service) = Service::start(Duration::from_millis(300)) else { return };
    let id = service.begin(TREE);
    // All hints of this process are lost.
    let first = service.take_hints();
    service.run(&first, LEASE);
    assert!(!service.take_hints().is_empty());
    let mut recoveries = 0;
    while service.state(&id) == SessionState::Running {
        thread::sleep(Duration::from_millis(300));
        recoveries += 1;
        assert!(recoveries < 20, "it does not go on");
        let recovered = service.process().engine.recover(System.steady_now().after(LEASE)).unwrap();
        assert_eq!(lock(&service.hints.sent).len(), recovered.threads + recovered.timers);
        service.run_all(LEASE);
    }
    assert_eq!(service.state(&id), SessionState::Finished);
    assert!(recoveries > 0);
}

#[test]
fn a_timer_is_a_hint_for_later() {
    let Some(service) = Service::start(LEASE) else { return };
    let id = service.begin("fn main() { sleep(4); 1 }");
    let begun = System.steady_now();
    let first = service.take_hints();
    service.run(&first, LEASE);
    let sent = lock(&service.hints.sent).clone();
    let [(_, Hint { not_before: Some(until), held: None, .. })] = sent[..] else { panic!("{sent:?}") };
    assert!(until >= begun.after(Duration::from_millis(3_900)), "{begun:?} {until:?}");
    // If the hint is lost, a recovery before that time sends it again.
    service.take_hints();
    let recovered = service.process().engine.recover(System.steady_now().after(LEASE)).unwrap();
    assert_eq!((recovered.threads, recovered.timers), (0, 1));
    assert_eq!(service.run_all(LEASE), 1);
    assert_eq!(service.state(&id), SessionState::Finished);
}

/// A hint cannot be delayed for that long, so it is dropped, and the recovery that runs shortly before it is due sends
/// it.
#[test]
fn a_timer_that_runs_out_much_later_is_a_hint_of_a_recovery() {
    let Some(service) = Service::start(LEASE) else { return };
    let id = service.begin("fn main() { print(\"begun\"); sleep(3600); print(\"rested\"); 1 }");
    let first = service.take_hints();
    service.run(&first, LEASE);
    let sent = service.take_hints();
    let [(_, Hint { not_before: Some(due), .. })] = sent[..] else { panic!("{sent:?}") };
    let recover = |passed: u64| {
        let later = Later(Duration::from_secs(passed));
        let horizon = later.steady_now().after(Duration::from_secs(90));
        let recovered = service.process_in(Arc::new(later), Options::default()).engine.recover(horizon).unwrap();
        (recovered.threads, recovered.timers)
    };
    assert_eq!((recover(0), recover(3_500)), ((0, 0), (0, 0)));
    // Two recoveries in a row send it.
    assert_eq!((recover(3_515), recover(3_575)), ((0, 1), (0, 1)));
    let hints = service.take_hints();
    assert!(hints.len() == 2 && hints.iter().all(|(_, hint)| hint.not_before == Some(due)), "{hints:?}");
    let run = |passed: u64, hint: &(SessionId, Hint)| {
        let later = Arc::new(Later(Duration::from_secs(passed)));
        let process = service.process_in(later.clone(), Options::default());
        process.run(std::slice::from_ref(hint), deadline(later.steady_now(), LEASE));
    };
    // A hint that is delivered too early is sent again, for the same time.
    run(3_580, &hints[0]);
    let again = service.take_hints();
    assert!(matches!(again[..], [(_, Hint { not_before: Some(until), .. })] if until == due), "{again:?}");
    for hint in hints.iter().chain(&again) {
        run(3_601, hint);
    }
    assert_eq!(service.state(&id), SessionState::Finished);
    let storage = service.storage();
    let report = Outside::open(&*storage, &System, &id).unwrap().report(true).unwrap();
    let printed: Vec<&str> = report.output.iter().map(|item| item.text.trim_end()).collect();
    assert_eq!(printed, ["begun", "rested"]);
}

#[test]
fn a_process_that_is_stopped_soon_hands_on_what_computes() {
    let Some(service) = Service::start(LEASE) else { return };
    let id = service.begin(&format!("{COMPUTE} fn main() {{ compute(now() + 4) }}"));
    let (first, begun) = (service.take_hints(), System.steady_now());
    service.run(&first, Duration::from_millis(400));
    assert!(System.steady_now().since(begun) < Duration::from_millis(1_500));
    assert_eq!(service.state(&id), SessionState::Running);
    let sent = lock(&service.hints.sent).clone();
    let [(_, Hint { held: Some(_), not_before: None, .. })] = sent[..] else { panic!("{sent:?}") };
    assert!(service.run_all(Duration::from_millis(400)) > 1);
    assert_eq!(service.state(&id), SessionState::Finished);
}

#[test]
fn a_call_begins_where_it_has_time() {
    let Some(service) = Service::start(LEASE) else { return };
    let id = service.begin("import(f, src.x, 0); fn main() { f() }");
    // Less than half of this process's time is left.
    let first = service.take_hints();
    let now = System.steady_now();
    let engine = service.process().engine;
    let deadline = Deadline { long_calls_until: now, winds_down: now.after(LEASE), calls_end: now.after(LEASE) };
    engine.set_deadline(Some(deadline));
    engine.run_assigned(&first.iter().map(|(id, hint)| hint.assignment(id)).collect::<Vec<_>>()).unwrap();
    assert!(lock(&service.functions.0).is_empty(), "it must not begin");
    assert_eq!(service.run_all(Duration::from_secs(20)), 1);
    assert_eq!(service.state(&id), SessionState::Finished);
    let made = lock(&service.functions.0).clone();
    let [(1, Some(timeout))] = made[..] else { panic!("the first attempt is made once: {made:?}") };
    assert!(timeout > Duration::from_secs(15) && timeout < Duration::from_secs(20), "{timeout:?}");
}

/// A due thread whose hint does not hand it over.
#[test]
fn a_hinted_thread_that_nobody_holds_is_taken() {
    let Some(service) = Service::start(LEASE) else { return };
    let id = service.begin("fn main() { error(\"not yet\") }");
    service.run_all(LEASE);
    assert_eq!(service.state(&id), SessionState::Broken);
    let storage = service.storage();
    Outside::open(&*storage, &System, &id).unwrap().retry().unwrap();
    assert_eq!(service.state(&id), SessionState::Running);
    assert!(service.run_all(LEASE) >= 1);
    assert_eq!(service.state(&id), SessionState::Broken);
}

/// A process of this size, where the main size has 512 MB and lives for calls of 230 seconds.
fn sized(memory: u32, call_seconds: u32) -> Option<Sizes> {
    Some(Sizes { own: Size { memory, call_seconds }, main: Size { memory: 512, call_seconds: 230 } })
}

fn places(hints: &[(SessionId, Hint)]) -> Vec<String> {
    hints.iter().map(|(_, hint)| hint.place.to_string()).collect()
}

#[test]
fn a_process_that_is_too_small_hands_a_thread_on_as_it_is() {
    let Some(service) = Service::start(LEASE) else { return };
    let id = service.begin("#[memory(2048)] fn main() { await future(\"answer\", \"x\"); sleep(0.1); 1 }");
    let first = service.take_hints();
    assert_eq!(places(&first), [":2048"]);
    service.run_as(sized(512, 230), &first);
    assert_eq!(service.take_hints(), first, "nothing has changed but who holds it");
    service.run_as(sized(2048, 230), &first);
    // The process that wakes it knows its place.
    let storage = service.storage();
    Outside::open(&*storage, &System, &id).unwrap().resolve("answer/x", Value::Null).unwrap();
    let woken = service.take_hints();
    assert_eq!(places(&woken), [":2048"]);
    // A process that is too small does not run it.
    service.run_as(sized(512, 230), &woken);
    assert_eq!(service.take_hints(), woken);
    service.run_as(sized(4096, 230), &woken);
    let timer = service.take_hints();
    thread::sleep(Duration::from_millis(200));
    service.run_as(sized(512, 230), &timer);
    let timer = service.take_hints();
    assert_eq!(places(&timer), [":2048"], "the time is over, and it would run");
    service.run_as(sized(2048, 230), &timer);
    assert_eq!(service.state(&id), SessionState::Finished);
}

#[test]
fn a_long_call_is_made_by_a_process_that_lives_long_enough() {
    let Some(service) = Service::start(LEASE) else { return };
    let id = service.begin("#[timeout(600)] import(f, src.x, 0); fn main() { f() + f() }");
    let first = service.take_hints();
    service.run_as(sized(512, 230), &first);
    let moved = service.take_hints();
    assert_eq!(places(&moved), ["::600"]);
    assert!(lock(&service.functions.0).is_empty(), "it must not begin");
    // If the hint is lost, the recovery does not know how long the call may take.
    let recovered: Vec<(SessionId, Hint)> =
        moved.iter().map(|(id, hint)| (id.clone(), Hint::now(hint.thread))).collect();
    service.run_as(sized(512, 230), &recovered);
    let handed_on = service.take_hints();
    assert_eq!(places(&handed_on), ["::600"]);
    assert!(handed_on[0].1.held.is_some());
    // The second call is made there as well.
    service.run_as(sized(512, 600), &handed_on);
    assert_eq!(service.state(&id), SessionState::Finished);
    let made = lock(&service.functions.0).clone();
    assert_eq!(made, [(1, Some(Duration::from_secs(600))); 2], "each is the first attempt, and has all of its time");
}

/// A thread that only calls an import is started where the call can be made.
#[test]
fn threads_begin_where_they_are_at_home() {
    let Some(service) = Service::start(LEASE) else { return };
    let id = service.begin(
        "#[memory(2048)] #[timeout(600)] import(f, src.x, 1); #[memory(128)] fn small(n) { n }
         fn main() { a = async f(1); b = async small(2); await a + await b }",
    );
    let first = service.take_hints();
    service.run_as(sized(512, 230), &first);
    let others = service.take_hints();
    assert_eq!(places(&others), [":2048:600"], "the small one fits");
    assert!(others[0].1.held.is_some());
    service.run_as(sized(2048, 600), &others);
    assert!(service.take_hints().is_empty(), "the main function fits there");
    assert_eq!(service.state(&id), SessionState::Finished);
}

#[test]
fn a_session_goes_on_with_the_code_that_it_began_with() {
    let Some(service) = Service::start(LEASE) else { return };
    let (old, new) = (service.coded_process("v1"), service.coded_process("v2"));
    let id = service.begin_in(&old, "fn main() { sleep(0.01); 1 }");
    let first = service.take_hints();
    // The hint has reached a process with other code.
    service.run_in(&new, &first, LEASE);
    let handed_on = service.take_hints();
    let [(_, hint)] = &handed_on[..] else { panic!("{handed_on:?}") };
    assert_eq!((hint.code.as_deref(), hint.held, hint.left), (Some("v1"), first[0].1.held, first[0].1.left));
    service.run_in(&old, &handed_on, LEASE);
    // Its timer, too, reaches the new code, and no process holds the thread.
    let timer = service.take_hints();
    assert_eq!((timer.len(), timer[0].1.code.as_deref()), (1, None));
    thread::sleep(Duration::from_millis(20));
    service.run_in(&new, &timer, LEASE);
    let handed_on = service.take_hints();
    assert_eq!(handed_on.iter().map(|(_, hint)| hint.code.as_deref()).collect::<Vec<_>>(), [Some("v1")]);
    service.run_in(&old, &handed_on, LEASE);
    assert_eq!(service.state(&id), SessionState::Finished);
}

#[test]
fn a_session_whose_code_is_gone_goes_on_with_what_there_is() {
    let Some(service) = Service::start(LEASE) else { return };
    let id = service.begin_in(&service.coded_process("gone"), "fn main() { 1 }");
    let first = service.take_hints();
    service.run_in(&service.coded_process("v2"), &first, LEASE);
    assert_eq!(service.state(&id), SessionState::Finished);
}

/// The fault may have been corrected since.
#[test]
fn a_retry_takes_the_newest_code() {
    let Some(service) = Service::start(LEASE) else { return };
    let (old, new) = (service.coded_process("v1"), service.coded_process("v2"));
    let id = service.begin_in(&old, "fn main() { error(\"not yet\") }");
    let first = service.take_hints();
    service.run_in(&old, &first, LEASE);
    assert_eq!(service.state(&id), SessionState::Broken);
    let storage = service.storage();
    Outside::open(&*storage, &System, &id).unwrap().retry().unwrap();
    let woken = service.take_hints();
    service.run_in(&new, &woken, LEASE);
    assert!(service.take_hints().iter().all(|(_, hint)| hint.code.is_none()), "it was not handed on");
    assert_eq!(service.state(&id), SessionState::Broken);
}
