//! Receiving the reply to a call, and its output and progress before that.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::time::Instant;

use hark_engine::CallEvent;
use hark_machine::Pickle;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;

use super::Worker;
use super::connection::Received;
use crate::ahead::Position;
use crate::limits::{OUTPUT_INTERVAL, PIPE_CHUNK_BYTES, SILENT_TIME_MAX};
use crate::printed::Printed;
use crate::progress::Progress;
use crate::protocol::{self, Announced, Place, Reply};
use crate::values::DecodeError;

/// Why an exchange has failed.
pub(super) enum Broken {
    /// The worker did not read the request, or not all of it.
    Unsent,
    Connection,
    TimedOut,
    Message(DecodeError),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Broken {
        // If the other end is closed while it has unread data, the connection is reset; otherwise it just ends.
        if error.kind() == io::ErrorKind::ConnectionReset { Broken::Unsent } else { Broken::Connection }
    }
}

/// What was received of a call before its reply.
#[derive(Default)]
pub(super) struct Heard {
    pub printed: Printed,
    pub progress: Progress,
    next_look: Option<Instant>,
    /// Whether the worker had ended at the last look.
    has_ended: bool,
}

impl Heard {
    /// The next time to hand on events and to check that the worker is alive. A short call does not read the clock.
    fn next_look(&mut self) -> Instant {
        *self.next_look.get_or_insert_with(|| Instant::now() + OUTPUT_INTERVAL)
    }
}

/// What can be read.
struct Ready {
    reply: bool,
    output: bool,
}

/// Fails if the call has exceeded its time limit.
fn check_time(end: &mut Option<Instant>, is_slow: &mut dyn FnMut() -> Position) -> Result<(), Broken> {
    if end.is_some_and(|end| Instant::now() >= end) {
        if is_slow() == Position::There {
            return Err(Broken::TimedOut);
        }
        // Its answer is on its way, or the call has not begun.
        *end = Some(Instant::now() + SILENT_TIME_MAX);
    }
    Ok(())
}

impl Worker {
    /// Waits for the reply, at most until `end`. The events of a longer call are handed on meanwhile.
    pub(super) fn receive_reply(
        &mut self,
        mut end: Option<Instant>,
        heard: &mut Heard,
        events: &mut dyn FnMut(CallEvent),
        is_slow: &mut dyn FnMut() -> Position,
    ) -> Result<Reply, Broken> {
        loop {
            if self.connection.receive()? == Received::NothingYet {
                self.await_reply(&mut end, heard, events, is_slow)?;
            }
            let Some(json) = protocol::progress(self.connection.message()) else { break };
            heard.progress.note(json);
            self.connection.clear();
            is_slow();
            // Continuous progress messages must not hide the time limit or the output.
            check_time(&mut end, is_slow)?;
            if Instant::now() >= heard.next_look() {
                if self.connection.receive_at_once()? == Received::NothingYet {
                    self.read_pending(&mut heard.printed)?;
                }
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
            let pickle = self.take_pickle(&announced)?;
            objects.push(announced.with(pickle));
        }
        protocol::decode_reply(&message, &objects).map_err(Broken::Message)
    }

    /// The pickle of an object in a reply. If the function returns an object that it was given, the pickle is shared.
    fn take_pickle(&mut self, announced: &Announced) -> Result<Arc<Pickle>, Broken> {
        let confused = |problem: String| Broken::Message(DecodeError(problem));
        match &announced.place {
            Place::Behind => {
                let bytes = self.connection.receive_behind(announced.length)?;
                let is_same = |pickle: &&Arc<Pickle>| pickle.bytes_in_memory() == Some(&bytes);
                let same = self.given.iter().map(|object| object.pickle()).find(is_same);
                Ok(same.cloned().unwrap_or_else(|| Arc::new(Pickle::new(bytes))))
            }
            Place::Given(number) => {
                let same = self.given.get(*number).map(|object| object.pickle().clone());
                same.ok_or_else(|| confused("it refers to an unknown object of the call".to_owned()))
            }
            Place::File(number) => {
                let files = self.files.as_ref().ok_or_else(|| confused("it has no folder for pickles".to_owned()))?;
                let taken = files.take(*number, announced.length);
                let file =
                    taken.map_err(|error| confused(format!("the file of an object cannot be taken: {error}")))?;
                Ok(Arc::new(Pickle::in_file(file, announced.length)))
            }
        }
    }

    /// Waits for a message that takes long.
    fn await_reply(
        &mut self,
        end: &mut Option<Instant>,
        heard: &mut Heard,
        events: &mut dyn FnMut(CallEvent),
        is_slow: &mut dyn FnMut() -> Position,
    ) -> Result<(), Broken> {
        is_slow();
        loop {
            let next_look = heard.next_look();
            let ready = self.wait(end.map_or(next_look, |end| end.min(next_look)))?;
            // When there is a reply, the output may belong to the next call. While there is none, output left in the
            // pipe keeps the worker from beginning the next call.
            if (ready.reply || ready.output) && self.connection.receive_at_once()? == Received::Message {
                return Ok(());
            }
            if ready.output {
                self.read_chunk(&mut heard.printed)?;
            }
            check_time(end, is_slow)?;
            if Instant::now() >= next_look {
                // Messages that it sent before its end are read first.
                if heard.has_ended {
                    return Err(Broken::Connection);
                }
                is_slow();
                self.look(heard, events);
            }
        }
    }

    /// Hands on the events of a call that continues.
    fn look(&self, heard: &mut Heard, events: &mut dyn FnMut(CallEvent)) {
        heard.printed.hand_on_lines(&mut |text| events(CallEvent::Printed(text)));
        heard.progress.hand_on(events);
        heard.has_ended = !self.is_alive();
        heard.next_look = Some(Instant::now() + OUTPUT_INTERVAL);
    }

    /// Waits for a reply or output, until a time.
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

    /// Reads part of the pipe's contents. The pipe must not be empty.
    fn read_chunk(&self, printed: &mut Printed) -> io::Result<()> {
        let mut chunk = [0; PIPE_CHUNK_BYTES];
        match (&self.pipe).read(&mut chunk) {
            Ok(count) => printed.add(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reads what is left in the pipe, if it is output of the call with this reply.
    pub(super) fn read_output_of(&mut self, reply: Reply, printed: &mut Printed) -> Result<Reply, Broken> {
        if reply.has_output {
            self.read_pending(printed)?;
        }
        self.awaits_reading = reply.has_output;
        Ok(reply)
    }

    /// Reads what is left in the pipe. If the worker has ended, that is the rest of its output.
    pub(super) fn read_pending(&self, printed: &mut Printed) -> Result<(), Broken> {
        let count = usize::try_from(ioctl_fionread(&self.pipe).map_err(io::Error::from)?).unwrap_or_default();
        if count > 0 {
            let mut bytes = vec![0; count];
            (&self.pipe).read_exact(&mut bytes)?;
            printed.add(&bytes);
        }
        Ok(())
    }
}
