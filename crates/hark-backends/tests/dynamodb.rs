//! The DynamoDB table against the suites for all storages, with a server on this machine.
//!
//! The server is `dynoxide`, which `./check` installs; `HARK_DYNAMODB_SERVER` names another program that is started as
//! `PROGRAM serve --port N`. With `HARK_DYNAMODB_ENDPOINT` the tests use a running server, such as AWS's own DynamoDB
//! Local. Without any of these the tests are skipped with a message.

#![cfg(feature = "dynamodb")]

#[path = "support/dynamodb.rs"]
mod server;

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_backends::storage::dynamodb::{Created, DynamoStorage};
use hark_bytecode::Binding;
use hark_engine::conformance::{check_leases, check_rows, check_storage};
use hark_engine::rows::RowStorage;
use hark_engine::storage::Range;
use hark_engine::{
    Commit, Engine, Event, FutureId, FutureRecord, Invoker, Key, Live, LogEntry, NoForeign, Options, Outcome, Pools,
    Ports, Record, Scope, SessionId, SessionState, Stamp, Start, Storage, Surroundings, Tenure, Terms, ThreadId,
    Timestamp, step,
};
use hark_machine::{ObjectBody, Pickle, Program, Thread, Value, text_of};
use server::{BucketServer, Proxy, Server, new_table};

fn program(text: &str) -> Arc<Program> {
    let compilation = hark_compiler::compile("test.hk", text);
    let executable = compilation.executable.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics));
    Arc::new(Program::new(executable).expect("the program is sound"))
}

#[test]
fn the_table_is_a_storage() {
    let Some(server) = Server::start() else { return };
    check_storage(&|| -> Arc<dyn Storage> { Arc::new(new_table(&server).1) });
}

#[test]
fn the_table_is_a_storage_of_rows() {
    let Some(server) = Server::start() else { return };
    check_rows(&|| -> Arc<dyn RowStorage> { new_table(&server).1.rows() });
}

#[test]
fn the_table_is_a_storage_whose_threads_are_leased() {
    let Some(server) = Server::start() else { return };
    check_leases(&|| -> Arc<dyn Storage> { Arc::new(new_table(&server).1) });
}

#[test]
fn the_table_is_a_storage_with_a_bucket() {
    let (Some(server), Some(bucket)) = (Server::start(), BucketServer::start()) else { return };
    check_storage(&|| -> Arc<dyn Storage> { Arc::new(bucket.new_table(&server)) });
    check_rows(&|| -> Arc<dyn RowStorage> { bucket.new_table(&server).rows() });
    check_leases(&|| -> Arc<dyn Storage> { Arc::new(bucket.new_table(&server)) });
}

#[test]
fn what_is_large_is_whole_in_a_bucket() {
    let (Some(server), Some(bucket)) = (Server::start(), BucketServer::start()) else { return };
    let storage = bucket.new_table(&server);
    large_values_are_whole(&storage);
    let counts = storage.counts();
    assert!(counts.calls["PutObject"] > 50 && counts.calls["GetObject"] > 50, "{counts:?}");
    assert_eq!(counts.calls["DeleteObject"], counts.calls["PutObject"], "{counts:?}");
    for finding in storage.check().unwrap() {
        assert_eq!(finding.fault, None, "{}", finding.subject);
    }
}

#[test]
fn a_table_is_made_once_and_is_as_it_must_be() {
    let Some(server) = Server::start() else { return };
    let (_, storage) = new_table(&server);
    assert_eq!(storage.create_table(), Ok(Created::Existing));
    for finding in storage.check().unwrap() {
        assert_eq!(finding.fault, None, "{}", finding.subject);
    }
    let missing = server.open("no-such-table");
    let findings = missing.check().unwrap();
    let fault = findings[0].fault.as_deref().unwrap_or_default();
    assert!(fault.contains("`no-such-table`") && fault.contains("hark storage init"), "{findings:?}");
}

fn stamp(number: u64) -> Stamp {
    Stamp(NonZeroU64::new(number).expect("a stamp is not 0"))
}

fn live() -> Box<Live> {
    Live::new(Thread::new(Value::Integer(1), vec![Value::Null]))
}

/// How many threads the oversized commit starts: its rows are written in three transactions before it.
const CHILDREN: u64 = 250;

/// A process that has held threads since then has held them for too long.
const LONG_AGO: Timestamp = Timestamp(1_000_000);

/// The step of a thread that starts many others.
fn oversized() -> Commit {
    let mut commit = Commit::new(stamp(2));
    commit.expect.push((Key::Live(ThreadId(0)), Some(stamp(1))));
    commit.put.push(Record::Live(ThreadId(0), live()));
    commit.fresh = (1..=CHILDREN).map(|thread| Record::Live(ThreadId(thread), live())).collect();
    let event = Event::Printed { text: "spawned\n".to_owned(), attempt: None };
    commit.log.push(LogEntry { time: LONG_AGO, thread: ThreadId(0), event });
    commit.terms = Some(Terms { now: LONG_AGO, until: LONG_AGO });
    commit
}

/// A writer is stopped after each of its writes in turn. Others find its session, take the rest of it, and the writer
/// continues: all of its threads exist, or none.
#[test]
fn a_writer_that_stops_within_an_oversized_commit_has_made_all_of_it_or_nothing() {
    let Some(server) = Server::start() else { return };
    let program = program("fn main() { 1 }");
    let mut fates = Vec::new();
    for writes in 0.. {
        let (table, direct) = new_table(&server);
        let id = SessionId::new(LONG_AGO, writes);
        let records = direct.session(&id, &program).unwrap();
        let mut begun = Commit::new(stamp(1));
        step::start(&Arc::default(), live(), &mut begun);
        assert_eq!(records.commit(&mut begun), Ok(Outcome::Done));
        let proxy = Proxy::start(&server, &["--hold-at", &writes.to_string()]);
        let behind = proxy.open(&table);
        let writer = behind.session(&id, &program).unwrap();
        let (is_held, outcome, before) = thread::scope(|scope| {
            let written = scope.spawn(|| {
                assert_eq!(writer.reserve(CHILDREN), Ok(ThreadId(1)));
                writer.commit(&mut oversized())
            });
            while !written.is_finished() && !proxy.holds() {
                thread::sleep(Duration::from_millis(1));
            }
            let is_held = !written.is_finished();
            let before = taken(&direct);
            proxy.release();
            (is_held, written.join().unwrap(), before)
        });
        let after = records.scan(Range::Live(ThreadId(0)), usize::MAX).unwrap().len() as u64;
        let pages = records.history(0, 9).unwrap().iter().filter(|(_, entry)| entry.printed().is_some()).count();
        match outcome {
            Ok(Outcome::Done) => assert_eq!((after, pages), (CHILDREN + 1, 1), "after {writes} writes"),
            Ok(Outcome::Conflict) => assert_eq!((after, pages), (1, 0), "after {writes} writes"),
            other => panic!("after {writes} writes: {other:?}"),
        }
        // Taking the first thread fences its former holder.
        assert_eq!(before == CHILDREN + 1, outcome == Ok(Outcome::Done), "after {writes} writes, {before} were there");
        fates.push(outcome);
        if !is_held {
            break;
        }
    }
    assert!(fates.len() > 4, "it has some writes: {fates:?}");
    assert_eq!(fates.pop(), Some(Ok(Outcome::Done)), "nobody has stopped it");
    assert!(fates.iter().all(|fate| *fate == Ok(Outcome::Conflict)), "{fates:?}");
}

/// Takes all due threads as another process, and returns their number.
fn taken(storage: &DynamoStorage) -> u64 {
    let Tenure::Leases(leases) = storage.tenure() else { panic!("its threads are leased") };
    let now = System.now();
    let terms = Terms { now, until: now.after(Duration::from_secs(10)) };
    leases.take(None, &Pools::All, terms, stamp(99), 1_000).expect("threads can be taken").len() as u64
}

#[test]
fn what_is_larger_than_an_item_or_a_transaction_is_whole() {
    let Some(server) = Server::start() else { return };
    large_values_are_whole(&new_table(&server).1);
}

fn large_values_are_whole(storage: &DynamoStorage) {
    let program = program("fn main() { 1 }");
    let id = SessionId::new(LONG_AGO, 1);
    let records = storage.session(&id, &program).expect("the table answers");
    let mut begun = Commit::new(stamp(1));
    step::start(&Arc::default(), live(), &mut begun);
    assert_eq!(records.commit(&mut begun), Ok(Outcome::Done));
    // Bytes without a pattern: nothing makes them smaller.
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let random: Vec<u8> = std::iter::repeat_with(&mut next).take(3 << 20).collect();
    let text: String = random.iter().map(|byte| char::from(b' ' + byte % 95)).collect();
    let pickle = Arc::new(Pickle::new(random.clone()));
    let object = Value::object(ObjectBody::new("bytes", None::<&str>, pickle));
    let mut commit = Commit::new(stamp(2));
    let resolved = |thread, value| Record::Future(FutureId::Thread(ThreadId(thread)), FutureRecord::Resolved(value));
    commit.put = vec![resolved(1, object), resolved(2, Value::string(&text)), resolved(3, Value::string(&text))];
    for text in [&text[..], "short\n", &text[..1 << 20]] {
        let event = Event::Printed { text: text.to_owned(), attempt: None };
        commit.log.push(LogEntry { time: LONG_AGO, thread: ThreadId(0), event });
    }
    assert_eq!(records.commit(&mut commit), Ok(Outcome::Done));
    let elsewhere = storage.session(&id, &program).expect("the table answers");
    let mut found = Vec::new();
    let keys = [1, 2, 3].map(|thread| Key::Future(FutureId::Thread(ThreadId(thread))));
    elsewhere.read(&keys, &mut found).expect("the table answers");
    let values = found.into_iter().map(|found| match found.expect("the table answers").record {
        Record::Future(_, FutureRecord::Resolved(value)) => value,
        other => panic!("another record: {other:?}"),
    });
    match &values.collect::<Vec<_>>()[..] {
        [Value::Object(object), Value::String(one), Value::String(other)] => {
            assert!(*object.pickle().bytes().expect("the table answers") == random[..]);
            assert!(one.as_str() == text && other.as_str() == text);
        }
        other => panic!("other values: {other:?}"),
    }
    let printed: Vec<usize> = elsewhere
        .history(0, 9)
        .expect("the table answers")
        .iter()
        .map(|(_, entry)| entry.printed().map_or(0, |item| item.text.len()))
        .collect();
    assert_eq!(printed, [3 << 20, 6, 1 << 20]);
    let mut delete = Commit::new(stamp(3));
    delete.delete = keys.to_vec();
    assert_eq!(elsewhere.commit(&mut delete), Ok(Outcome::Done));
    assert_eq!(storage.catalog().expect("the table answers").remove(&id, stamp(1)), Ok(true));
    assert!(records.history(0, 9).expect("the table answers").is_empty());
}

/// A process that serves sessions in a table.
struct Served {
    engine: Arc<Engine>,
    storage: Arc<DynamoStorage>,
    invoker: Arc<Threads>,
    stop: Arc<AtomicBool>,
    attendant: Option<thread::JoinHandle<()>>,
}

impl Served {
    /// A process that sweeps sessions of this scope, or only runs the sessions that it starts.
    fn new(storage: DynamoStorage, attends: Option<Scope>) -> Served {
        let storage = Arc::new(storage);
        let (invoker, foreign) = (Arc::new(Threads::new(2)), Arc::new(NoForeign));
        let ports =
            Ports { storage: storage.clone(), invoker: invoker.clone(), foreign, surroundings: Arc::new(System) };
        let engine = Arc::new(Engine::new(Options::default(), ports));
        let stop = Arc::new(AtomicBool::new(false));
        let (attended, stopped) = (engine.clone(), stop.clone());
        let attend = |scope| {
            move || attended.attend(scope, &stopped, &|id, error| panic!("{id}: {error}")).expect("the server answers")
        };
        Served { engine, storage, invoker, stop, attendant: attends.map(|scope| thread::spawn(attend(scope))) }
    }

    /// Runs `main()`; answers its value, and how many calls were made for it.
    fn run(&self, text: &str) -> (String, u64) {
        let program = program(text);
        let Some(Binding::Function(main)) = program.executable().binding("main") else { panic!("there is no `main`") };
        // The program itself is written once.
        let catalog = self.storage.catalog().expect("it keeps sessions");
        catalog.put_program(&program.hash().to_string(), program.executable()).expect("it can be kept");
        let before = self.calls();
        let start = Start::new(program.clone(), Value::Function(main), Vec::new());
        let (ended, report) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
        let on_end = {
            let (ended, report, invoker) = (ended.clone(), report.clone(), self.invoker.clone());
            move |found| {
                *report.lock().expect("it is whole") = Some(found);
                ended.store(true, Ordering::Release);
                invoker.nudge();
            }
        };
        self.engine.submit(start, on_end).expect("it can be begun");
        self.invoker.serve(&ended);
        let report = report.lock().expect("it is whole").take().expect("it has ended");
        assert!(report.errors.is_empty(), "{report:?}");
        let calls = self.calls() - before;
        (report.result.map_or_else(String::new, |value| text_of(&value, program.executable())), calls)
    }

    fn calls(&self) -> u64 {
        self.storage.counts().calls.values().sum()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.storage.catalog().expect("it keeps sessions").ring();
        let _ = self.attendant.take().map(thread::JoinHandle::join);
    }
}

const FAN_OUT: &str = "
    fn start(n, all) { if n == 0 { all } else { start(n - 1, append(all, async each(n))) } }
    fn each(n) { n }
    fn total(all, sum) { if nullp(all) { sum } else { total(rest(all), sum + await first(all)) } }
    fn main() { total(start(200, []), 0) }";

#[test]
fn a_session_that_does_nothing_takes_one_call() {
    let Some(server) = Server::start() else { return };
    let served = Served::new(new_table(&server).1, None);
    let (value, calls) = served.run("fn main() { 1 + 1 }");
    assert_eq!(value, "2");
    assert_eq!(calls, 1, "{:?}", served.storage.counts());
}

/// All calls count: those of each look at what is due, of polls and of retries.
#[test]
fn a_fan_out_takes_few_calls_for_each_thread() {
    let Some(server) = Server::start() else { return };
    let served = Served::new(new_table(&server).1, Some(Scope::Own));
    let (value, calls) = served.run(&FAN_OUT.replace("200", "1000"));
    assert_eq!(value, "500500");
    assert!(calls <= 1_000 * 5, "{calls} calls: {:?}", served.storage.counts());
}

/// Three units for the records of each thread, and one more for each time that the waiting thread is woken, because it reads
/// all of the Futures then. Without knowing in which order the threads are taken, it would be woken more often.
#[test]
fn a_thread_that_awaits_many_others_is_woken_seldom() {
    let Some(server) = Server::start() else { return };
    let served = Served::new(new_table(&server).1, Some(Scope::Own));
    let before = served.storage.counts().read_units;
    let (value, _) = served.run("fn each(n) { n } fn main() { sum(map_async(range(500), each)) }");
    assert_eq!(value, "124750");
    let units = (served.storage.counts().read_units - before) / 500.0;
    assert!(units < 6.0, "{units} read units for each thread: {:?}", served.storage.counts());
}

/// A look that begins between a step and the noting of its due time does not forget that time. Otherwise each sleep
/// would take a second, after which a process looks in any case.
#[test]
fn a_sleep_ends_in_time() {
    let Some(server) = Server::start() else { return };
    let served = Served::new(new_table(&server).1, Some(Scope::Own));
    let begun = Instant::now();
    let (value, calls) = served.run("fn nap(n) { if n > 0 { sleep(0.1); nap(n - 1) } } fn main() { nap(10) }");
    let took = begun.elapsed();
    assert_eq!(value, "null");
    assert!(took < Duration::from_secs(6), "ten sleeps of 0.1 s take {took:?}");
    // Besides the eight calls of each sleep, the attendant queries the table for due threads about once a second.
    let looks = 10 + 4 * took.as_secs();
    assert!(calls <= 10 * 8 + looks, "{calls} calls: {:?}", served.storage.counts());
}

/// One process creates the sessions, and another one takes and ends each: the request that takes the thread returns
/// everything that the step reads. Looks for due threads are not counted.
#[test]
fn a_session_that_is_left_to_others_takes_three_calls() {
    let Some(server) = Server::start() else { return };
    let (table, one) = new_table(&server);
    let (one, other) = (Served::new(one, None), Served::new(server.open(&table), Some(Scope::All)));
    let program = program("fn main() { 1 + 1 }");
    let Some(Binding::Function(main)) = program.executable().binding("main") else { panic!("there is no `main`") };
    one.storage.catalog().unwrap().put_program(&program.hash().to_string(), program.executable()).unwrap();
    let run = |count: usize| {
        let start = || Start::new(program.clone(), Value::Function(main), Vec::new());
        let ids: Vec<SessionId> = (0..count).map(|_| one.engine.leave_to_others(start()).unwrap()).collect();
        let begun = Instant::now();
        let is_over = |id: &SessionId| {
            let found = one.storage.catalog().unwrap().record(id).unwrap();
            found.is_some_and(|(_, record)| record.state == SessionState::Finished)
        };
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| other.invoker.serve(&stop));
            while !ids.iter().all(is_over) && begun.elapsed() < Duration::from_secs(60) {
                thread::sleep(Duration::from_millis(5));
            }
            stop.store(true, Ordering::Release);
            other.invoker.nudge();
        });
        assert!(ids.iter().all(is_over));
    };
    // The other process reads the program once.
    run(1);
    let of = |served: &Served, name: &str| served.storage.counts().calls.get(name).copied().unwrap_or_default();
    let reads = || of(&other, "GetItem") + of(&other, "BatchGetItem");
    let before = (of(&one, "TransactWriteItems"), of(&other, "UpdateItem"), of(&other, "TransactWriteItems"), reads());
    run(20);
    let after = (of(&one, "TransactWriteItems"), of(&other, "UpdateItem"), of(&other, "TransactWriteItems"), reads());
    assert_eq!((after.0 - before.0, after.1 - before.1, after.2 - before.2), (20, 20, 20));
    // Once a second a process looks whether its sessions were cancelled.
    assert!(after.3 - before.3 <= 3, "{:?}", other.storage.counts());
}

#[test]
fn what_a_bad_network_does_is_made_good() {
    let Some(server) = Server::start() else { return };
    let (table, _) = new_table(&server);
    let proxy = Proxy::start(&server, &["--rate", "0.1", "--seed", "7", "--index-delay", "1"]);
    let served = Served::new(proxy.open(&table), Some(Scope::Own));
    for _ in 0..3 {
        assert_eq!(served.run(FAN_OUT).0, "20100");
    }
    assert!(served.storage.counts().retries > 10, "{:?}", served.storage.counts());
}
