//! A worker process, its start and its answers to calls.
//!
//! What is started here is the keeper of the worker's guard (`guard.rs`); they start Python and end with it. Python's
//! descriptor 0 is a socket for messages, which it moves away at once; 1 is a pipe that takes what it prints; 2 is this
//! process's own standard error. It has a session of its own, so that Ctrl-C at a terminal reaches Hark alone, and nothing can
//! ask there for a password. It ends when the socket does.
//!
//! A call that is over soon costs one message there and one back; what it printed lies in the pipe when it has answered.
//! What a longer call prints is read while it runs. Messages there go through an inbox, from which they can be taken back; only
//! large ones go over the socket.

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
    /// The pipe that it prints to.
    pipe: File,
    request: Vec<u8>,
    /// The number of the call that was begun last.
    number: u32,
    /// So many calls may be sent ahead to it, by how long the last ones took.
    ahead_max: usize,
    /// The objects that it was given.
    given: Vec<Arc<ObjectBody>>,
    /// It waits to be told that its output is read before it begins what was sent ahead.
    awaits_reading: bool,
    /// Where the pickles of large objects are, if there is a place for them.
    files: Option<WorkerFiles>,
    /// What it has warned of since somebody asked.
    warnings: Vec<String>,
    /// When it last did.
    answered: Instant,
}

/// Why a call has no answer.
#[derive(Debug)]
pub enum Fault {
    /// It was not made, because of its arguments.
    Refused(Refused),
    /// It was not made, because the worker had ended before it took it, or ends now because it has old modules.
    NotBegun,
    /// The worker ended, in this way.
    Died(End),
    /// The worker was ended from outside, by whomever: this is how.
    Killed(End),
    /// It ran for longer than it may, and the worker was ended.
    TimedOut,
    /// The worker answered what is no answer.
    Confused(String),
}

impl Fault {
    /// Whether the worker can take no more calls.
    pub fn is_lost(&self) -> bool {
        matches!(self, Fault::NotBegun | Fault::Died(_) | Fault::Killed(_) | Fault::TimedOut | Fault::Confused(_))
    }
}

impl Worker {
    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Whether it runs. One that has answered just now is not looked at: that would cost a system call, and if it has ended
    /// since, the next call is not begun there.
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

    /// What it has warned of since the last time.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The calls that are sent to it while it is busy.
    pub fn ahead(&self) -> &Shared<Ahead> {
        &self.ahead
    }

    /// How many more calls may be sent to it now. They are sent several at a time.
    pub fn room_ahead(&self) -> usize {
        if self.ahead_max == 0 {
            return 0;
        }
        let count = self.ahead.len();
        if count <= self.ahead_max / 2 { self.ahead_max - count } else { 0 }
    }

    /// A call has taken this time.
    pub fn note_time(&mut self, time: Duration) {
        self.ahead_max = if time > SHORT_CALL_TIME { 0 } else { (2 * self.ahead_max + 1).min(CALLS_AHEAD_MAX) };
    }

    /// Sends it a call, as it is idle.
    ///
    /// # Errors
    /// If the call cannot be made, or the worker takes no more.
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

    /// The call that was sent ahead with this number is the one under way now.
    pub fn go_on(&mut self, number: u32) {
        self.number = number;
        self.given.clear();
        if std::mem::take(&mut self.awaits_reading) {
            // It fails if the worker has ended, as will be seen.
            let _ = self.connection.send(protocol::OUTPUT_IS_READ, std::iter::empty());
        }
    }

    /// Waits for the answer to the call that was begun. All that comes of the call is handed on before this returns. While the
    /// call takes its time, `is_slow` is called now and then; it says where the worker is.
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

    /// Waits for the process's end and takes its last output; answers how it ended.
    fn bury(&mut self, printed: &mut Printed) -> Fault {
        self.connection.close();
        let status = self.process.wait_or_kill(END_TIMEOUT);
        // If there is no more, there is none.
        let _ = self.read_pending(printed);
        let end = End::of(status);
        if let Some(files) = &self.files {
            files.remove_left();
        }
        if death::was_told_to_end(status) { Fault::Killed(end) } else { Fault::Died(end) }
    }
}

/// Puts the pickle of a large object into a file, if it is in none. If that fails, it goes over without.
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
