//! Runs the conformance suite for invokers on every invoker, and loses workers.

use std::sync::Arc;

use hark_backends::invoker::Threads;
use hark_engine::conformance::check_invoker;

#[cfg(all(feature = "sqlite", feature = "processes"))]
mod support;

#[test]
fn a_pool_of_two_is_an_invoker() {
    check_invoker(&|| Arc::new(Threads::new(2)));
}

#[test]
fn a_pool_of_eight_is_an_invoker() {
    check_invoker(&|| Arc::new(Threads::new(8)));
}

#[cfg(all(feature = "sqlite", feature = "processes"))]
mod lost_workers {
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use std::{fs, io, thread};

    use hark_backends::System;
    use hark_backends::invoker::Threads;
    use hark_backends::invoker::processes::{Processes, Supervisor, work};
    use hark_backends::storage::sqlite::SqliteStorage;
    use hark_engine::remote::{Upstream, WorkerReport};
    use hark_engine::{Dispatcher, Engine, Hint, NoForeign, Options, OutputItem, Ports, Scope, SessionId, Status};

    use crate::support;

    /// A connection to a supervisor over which one line of output is never reported: there the worker is lost.
    struct LostBeforeReport {
        supervisor: Supervisor,
        socket: UnixStream,
        line: &'static str,
    }

    impl Dispatcher for LostBeforeReport {
        fn dispatch(&self, session: &SessionId, hints: &[Hint]) {
            self.supervisor.dispatch(session, hints);
        }
    }

    impl Upstream for LostBeforeReport {
        fn report(&self, session: &SessionId, report: WorkerReport) {
            if matches!(&report, WorkerReport::Printed(items) if items.iter().any(|item| item.text == self.line)) {
                self.socket.shutdown(Shutdown::Both).expect("it is open");
                loop {
                    thread::park();
                }
            }
            self.supervisor.report(session, report);
        }
    }

    /// A worker of these sessions in this process, and a process to kill in its stead.
    fn worker(folder: &Path, server: i64, socket: UnixStream, loses: &'static str) -> io::Result<Child> {
        let storage = Arc::new(SqliteStorage::open_for_server(folder, server).expect("the file is there"));
        let (foreign, surroundings) = (Arc::new(NoForeign), Arc::new(System));
        let ports = Ports { storage, invoker: Arc::new(Threads::new(1)), foreign, surroundings };
        let invoker = ports.invoker.clone();
        let supervisor = Supervisor::new(socket.try_clone()?);
        let upstream = Arc::new(LostBeforeReport { supervisor, socket: socket.try_clone()?, line: loses });
        let engine = Engine::for_supervisor(Options::default(), ports, upstream.clone());
        thread::spawn(move || work(&engine, &*upstream, socket));
        thread::spawn(move || invoker.serve(&AtomicBool::new(false)));
        Command::new("cat").stdin(Stdio::piped()).spawn()
    }

    /// A worker may be lost after a commit that prints, and before it has reported the output.
    #[test]
    fn a_supervisor_shows_what_a_lost_worker_had_committed() {
        let folder = std::env::temp_dir().join(format!("hark-lost-worker-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let storage = Arc::new(SqliteStorage::open(&folder).unwrap());
        let server = storage.server_number().unwrap();
        let (at, started) = (folder.clone(), AtomicUsize::new(0));
        let spawn = move |_, socket| {
            // The worker is replaced by one that loses another line, and so on.
            let loses = ["1\n", "3\n", "end\n"].get(started.fetch_add(1, Ordering::Relaxed)).copied();
            worker(&at, server, socket, loses.unwrap_or("none"))
        };
        let invoker = Arc::new(Processes::new(1, Duration::from_secs(60), Box::new(spawn)));
        let ports = Ports { storage, invoker, foreign: Arc::new(NoForeign), surroundings: Arc::new(System) };
        let engine = Engine::new(Options::default(), ports);
        let shown: Arc<Mutex<String>> = Arc::default();
        let observed = shown.clone();
        let observer =
            move |items: &[OutputItem]| items.iter().for_each(|item| *observed.lock().unwrap() += &item.text);
        let program = "fn main() { count(1); print(\"end\"); 7 }
            fn count(n) { if n < 6 { print(n); sleep(0.001); count(n + 1) } }";
        let stop = AtomicBool::new(false);
        let ran = thread::scope(|threads| {
            threads.spawn(|| engine.attend(Scope::Own, &stop, &|_, error| panic!("{error}")));
            let ran = support::run_on(&engine, program, Arc::new(observer));
            stop.store(true, Ordering::Relaxed);
            ran
        });
        assert_eq!((ran.result.as_str(), ran.report.status), ("7", Status::Finished), "{:?}", ran.errors());
        assert_eq!(*shown.lock().unwrap(), "1\n2\n3\n4\n5\nend\n");
        fs::remove_dir_all(folder).unwrap();
    }
}
