//! A worker process: its start and its answers to calls.
//!
//! The process started here is the keeper of the worker's guard (`guard.rs`), which starts Python and ends with it.
//! Python's descriptor 0 is a socket for messages, which Python moves to another descriptor at once; 1 is a pipe for
//! its output; 2 is the standard error of this process. Python has a session of its own, so that Ctrl-C at a terminal
//! reaches only Hark, and nothing can ask for a password there. It ends when the socket is closed.
//!
//! A short call costs one message in each direction; its output is in the pipe when the answer arrives. The output of a
//! longer call is read while it runs. Calls are sent through an inbox, from which they can be taken back; only large
//! ones go over the socket.

mod connection;
mod exchange;
mod inbox;
mod start;

use std::fs::File;
use std::io;
use std::sync::Arc as Shared;
use std::time::{Duration, Instant};

use hark_engine::CallEvent;
use hark_machine::limits::FILE_BYTES_MIN;
use hark_machine::{ObjectBody, Pickle};
use triomphe::Arc;

use crate::ahead::{Ahead, Position};
use crate::call::Call;
use crate::death::{self, End, Process};
use crate::limits::{
    BUFFER_BYTES_KEPT, CALLS_AHEAD_MAX, END_TIMEOUT, INBOX_MESSAGE_BYTES_MAX, SHORT_CALL_TIME, TRUSTED_TIME,
};
use crate::printed::Printed;
use crate::protocol::{self, Delivery, LENGTH_BYTES, Outcome};
use crate::scratch::WorkerFiles;
use crate::values::{DecodeError, Refused};

use connection::Connection;
use exchange::{Broken, Heard};
pub use inbox::Inbox;
pub use start::{Plan, StartError, start};

/// A process that makes one call at a time.
pub struct Worker {
    connection: Connection,
    inbox: Shared<Inbox>,
    ahead: Shared<Ahead>,
    process: Process,
    /// The pipe for its output.
    pipe: File,
    request: Vec<u8>,
    /// The number of the last call that was begun.
    number: u32,
    /// How many calls may be sent ahead to it, derived from how long the last ones took.
    ahead_max: usize,
    /// The objects among the arguments of the current call.
    given: Vec<Arc<ObjectBody>>,
    /// Whether it waits for a message that its output was read before it begins a call that was sent ahead.
    awaits_reading: bool,
    /// The place for the pickles of large objects, if there is one.
    files: Option<WorkerFiles>,
    /// Its warnings since [`take_warnings`](Worker::take_warnings) was last called.
    warnings: Vec<String>,
    /// When it last answered.
    answered: Instant,
}

/// Why a call has no answer.
#[derive(Debug)]
pub enum Fault {
    /// The call was not made, because of its arguments.
    Refused(Refused),
    /// The call was not made: the worker had ended before it took the call, or it ends now because its modules are
    /// outdated.
    NotBegun,
    /// The worker has ended in this way.
    Died(End),
    /// The worker was ended from outside in this way.
    Killed(End),
    /// The call exceeded its time limit, and the worker was ended.
    TimedOut,
    /// The worker sent an invalid answer.
    Confused(String),
}

impl Fault {
    /// Whether the worker can take no more calls.
    pub fn is_lost(&self) -> bool {
        matches!(self, Fault::NotBegun | Fault::Died(_) | Fault::Killed(_) | Fault::TimedOut | Fault::Confused(_))
    }
}

impl Worker {
    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it is alive. A worker that has answered a moment ago is not checked, because that would cost a system
    /// call. If it has ended since, the next call does not begin there, so nothing is lost.
    pub fn seems_alive(&self) -> bool {
        self.answered.elapsed() < TRUSTED_TIME || self.is_alive()
    }

    fn is_alive(&self) -> bool {
        self.process.status().is_none()
    }

    /// Tells it to end, without waiting.
    pub fn dismiss(&self) {
        self.inbox.send_end();
        self.connection.close();
    }

    /// The warnings since the last call of this method.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The calls sent ahead to it.
    pub fn ahead(&self) -> &Shared<Ahead> {
        &self.ahead
    }

    /// How many more calls may be sent ahead to it now. They are sent in batches.
    pub fn room_ahead(&self) -> usize {
        if self.ahead_max == 0 {
            return 0;
        }
        let count = self.ahead.len();
        if count <= self.ahead_max / 2 { self.ahead_max - count } else { 0 }
    }

    /// Records how long a call has taken.
    pub fn note_time(&mut self, time: Duration) {
        self.ahead_max = if time > SHORT_CALL_TIME { 0 } else { (2 * self.ahead_max + 1).min(CALLS_AHEAD_MAX) };
    }

    /// Sends a call to an idle worker.
    ///
    /// # Errors
    /// If the call cannot be made, or the worker accepts no more calls.
    pub fn begin(&mut self, call: &Call) -> Result<(), Fault> {
        self.number = self.ahead.next_number();
        self.awaits_reading = false;
        let encoded = protocol::call(call, &mut self.request, |pickle| provide_file(pickle, self.files.as_ref()));
        self.given = match encoded {
            Ok(objects) => objects,
            Err(refused) => {
                self.request = Vec::new();
                return Err(Fault::Refused(refused));
            }
        };
        protocol::address(&mut self.request, Delivery::Idle, self.number);
        let sent = self.send();
        self.request.shrink_to(BUFFER_BYTES_KEPT);
        sent.map_err(|_| Fault::NotBegun)
    }

    fn send(&mut self) -> io::Result<()> {
        let behind = self.given.iter().map(|object| object.pickle()).filter(|pickle| pickle.file().is_none());
        let mut behind = behind.filter_map(|pickle| pickle.bytes_in_memory()).peekable();
        let message = self.request.get(LENGTH_BYTES..).unwrap_or_default();
        if message.len() <= INBOX_MESSAGE_BYTES_MAX && behind.peek().is_none() && self.inbox.send(message).is_ok() {
            return Ok(());
        }
        self.inbox.send(&protocol::large(self.number))?;
        self.connection.send(&self.request, behind)
    }

    /// Makes the call that was sent ahead with this number the one under way.
    pub fn go_on(&mut self, number: u32) {
        self.number = number;
        self.given.clear();
        if std::mem::take(&mut self.awaits_reading) {
            // This fails if the worker has ended, which is noticed later.
            let _ = self.connection.send(protocol::OUTPUT_IS_READ, std::iter::empty());
        }
    }

    /// Waits for the answer to the call under way. All events of the call are handed on before this returns. While the
    /// call takes long, `is_slow` is called from time to time; it returns the position of the worker.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn finish(
        &mut self,
        call: &Call,
        events: &mut dyn FnMut(CallEvent),
        is_slow: &mut dyn FnMut() -> Position,
    ) -> Result<Outcome, Fault> {
        let mut heard = Heard::default();
        let end = call.timeout.and_then(|time| Instant::now().checked_add(time));
        let answer = self.receive_reply(end, &mut heard, events, is_slow);
        self.given.clear();
        let Heard { mut printed, progress, .. } = heard;
        let outcome = match answer.and_then(|reply| self.read_output_of(reply, &mut printed)) {
            Ok(reply) => {
                self.answered = Instant::now();
                self.warnings.extend(reply.warnings);
                Ok(reply.outcome)
            }
            Err(Broken::Unsent) => Err(Fault::NotBegun),
            Err(Broken::Connection) if self.inbox.first() == Some(self.number) => Err(Fault::NotBegun),
            Err(Broken::Connection) => Err(self.bury(&mut printed)),
            Err(Broken::TimedOut) => {
                self.process.kill();
                self.bury(&mut printed);
                Err(Fault::TimedOut)
            }
            Err(Broken::Message(DecodeError(problem))) => {
                self.process.kill();
                self.bury(&mut printed);
                Err(Fault::Confused(problem))
            }
        };
        printed.hand_on_all(&mut |text| events(CallEvent::Printed(text)));
        progress.hand_on_last(events);
        outcome
    }

    /// Waits for the end of the process, reads its last output and returns how it ended.
    fn bury(&mut self, printed: &mut Printed) -> Fault {
        self.connection.close();
        let status = self.process.wait_or_kill(END_TIMEOUT);
        // If this fails, there is no more output.
        let _ = self.read_pending(printed);
        let end = End::of(status);
        if let Some(files) = &self.files {
            files.remove_left();
        }
        if death::was_told_to_end(status) { Fault::Killed(end) } else { Fault::Died(end) }
    }
}

/// Writes the pickle of a large object to a file, unless it is in one. If that fails, it is sent over the connection.
fn provide_file(pickle: &Pickle, files: Option<&WorkerFiles>) {
    if pickle.file().is_none()
        && let Some(bytes) = pickle.bytes_in_memory().filter(|bytes| bytes.len() >= FILE_BYTES_MIN)
        && let Some(Ok(file)) = files.map(|files| files.write(bytes))
    {
        pickle.add_file(file);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.dismiss();
        self.process.wait_or_kill(END_TIMEOUT);
    }
}
