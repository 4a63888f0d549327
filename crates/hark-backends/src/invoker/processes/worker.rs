//! The worker's side of the connection.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use hark_engine::remote::{Upstream, WorkerReport};
use hark_engine::{Dispatcher, Engine, Hint, SessionId};

use super::{Message, ToSupervisor, ToWorker};
use crate::surroundings::System;

/// The worker's connection to its supervisor.
pub struct Supervisor {
    socket: Mutex<UnixStream>,
}

impl Supervisor {
    /// A supervisor at the other end of this socket.
    pub fn new(socket: UnixStream) -> Supervisor {
        Supervisor { socket: Mutex::new(socket) }
    }

    /// Sends heartbeats, four per lease, until the supervisor is gone.
    pub fn keep_up(&self, lease: Duration) {
        while self.write("\n").is_ok() {
            thread::sleep(lease / 4);
        }
    }

    fn write(&self, line: &str) -> io::Result<()> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
    }

    fn send(&self, session: &SessionId, message: Message) {
        let message = ToSupervisor { session: session.to_string(), message };
        if let Ok(mut line) = serde_json::to_string(&message) {
            line.push('\n');
            // This fails if the supervisor is gone; this process will then end as well.
            let _ = self.write(&line);
        }
    }
}

impl Dispatcher for Supervisor {
    fn dispatch(&self, session: &SessionId, hints: &[Hint]) {
        self.send(session, Message::Hints(hints.to_vec()));
    }
}

impl Upstream for Supervisor {
    fn report(&self, session: &SessionId, report: WorkerReport) {
        self.send(session, Message::Report(report));
    }
}

/// Carries out the supervisor's messages until the supervisor is gone.
pub fn work(engine: &Engine, upstream: &dyn Upstream, socket: UnixStream) {
    for line in BufReader::new(socket).lines() {
        let Ok(line) = line else { return };
        match serde_json::from_str(&line) {
            Ok(ToWorker::Run { session, threads, lost, steady_offset }) => {
                System::set_steady_offset(steady_offset);
                let session = SessionId::from_text(&session);
                if let Err(error) = engine.run_threads(&session, &threads, &lost) {
                    upstream.report(&session, WorkerReport::Failed(error));
                }
            }
            Ok(ToWorker::Forget { session }) => engine.forget(&SessionId::from_text(&session)),
            Err(_) => return,
        }
    }
}
