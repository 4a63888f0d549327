//! The worker's side.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use hark_engine::remote::{Told, Upstream};
use hark_engine::{Engine, SessionId};

use super::{Down, Up};
use crate::surroundings::System;

/// The supervisor, as a worker speaks to it.
pub struct Supervisor {
    socket: Mutex<UnixStream>,
}

impl Supervisor {
    /// At the other end of this socket.
    pub fn new(socket: UnixStream) -> Supervisor {
        Supervisor { socket: Mutex::new(socket) }
    }

    /// Says that this process lives, four times in the time after which it would be believed dead.
    pub fn keep_up(&self, lease: Duration) {
        while self.write("\n").is_ok() {
            thread::sleep(lease / 4);
        }
    }

    fn write(&self, line: &str) -> io::Result<()> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
    }
}

impl Upstream for Supervisor {
    fn tell(&self, session: &SessionId, told: Told) {
        let up = Up { session: session.to_string(), told };
        if let Ok(mut line) = serde_json::to_string(&up) {
            line.push('\n');
            // If it is gone, so will this process be.
            let _ = self.write(&line);
        }
    }
}

/// Does what the supervisor says, until it is gone.
pub fn work(engine: &Engine, upstream: &dyn Upstream, socket: UnixStream) {
    for line in BufReader::new(socket).lines() {
        let Ok(line) = line else { return };
        match serde_json::from_str(&line) {
            Ok(Down::Run { session, threads, lost, steady_offset }) => {
                System::set_steady_offset(steady_offset);
                let session = SessionId::from_text(&session);
                if let Err(error) = engine.run_threads(&session, &threads, &lost) {
                    upstream.tell(&session, Told::Failed(error));
                }
            }
            Ok(Down::Forget { session }) => engine.forget(&SessionId::from_text(&session)),
            Err(_) => return,
        }
    }
}
