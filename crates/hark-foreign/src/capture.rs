//! Reads what a worker prints while a call runs.
//!
//! A call that is over soon needs none of this: its answer says how many bytes lie in the pipe, and these are read
//! without any other thread. A longer call gets a thread that reads its output to a mark, which the worker writes when
//! it has answered: nothing else tells the end of what was printed by child processes too.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use crate::printed::Printed;

/// How much is read at a time: what a pipe holds.
const CHUNK_BYTES: usize = 1 << 16;

/// So many chunks are read ahead. Then the worker waits until someone takes what it prints.
const CHUNKS_AHEAD: usize = 16;

/// A thread that reads a worker's output up to a mark or its end.
pub struct Capture {
    events: Receiver<Event>,
    mark: Vec<u8>,
}

/// What reading to a mark came to.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The mark has come, and this after it.
    Marked(Vec<u8>),
    /// The pipe has ended without a mark.
    Closed,
    /// Neither, in the time that there was.
    NotYet,
}

enum Event {
    Printed(Vec<u8>),
    /// The mark has come, and this after it.
    Marked(Vec<u8>),
}

impl Capture {
    /// Begins to read.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(pipe: Arc<File>, mark: Vec<u8>) -> io::Result<Capture> {
        let (sender, events) = mpsc::sync_channel(CHUNKS_AHEAD);
        let awaited = mark.clone();
        thread::Builder::new().name("hark-output".into()).spawn(move || read_to_mark(&pipe, &awaited, &sender))?;
        Ok(Capture { events, mark })
    }

    /// What the worker is to write for this to end.
    pub fn mark(&self) -> &[u8] {
        &self.mark
    }

    /// Takes what has come so far. More may come all the time.
    pub fn take_printed(&self, printed: &mut Printed) {
        for event in self.events.try_iter().take(CHUNKS_AHEAD) {
            if let Event::Printed(bytes) = event {
                printed.add(&bytes);
            }
        }
    }

    /// Takes everything up to the mark or the end of the pipe, or for so long.
    pub fn take_all(&self, printed: &mut Printed, time_max: Duration) -> End {
        let end = Instant::now() + time_max;
        loop {
            match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Event::Printed(bytes)) => printed.add(&bytes),
                Ok(Event::Marked(rest)) => return End::Marked(rest),
                Err(RecvTimeoutError::Timeout) => return End::NotYet,
                Err(RecvTimeoutError::Disconnected) => return End::Closed,
            }
        }
    }
}

/// Nobody may listen any more: then nothing is left to do.
fn read_to_mark(mut pipe: &File, mark: &[u8], events: &SyncSender<Event>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut held = Vec::new();
    loop {
        match pipe.read(&mut chunk) {
            Ok(count) if count > 0 => held.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Ok(_) | Err(_) => break,
        }
        if let Some(at) = held.windows(mark.len()).position(|window| window == mark) {
            let rest = held.split_off(at + mark.len());
            held.truncate(at);
            let _ = events.send(Event::Printed(held)).and_then(|()| events.send(Event::Marked(rest)));
            return;
        }
        let kept = held.split_off(held.len() - begun_mark(&held, mark));
        if events.send(Event::Printed(std::mem::replace(&mut held, kept))).is_err() {
            return;
        }
    }
    let _ = events.send(Event::Printed(held));
}

/// How many bytes at the end may be the beginning of the mark.
fn begun_mark(bytes: &[u8], mark: &[u8]) -> usize {
    let longest = bytes.len().min(mark.len() - 1);
    (1..=longest).rev().find(|count| bytes.ends_with(&mark[..*count])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use super::*;

    fn captured(parts: &[&[u8]]) -> (String, End) {
        let (reader, mut writer) = io::pipe().unwrap();
        let capture = Capture::start(Arc::new(File::from(OwnedFd::from(reader))), b"\0mark\0".to_vec()).unwrap();
        for part in parts {
            writer.write_all(part).unwrap();
        }
        drop(writer);
        let mut printed = Printed::default();
        let rest = capture.take_all(&mut printed, Duration::from_secs(10));
        let mut text = String::new();
        printed.hand_on_all(&mut |part| text.push_str(&part));
        (text, rest)
    }

    #[test]
    fn the_mark_ends_it_wherever_it_is_cut() {
        assert_eq!(captured(&[b"a\0mark\0b"]), ("a".into(), End::Marked(b"b".to_vec())));
        assert_eq!(captured(&[b"a\0ma", b"rk\0"]), ("a".into(), End::Marked(Vec::new())));
    }

    #[test]
    fn without_a_mark_the_pipe_ends_it() {
        assert_eq!(captured(&[b"a\0ma"]), ("a\0ma".into(), End::Closed));
    }
}
