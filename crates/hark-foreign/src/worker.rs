//! A worker process, its start and its answers to calls.
//!
//! What is started here is the keeper of the worker's guard (`guard.rs`); they start Python and end with it. Python's
//! descriptor 0 is a socket for messages, which it moves away at once; 1 is a pipe that takes what it prints; 2 is this
//! process's own standard error. It has a session of its own, so that Ctrl-C at a terminal reaches Hark alone, and nothing can
//! ask there for a password. It ends when the socket does.
//!
//! A call that is over soon costs one message there and one back; what it printed lies in the pipe when it has answered.
//! What a longer call prints is read while it runs.

mod connection;
mod start;

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc as Shared;
use std::time::Instant;

use hark_engine::CallEvent;
use hark_machine::limits::FILE_BYTES_MIN;
use hark_machine::{ObjectBody, Pickle};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;
use triomphe::Arc;

use crate::call::Call;
use crate::death::{self, End, Process};
use crate::limits::{BUFFER_BYTES_KEPT, END_TIMEOUT, OUTPUT_INTERVAL, PIPE_CHUNK_BYTES, TRUSTED_TIME};
use crate::printed::Printed;
use crate::progress::Progress;
use crate::protocol::{self, Announced, Outcome, Place, Reply};
use crate::scratch::WorkerFiles;
use crate::values::{DecodeError, Refused};

use connection::{Connection, Received};
pub use start::{Plan, StartError, start};

/// A process that takes one call at a time.
pub struct Worker {
    connection: Connection,
    process: Process,
    /// The pipe that it prints to.
    pipe: File,
    request: Vec<u8>,
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
        self.connection.close();
    }

    /// What it has warned of since the last time.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Makes a call. All that comes of it is handed on before this returns.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn call(&mut self, call: &Call, events: &mut dyn FnMut(CallEvent)) -> Result<Outcome, Fault> {
        let objects = match protocol::call(call, &mut self.request, |pickle| provide_file(pickle, self.files.as_ref()))
        {
            Ok(objects) => objects,
            Err(refused) => {
                self.request = Vec::new();
                return Err(Fault::Refused(refused));
            }
        };
        let mut heard = Heard::default();
        let end = call.timeout.and_then(|time| Instant::now().checked_add(time));
        let answer = self.exchange(&objects, end, &mut heard, events);
        let Heard { mut printed, progress, .. } = heard;
        self.request.shrink_to(BUFFER_BYTES_KEPT);
        let outcome = match answer.and_then(|reply| self.read_pending(&mut printed).map(|()| reply)) {
            Ok(reply) => {
                self.answered = Instant::now();
                self.warnings.extend(reply.warnings);
                Ok(reply.outcome)
            }
            Err(Broken::Unsent) => Err(Fault::NotBegun),
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

    /// Sends the request and waits for the reply, until a time if there is one; what comes meanwhile is handed on if it takes
    /// its time.
    fn exchange(
        &mut self,
        given: &[Arc<ObjectBody>],
        end: Option<Instant>,
        heard: &mut Heard,
        events: &mut dyn FnMut(CallEvent),
    ) -> Result<Reply, Broken> {
        let behind = given.iter().map(|object| object.pickle()).filter(|pickle| pickle.file().is_none());
        self.connection
            .send(&self.request, behind.filter_map(|pickle| pickle.bytes_in_memory()))
            .map_err(|_| Broken::Unsent)?;
        loop {
            if self.connection.receive()? == Received::NothingYet {
                self.await_reply(end, heard, events)?;
            }
            let Some(json) = protocol::progress(self.connection.message()) else { break };
            heard.progress.note(json);
            self.connection.clear();
            if Instant::now() >= heard.next_look() {
                self.look(heard, events);
            }
        }
        if self.connection.message() == protocol::STALE {
            return Err(Broken::Unsent);
        }
        let announced = protocol::announced(self.connection.message()).map_err(Broken::Message)?;
        if announced.is_empty() {
            let reply = protocol::decode_reply(self.connection.message(), &[]);
            self.connection.clear();
            return reply.map_err(Broken::Message);
        }
        let message = self.connection.message().to_vec();
        self.connection.clear();
        let mut objects = Vec::with_capacity(announced.len());
        for announced in announced {
            let pickle = self.take_pickle(&announced, given)?;
            objects.push(announced.with(pickle));
        }
        protocol::decode_reply(&message, &objects).map_err(Broken::Message)
    }

    /// The pickle of an object that a reply has. What a function passes on as it was given it is kept once.
    fn take_pickle(&mut self, announced: &Announced, given: &[Arc<ObjectBody>]) -> Result<Shared<Pickle>, Broken> {
        let confused = |problem: String| Broken::Message(DecodeError(problem));
        match &announced.place {
            Place::Behind => {
                let bytes = self.connection.receive_behind(announced.length)?;
                let is_same = |pickle: &&Shared<Pickle>| pickle.bytes_in_memory() == Some(&bytes);
                let same = given.iter().map(|object| object.pickle()).find(is_same);
                Ok(same.cloned().unwrap_or_else(|| Shared::new(Pickle::new(bytes))))
            }
            Place::Given(number) => {
                let same = given.get(*number).map(|object| object.pickle().clone());
                same.ok_or_else(|| confused("it names no object of the call".to_owned()))
            }
            Place::File(number) => {
                let files = self.files.as_ref().ok_or_else(|| confused("it has no folder for pickles".to_owned()))?;
                let taken = files.take(*number, announced.length);
                let file =
                    taken.map_err(|error| confused(format!("the file of an object cannot be taken: {error}")))?;
                Ok(Shared::new(Pickle::in_file(file, announced.length)))
            }
        }
    }

    /// Waits for a message that takes its time.
    fn await_reply(
        &mut self,
        end: Option<Instant>,
        heard: &mut Heard,
        events: &mut dyn FnMut(CallEvent),
    ) -> Result<(), Broken> {
        loop {
            let next_look = heard.next_look();
            let ready = self.wait(end.map_or(next_look, |end| end.min(next_look)))?;
            if ready.output {
                self.read_chunk(&mut heard.printed)?;
            }
            if ready.reply && self.connection.receive()? == Received::Message {
                return Ok(());
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Err(Broken::TimedOut);
            }
            if Instant::now() >= next_look {
                // What it has sent before its end is read first.
                if heard.has_ended {
                    return Err(Broken::Connection);
                }
                self.look(heard, events);
            }
        }
    }

    /// Hands on what has come of a call that goes on.
    fn look(&self, heard: &mut Heard, events: &mut dyn FnMut(CallEvent)) {
        heard.printed.hand_on_lines(&mut |text| events(CallEvent::Printed(text)));
        heard.progress.hand_on(events);
        heard.has_ended = !self.is_alive();
        heard.next_look = Some(Instant::now() + OUTPUT_INTERVAL);
    }

    /// Waits for a reply or output, until a time comes.
    fn wait(&self, until: Instant) -> io::Result<Ready> {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
        let mut watched =
            [PollFd::new(self.connection.stream(), PollFlags::IN), PollFd::new(&self.pipe, PollFlags::IN)];
        match poll(&mut watched, left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {
                let [reply, output] = watched.map(|each| each.revents());
                Ok(Ready { reply: !reply.is_empty(), output: output.contains(PollFlags::IN) })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads some of what the pipe holds, which is something.
    fn read_chunk(&self, printed: &mut Printed) -> io::Result<()> {
        let mut chunk = [0; PIPE_CHUNK_BYTES];
        match (&self.pipe).read(&mut chunk) {
            Ok(count) => printed.add(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reads what lies in the pipe: when the reply has come, or the worker has ended, that is all of its output.
    fn read_pending(&self, printed: &mut Printed) -> Result<(), Broken> {
        let count = usize::try_from(ioctl_fionread(&self.pipe).map_err(io::Error::from)?).unwrap_or_default();
        if count > 0 {
            let mut bytes = vec![0; count];
            (&self.pipe).read_exact(&mut bytes)?;
            printed.add(&bytes);
        }
        Ok(())
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

/// What has come of a call before its reply.
#[derive(Default)]
struct Heard {
    printed: Printed,
    progress: Progress,
    next_look: Option<Instant>,
    /// The worker had ended at the last look.
    has_ended: bool,
}

impl Heard {
    /// When that is handed on, and looked whether the worker lives. A call that is over soon does not ask for the time.
    fn next_look(&mut self) -> Instant {
        *self.next_look.get_or_insert_with(|| Instant::now() + OUTPUT_INTERVAL)
    }
}

/// What there is to read.
struct Ready {
    reply: bool,
    output: bool,
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
    TimedOut,
    Message(DecodeError),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        // A socket whose other end goes with something unread in it is reset; otherwise it only ends.
        if error.kind() == io::ErrorKind::ConnectionReset { Broken::Unsent } else { Broken::Connection }
    }
}
