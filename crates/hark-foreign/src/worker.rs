//! A worker process, its start and its answers to calls.
//!
//! Its descriptor 0 is a socket for messages, which it moves away at once; 1 is a pipe that takes what it prints; 2 is
//! this process's own standard error. It has its own process group, so that Ctrl-C at a terminal reaches Hark alone, and so
//! that what its functions started ends with it. It ends when the socket does.

mod connection;
mod start;

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use crate::call::Call;
use crate::capture::{Capture, End};
use crate::death::{self, Process};
use crate::limits::{BUFFER_BYTES_KEPT, END_TIMEOUT, MARK_TIMEOUT, OUTPUT_INTERVAL, SILENT_TIME_MAX};
use crate::printed::Printed;
use crate::protocol::{self, Outcome, Reply};
use crate::values::{DecodeError, Refused};

use connection::{Connection, Received};
pub use start::{Plan, start};

/// A process that takes one call at a time.
pub struct Worker {
    connection: Connection,
    process: Process,
    /// The pipe that it prints to.
    pipe: Arc<File>,
    request: Vec<u8>,
    /// What was printed after the last call's end.
    leftover: Vec<u8>,
    /// How many marks it was asked for.
    marks: u64,
}

/// Why a call has no answer.
#[derive(Debug)]
pub enum Fault {
    /// It was not made, because of its arguments.
    Refused(Refused),
    /// It was not made, because the worker had ended before it took it, or ends now because it has old modules.
    NotBegun,
    /// The worker ended, in this way.
    Died(String),
    /// The worker was killed, by whomever: this is how it ended.
    Killed(String),
    /// The worker answered what is no answer.
    Confused(String),
}

impl Fault {
    /// Whether the worker can take no more calls.
    pub fn is_lost(&self) -> bool {
        matches!(self, Fault::NotBegun | Fault::Died(_) | Fault::Killed(_) | Fault::Confused(_))
    }
}

impl Worker {
    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it runs.
    pub fn is_alive(&self) -> bool {
        self.process.status().is_none()
    }

    /// Tells it to end, without waiting.
    pub fn dismiss(&self) {
        self.connection.close();
    }

    /// Makes a call. All of its output is handed on before this returns.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn call(&mut self, call: &Call, output: &mut dyn FnMut(String)) -> Result<Outcome, Fault> {
        if let Err(refused) = protocol::call(call, &mut self.request) {
            self.request = Vec::new();
            return Err(Fault::Refused(refused));
        }
        let mut printed = Printed::new(mem::take(&mut self.leftover));
        let mut capture = None;
        let answer = self.exchange(&mut capture, &mut printed, output);
        self.request.shrink_to(BUFFER_BYTES_KEPT);
        let outcome = match answer {
            Ok(reply) => self.take_output(reply.pending, capture, &mut printed).map(|()| reply.outcome),
            Err(Broken::Unsent) => Err(Fault::NotBegun),
            Err(Broken::Connection) => Err(self.bury(capture, &mut printed)),
            Err(Broken::Message(DecodeError(problem))) => {
                self.process.kill();
                self.bury(capture, &mut printed);
                Err(Fault::Confused(problem))
            }
        };
        printed.hand_on_all(output);
        outcome
    }

    /// Sends the request and waits for the reply; what is printed meanwhile is handed on if it takes its time.
    fn exchange(
        &mut self,
        capture: &mut Option<Capture>,
        printed: &mut Printed,
        output: &mut dyn FnMut(String),
    ) -> Result<Reply, Broken> {
        self.connection.send(&self.request).map_err(|_| Broken::Unsent)?;
        let mut has_ended = false;
        let reply = loop {
            match self.connection.receive()? {
                Received::Message if self.connection.message() == protocol::STALE => return Err(Broken::Unsent),
                Received::Message => break protocol::decode_reply(self.connection.message()),
                // A process that ended may have left its socket to a child.
                Received::NothingYet if has_ended => return Err(Broken::Connection),
                Received::NothingYet => has_ended = !self.is_alive(),
            }
            if let Some(capture) = &capture {
                capture.take_printed(printed);
                printed.hand_on_lines(output);
            } else {
                *capture = Some(self.start_capture()?);
                self.connection.set_patience(OUTPUT_INTERVAL)?;
            }
        };
        self.connection.clear();
        reply.map_err(Broken::Message)
    }

    fn start_capture(&mut self) -> io::Result<Capture> {
        self.marks += 1;
        // No program prints this by chance: it begins and ends with NUL, and the address differs from run to run.
        let mark = format!("\0hark {:p} {} end of output\0", Arc::as_ptr(&self.pipe), self.marks);
        Capture::start(self.pipe.clone(), mark.into_bytes())
    }

    /// Takes the output of a call that is over.
    fn take_output(
        &mut self,
        pending: Option<usize>,
        capture: Option<Capture>,
        printed: &mut Printed,
    ) -> Result<(), Fault> {
        let taken = match (capture, pending) {
            (None, Some(0)) => Ok(()),
            (None, Some(count)) => self.read_pending(count, printed),
            (Some(capture), _) => self.read_to_mark(capture, printed),
            (None, None) => self.start_capture().and_then(|capture| self.read_to_mark(capture, printed)),
        };
        taken.map_err(|_| self.bury(None, printed))
    }

    fn read_pending(&self, count: usize, printed: &mut Printed) -> io::Result<()> {
        let mut bytes = vec![0; count];
        (&*self.pipe).read_exact(&mut bytes)?;
        printed.add(&bytes);
        Ok(())
    }

    fn read_to_mark(&mut self, capture: Capture, printed: &mut Printed) -> io::Result<()> {
        self.connection.send(&protocol::mark(capture.mark()))?;
        self.connection.set_patience(SILENT_TIME_MAX)?;
        let end = Instant::now() + MARK_TIMEOUT;
        let mut has_ended = false;
        loop {
            match capture.take_all(printed, OUTPUT_INTERVAL) {
                End::Marked(rest) => {
                    self.leftover = rest;
                    return Ok(());
                }
                End::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
                // A process that ended may have left its output to one that is detached.
                End::NotYet if has_ended || Instant::now() >= end => return Err(io::ErrorKind::TimedOut.into()),
                End::NotYet => has_ended = !self.is_alive(),
            }
        }
    }

    /// Waits for the process's end and takes its last output; answers how it ended.
    fn bury(&mut self, capture: Option<Capture>, printed: &mut Printed) -> Fault {
        self.connection.close();
        let status = self.process.wait_or_kill(END_TIMEOUT);
        if let Some(capture) = capture.or_else(|| self.start_capture().ok()) {
            capture.take_all(printed, END_TIMEOUT);
        }
        let end = death::describe(status);
        if death::was_killed(status) { Fault::Killed(end) } else { Fault::Died(end) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.connection.close();
        self.process.wait_or_kill(END_TIMEOUT);
    }
}

/// What goes wrong in an exchange.
enum Broken {
    /// The worker did not take the request, or not all of it.
    Unsent,
    Connection,
    Message(DecodeError),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        // A socket whose other end goes with something unread in it is reset; otherwise it only ends.
        if error.kind() == io::ErrorKind::ConnectionReset { Broken::Unsent } else { Broken::Connection }
    }
}
