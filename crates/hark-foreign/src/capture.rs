//! Reads what a worker prints while a call runs.
//!
//! A call that is over soon needs none of this: its answer says how many bytes lie in the pipe, and these are read
//! without any other thread. A longer call gets a thread that reads its output to a mark, which the worker writes when
//! it has answered: nothing else tells the end of what was printed by child processes too.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::printed::Printed;

/// How much is read at a time: what a pipe holds.
const CHUNK_BYTES: usize = 1 << 16;

/// So much is read ahead. Then the worker waits until someone takes what it prints.
const BYTES_AHEAD: usize = 4 << 20;

/// A thread that reads a worker's output up to a mark or its end.
pub struct Capture {
    shared: Arc<Shared>,
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

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was printed, or taken, or nobody will take any more.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    printed: Vec<u8>,
    end: Option<End>,
    is_given_up: bool,
}

impl Capture {
    /// Begins to read.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(pipe: Arc<File>, mark: Vec<u8>) -> io::Result<Capture> {
        let shared = Arc::<Shared>::default();
        let (filled, awaited) = (shared.clone(), mark.clone());
        thread::Builder::new().name("hark-output".into()).spawn(move || filled.read_to_mark(&pipe, &awaited))?;
        Ok(Capture { shared, mark })
    }

    /// What the worker is to write for this to end.
    pub fn mark(&self) -> &[u8] {
        &self.mark
    }

    /// Takes what has come so far.
    pub fn take_printed(&self, printed: &mut Printed) {
        self.shared.take(&mut self.shared.lock(), printed);
    }

    /// Takes everything up to the mark or the end of the pipe, or for so long.
    pub fn take_all(&self, printed: &mut Printed, time_max: Duration) -> End {
        let end = Instant::now() + time_max;
        let mut state = self.shared.lock();
        loop {
            self.shared.take(&mut state, printed);
            if let Some(end) = state.end.take() {
                return end;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return End::NotYet;
            }
            (state, _) = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.shared.lock().is_given_up = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, state: &mut State, printed: &mut Printed) {
        if !state.printed.is_empty() {
            printed.add(&mem::take(&mut state.printed));
            self.changed.notify_all();
        }
    }

    /// Answers whether someone may still take it.
    fn put(&self, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        while state.printed.len() >= BYTES_AHEAD && !state.is_given_up {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.printed.extend_from_slice(bytes);
        self.changed.notify_all();
        !state.is_given_up
    }

    fn end(&self, end: End) {
        self.lock().end = Some(end);
        self.changed.notify_all();
    }

    fn read_to_mark(&self, mut pipe: &File, mark: &[u8]) {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut held = Vec::new();
        loop {
            match pipe.read(&mut chunk) {
                Ok(count) if count > 0 => held.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(_) | Err(_) => break,
            }
            if let Some(at) = held.windows(mark.len()).position(|window| window == mark) {
                self.put(&held[..at]);
                self.end(End::Marked(held.split_off(at + mark.len())));
                return;
            }
            let kept = held.split_off(held.len() - begun_mark(&held, mark));
            if !self.put(&held) {
                return;
            }
            held = kept;
        }
        self.put(&held);
        self.end(End::Closed);
    }
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
