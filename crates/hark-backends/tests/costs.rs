//! The costs of durable sessions, counted instead of timed: hints, commits, and threads that are written again.
#![cfg(feature = "sqlite")]

use std::fs;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_backends::storage::sqlite::SqliteStorage;
use hark_bytecode::{Binding, Executable};
use hark_engine::foreign::Answer;
use hark_engine::outside::Outside;
use hark_engine::storage::Range;
use hark_engine::{
    Call, CallId, CallSink, Catalog, Engine, Foreign, FutureId, Invoker, NoForeign, Observer, Options, OutputItem,
    Ports, Report, Runner, Scope, SessionId, SessionStorage, Space, Start, Status, Storage, StorageError, Tenure,
    ThreadId, Timestamp, Unattended,
};
use hark_machine::{Program, Value, text_of};

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("hark-costs-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A pool that counts the hints from outside of its workers: from the agenda, and from steps that wake many threads.
struct Counting {
    pool: Threads,
    hints: AtomicUsize,
}

impl Invoker for Counting {
    fn invoke(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]) {
        self.hints.fetch_add(threads.len(), Ordering::Relaxed);
        self.pool.invoke(runner, threads);
    }

    fn width(&self) -> usize {
        self.pool.width()
    }

    fn serve(&self, done: &AtomicBool) {
        self.pool.serve(done);
    }

    fn nudge(&self) {
        self.pool.nudge();
    }

    fn forget(&self, runner: &Arc<dyn Runner>) {
        self.pool.forget(runner);
    }
}

/// A storage that counts how many sessions are opened.
struct Opened {
    file: Arc<SqliteStorage>,
    count: AtomicUsize,
}

impl Storage for Opened {
    fn session(&self, id: &SessionId, program: &Arc<Program>) -> Result<Arc<dyn SessionStorage>, StorageError> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.file.session(id, program)
    }

    fn space(&self) -> &dyn Space {
        self.file.space()
    }

    fn catalog(&self) -> Option<&dyn Catalog> {
        self.file.catalog()
    }

    fn tenure(&self) -> Tenure<'_> {
        self.file.tenure()
    }
}

/// A process that serves the sessions in a folder.
struct Served {
    engine: Arc<Engine>,
    storage: Arc<SqliteStorage>,
    opened: Arc<Opened>,
    invoker: Arc<Counting>,
    stop: Arc<AtomicBool>,
    sweeper: Option<thread::JoinHandle<()>>,
}

impl Served {
    fn new(folder: &Folder) -> Served {
        Served::with(folder, 2, Arc::new(NoForeign))
    }

    /// A server with this number of workers and these foreign functions.
    fn with(folder: &Folder, width: usize, foreign: Arc<dyn Foreign>) -> Served {
        let storage = Arc::new(SqliteStorage::open(&folder.0).expect("the file can be made"));
        let invoker = Arc::new(Counting { pool: Threads::new(width), hints: AtomicUsize::new(0) });
        let opened = Arc::new(Opened { file: storage.clone(), count: AtomicUsize::new(0) });
        let ports =
            Ports { storage: opened.clone(), invoker: invoker.clone(), foreign, surroundings: Arc::new(System) };
        let engine = Arc::new(Engine::new(Options::default(), ports));
        let stop = Arc::new(AtomicBool::new(false));
        let (attended, stopped) = (engine.clone(), stop.clone());
        let attend = move || {
            attended.attend(Scope::Own, &stopped, &|id, error| panic!("{id}: {error}")).expect("the file is whole")
        };
        Served { engine, storage, opened, invoker, stop, sweeper: Some(thread::spawn(attend)) }
    }

    /// Runs `main()` and returns its value.
    fn run(&self, program: &Arc<Program>) -> String {
        let report = self.engine.run(start(program), Arc::new(|_: &[OutputItem]| {}));
        result(&report, program)
    }

    /// Claims all sessions and works on them. Returns their reports, which are added as the sessions end.
    fn resume(&self) -> Arc<Mutex<Vec<Report>>> {
        let reports = Arc::<Mutex<Vec<Report>>>::default();
        let ended = reports.clone();
        let observer: Arc<dyn Observer> = Arc::new(|_: &[OutputItem]| {});
        let on_end: Arc<dyn Fn(Report) + Send + Sync> =
            Arc::new(move |report| ended.lock().expect("it is whole").push(report));
        self.engine.resume(None, &observer, &on_end).expect("the file is whole");
        reports
    }

    /// Works until the condition holds.
    fn wait_until(&self, holds: impl Fn(&Served) -> bool + Sync) {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !holds(self) {
                    thread::sleep(Duration::from_millis(1));
                }
                done.store(true, Ordering::Release);
                self.invoker.nudge();
            });
            self.invoker.serve(&done);
        });
    }

    /// The number of threads of a session that wait for the Future `go/1` with their own `wait` records.
    fn waiters(&self, id: &SessionId, program: &Arc<Program>) -> usize {
        let records = self.storage.session(id, program).expect("the file is whole");
        let future = FutureId::Promise("go/1".into());
        records.scan(Range::Waiters(future), usize::MAX).expect("the file is whole").len()
    }

    fn hints(&self) -> usize {
        self.invoker.hints.load(Ordering::Relaxed)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.storage.catalog().expect("it keeps sessions").ring();
        let _ = self.sweeper.take().map(thread::JoinHandle::join);
        self.engine.release().expect("the file is whole");
    }
}

fn program(text: &str) -> Arc<Program> {
    let compilation = hark_compiler::compile("test.hk", text);
    let executable = compilation.executable.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics));
    Arc::new(Program::new(executable).expect("the program is sound"))
}

fn start(program: &Arc<Program>) -> Start {
    let Some(Binding::Function(main)) = program.executable().binding("main") else { panic!("there is no `main`") };
    Start::new(program.clone(), Value::Function(main), Vec::new())
}

fn result(report: &Report, program: &Program) -> String {
    assert!(report.errors.is_empty(), "{report:?}");
    report.result.as_ref().map_or_else(String::new, |value| text_of(value, program.executable()))
}

/// Starts `n` threads of `each(f)`, and adds up their values.
const MANY: &str = "
    fn start(n, f, all) { if n == 0 { all } else { start(n - 1, f, append(all, async each(f))) } }
    fn total(all, sum) { if nullp(all) { sum } else { total(rest(all), sum + await first(all)) } }";

/// A look at the agenda used to name again every due thread that had not had its turn yet.
#[test]
fn a_thread_that_is_due_gets_few_hints() {
    const THREADS: usize = 3_000;
    let program =
        program(&format!("{MANY} fn each(f) {{ sleep(0.001); 1 }} fn main() {{ total(start({THREADS}, 0, []), 0) }}"));
    let folder = Folder::new();
    let served = Served::new(&folder);
    assert_eq!(served.run(&program), THREADS.to_string());
    // One hint for its due time, and one more if the agenda was read before the thread's step was on disk.
    assert!(served.hints() <= 2 * THREADS + 100, "{} hints for {THREADS} threads", served.hints());
}

/// Each answer used to remove the thread from the waiters of all remaining Futures, and each wait added it again.
#[test]
fn any_of_many_futures_again_and_again_costs_no_square() {
    const THREADS: u64 = 3_000;
    let program = program(&format!(
        "fn each(n) {{ sleep(0.0001 * n); n }}
        fn drain(l, sum) {{ if nullp(l) {{ sum }} else {{ [i, x] = any(l); drain(slice(l, 0, i) + slice(l, i + 1), sum + x) }} }}
        fn main() {{ drain(map(range({THREADS}), lambda (n) {{ async each(n) }}), 0) }}"
    ));
    let folder = Folder::new();
    let served = Served::new(&folder);
    assert_eq!(served.run(&program), (THREADS * (THREADS - 1) / 2).to_string());
    let commits = served.storage.work().commits;
    assert!(commits <= 4 * THREADS, "{commits} commits for {THREADS} threads");
}

/// A waiter beyond the sixteenth used to be loaded and written again at each restart.
#[test]
fn a_restart_writes_no_waiter_again() {
    const THREADS: usize = 200;
    let program = program(&format!(
        "{MANY} fn each(f) {{ await f }} fn main() {{ total(start({THREADS}, future(\"go\", 1), []), 0) }}"
    ));
    let folder = Folder::new();
    let id = {
        let served = Served::new(&folder);
        let id = served.engine.leave_to_others(start(&program)).expect("the file can be written");
        let reports = served.resume();
        served.wait_until(|served| served.waiters(&id, &program) == THREADS - 16);
        drop(served);
        assert_eq!(reports.lock().unwrap().len(), 0, "they all wait");
        id
    };
    let served = Served::new(&folder);
    let reports = served.resume();
    assert_eq!(served.storage.work().commits, 0, "nothing is new");
    let outside = Outside::open(&*served.storage, &System, &id).expect("it is there");
    let before = served.storage.work().commits;
    outside.resolve("go/1", Value::Integer(1)).expect("it is pending");
    served.wait_until(|_| !reports.lock().unwrap().is_empty());
    let report = reports.lock().unwrap().pop().expect("it has ended");
    assert_eq!(result(&report, &program), THREADS.to_string());
    let commits = served.storage.work().commits - before;
    assert!(commits <= THREADS as u64 * 3 / 2, "{commits} commits");
}

/// A process that resumes all sessions waits for their ends, but loads only those in which something happens.
#[test]
fn sessions_that_wait_are_resumed_without_being_opened() {
    const SESSIONS: usize = 60;
    let program = program("fn main() { await future(\"go\", 1) }");
    let folder = Folder::new();
    let ids: Vec<SessionId> = {
        let served = Served::new(&folder);
        let ids: Vec<SessionId> =
            (0..SESSIONS).map(|_| served.engine.leave_to_others(start(&program)).expect("it can be written")).collect();

        served.resume();
        served.wait_until(|served| {
            let Tenure::Servers(file) = served.storage.tenure() else { panic!("its sessions have servers") };
            let is_waiting = |id| file.unattended(id, Timestamp(0)).is_ok_and(|left| left == Unattended::default());
            ids.iter().all(is_waiting)
        });
        ids
    };
    let served = Served::new(&folder);
    let reports = served.resume();
    let opened = || served.opened.count.load(Ordering::Relaxed);
    assert_eq!(opened(), 0);
    let outside = |id: &SessionId| Outside::open(&*served.storage, &System, id).expect("it is there");
    outside(&ids[3]).resolve("go/1", Value::Integer(7)).expect("it is pending");
    outside(&ids[4]).cancel_now().expect("it is not over");
    served.wait_until(|_| reports.lock().unwrap().len() >= 2);
    let ended = std::mem::take(&mut *reports.lock().unwrap());
    assert_eq!(ended.len(), 2);
    // Reports come in no fixed order.
    let end_of = |id: &SessionId| ended.iter().find(|report| report.session == *id).expect("it has ended");
    assert_eq!(result(end_of(&ids[3]), &program), "7");
    assert_eq!(end_of(&ids[4]).status, Status::Cancelled);
    assert!(opened() <= 4, "{} were opened", opened());
    served.engine.cancel_handle().cancel();
    let left = std::mem::take(&mut *reports.lock().unwrap());
    assert_eq!(left.len(), SESSIONS - 2);
    assert!(left.iter().all(|report| report.status == Status::Suspended && report.errors.is_empty()));
}

/// An index or a query that builds a temporary table each time costs a new session a tenth of its time.
#[test]
fn a_new_session_needs_no_temporary_table() {
    let folder = Folder::new();
    let _storage = SqliteStorage::open(&folder.0).unwrap();
    let connection = rusqlite::Connection::open(folder.0.join("hark.db")).unwrap();
    let insert = "INSERT INTO session VALUES (NULL, 'id', 1, 'running', NULL, 1, 1, '{}')";
    let mut explained = connection.prepare(&format!("EXPLAIN {insert}")).unwrap();
    let operations = explained.query_map([], |row| row.get::<_, String>(1)).unwrap().map(Result::unwrap);
    let operations: Vec<String> = operations.collect();
    assert!(operations.iter().any(|operation| operation == "IdxInsert"), "{operations:?}");
    assert!(!operations.iter().any(|operation| operation == "OpenEphemeral"), "{operations:?}");
}

/// A commit takes twice as long while the log grows, so the log of a small file must not grow for long.
#[test]
fn the_log_of_a_small_file_is_used_again_early() {
    let program = program(
        "fn leaf(n) { n }
        fn go(n, total) {
            if n == 0 { total } else {
                kept = map(range(40000), lambda (i) { i * n });
                value = await async leaf(n);
                go(n - 1, total + value + last(kept))
            }
        }
        fn main() { go(200, 0) }",
    );
    let folder = Folder::new();
    let served = Served::new(&folder);
    assert_eq!(served.run(&program), (20_100 * 40_000).to_string());
    let length = |name: &str| fs::metadata(folder.0.join(name)).expect("it is there").len();
    let (file, log) = (length("hark.db"), length("hark.db-wal"));
    assert!(log < 8 << 20 && file < 4 << 20, "{log} bytes of log and {file} of the file");
}

/// A function that answers no call before `count` calls have been made.
struct Together {
    count: usize,
    answers: Mutex<Vec<Answer>>,
}

impl Foreign for Together {
    fn call(&self, _: &Executable, _: Call, _: CallSink, answer: Answer) {
        let mut answers = self.answers.lock().expect("it is whole");
        answers.push(answer);
        if answers.len() == self.count {
            let answers = mem::take(&mut *answers);
            answers.into_iter().for_each(|answer| answer(Ok(Value::Integer(1))));
        }
    }

    fn cancel(&self, _: &SessionId) {}

    fn cancel_call(&self, _: &CallId) {}
}

/// Each thread has one step that begins its call and one that ends with its result.
#[test]
fn the_results_of_calls_that_end_together_share_a_commit() {
    const CALLS: usize = 400;
    let program = program(&format!(
        "import(one, src.one, 1);
        fn main() {{ sum(map_async(range({CALLS}), one)) }}"
    ));
    let folder = Folder::new();
    let served = Served::with(&folder, 1, Arc::new(Together { count: CALLS, answers: Mutex::default() }));
    assert_eq!(served.run(&program), CALLS.to_string());
    let work = served.storage.work();
    assert!(work.commits >= 2 * CALLS as u64, "{work:?}");
    assert!(work.fsyncs <= CALLS as u64 / 4, "{work:?}");
}
