//! Streams that write the output of sessions to standard output soon, but without a system call for each item, and
//! messages about running sessions to standard error.
//!
//! A dedicated thread writes. It writes the first item at once and then, every few milliseconds, all that has been
//! collected since. So output appears as it is printed, and a million items cost few writes. The thread starts with the
//! first item, because many programs print nothing.
//!
//! The reader may stop reading: a terminal is stopped with Ctrl-S, a pipe is full. A program in memory then waits.
//! Stored sessions continue, because the reader must not delay others who may wait for them: output that does not fit
//! in memory waits in a file.

use std::env;
use std::io::{self, Write};
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::overflow::Overflow;
use super::patient::Patient;
use super::status;

/// How long a few items are collected.
const PAUSE: Duration = Duration::from_millis(2);
/// From this many bytes on, output is written without waiting for more.
const ENOUGH_BYTES: usize = 64 * 1024;
/// The maximum number of bytes waiting in memory. More wait in a file, or the printing thread waits.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The output of a session.
pub struct Stream {
    shared: Arc<Shared>,
}

/// The destination of a stream.
#[derive(Clone, Copy)]
enum Target {
    Output,
    Errors,
}

impl Target {
    fn open(self) -> Box<dyn Write> {
        match self {
            Target::Output => Box::new(Patient(io::stdout().lock())),
            // Not locked, so that others can print between two messages.
            Target::Errors => Box::new(Patient(io::stderr())),
        }
    }

    /// Writes all bytes. The status line is kept out of the way; for standard error its relay does that.
    fn write(self, out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
        let mut write = || out.write_all(bytes).and_then(|()| out.flush());
        match self {
            Target::Output => status::beside(bytes, write),
            Target::Errors => write(),
        }
    }
}

struct Shared {
    target: Target,
    state: Mutex<State>,
    /// Signals the writer: the first item, enough items, or the end.
    filled: Condvar,
    /// Signals printing threads that there is space again.
    emptied: Condvar,
    /// Called once if the target cannot be written to.
    on_failure: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// The output that follows `waiting`.
    overflow: Option<Overflow>,
    is_closed: bool,
    failure: Option<io::Error>,
    has_failed: bool,
    writer: Option<JoinHandle<()>>,
}

impl Stream {
    /// A stream to standard output. If that cannot be written to, `on_failure` is called, and further output is lost.
    /// If the reader is far behind, output waits in a file in the folder `overflow`; without one, the printing thread
    /// waits.
    pub fn new(overflow: Option<PathBuf>, on_failure: impl Fn() + Send + Sync + 'static) -> Stream {
        Stream::to(Target::Output, overflow, Box::new(on_failure))
    }

    /// A stream to standard error, for callers that must not wait for its reader.
    pub fn of_messages() -> Stream {
        Stream::to(Target::Errors, Some(env::temp_dir()), Box::new(|| {}))
    }

    fn to(target: Target, overflow: Option<PathBuf>, on_failure: Box<dyn Fn() + Send + Sync>) -> Stream {
        Stream {
            shared: Arc::new(Shared {
                target,
                state: Mutex::new(State { overflow: overflow.map(Overflow::new), ..State::default() }),
                filled: Condvar::new(),
                emptied: Condvar::new(),
                on_failure,
            }),
        }
    }

    /// Prints a text. If the reader is far behind and the text cannot wait in a file, this waits.
    pub fn print(&self, text: &str) {
        let mut state = self.shared.lock();
        if state.writer.is_none() {
            let shared = Arc::clone(&self.shared);
            let writing = move || shared.write_until_closed(&mut shared.target.open());
            match thread::Builder::new().name("hark-output".to_owned()).spawn(writing) {
                Ok(writer) => state.writer = Some(writer),
                // Without a writer thread, the caller waits for the reader.
                Err(_) => return self.shared.write_now(state, text),
            }
        }
        while !state.has_room() && !state.has_failed {
            if state.overflow.as_mut().is_some_and(|overflow| overflow.add(text.as_bytes()).is_ok()) {
                return;
            }
            state = self.shared.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.has_failed {
            return;
        }
        let before = state.waiting.len();
        state.waiting.extend_from_slice(text.as_bytes());
        if before == 0 || (before < ENOUGH_BYTES && state.waiting.len() >= ENOUGH_BYTES) {
            self.shared.filled.notify_one();
        }
    }

    /// Waits until everything has been written.
    ///
    /// # Errors
    /// If something could not be written.
    pub fn close(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.is_closed = true;
        self.shared.filled.notify_one();
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer
            && writer.join().is_err()
        {
            return Err(io::Error::other("the writer broke"));
        }
        self.shared.lock().failure.take().map_or(Ok(()), Err)
    }
}

impl State {
    /// Whether more can wait in memory: not while older output waits in the file.
    fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_BYTES_MAX && self.overflow.as_ref().is_none_or(Overflow::is_empty)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_now(&self, state: MutexGuard<'_, State>, text: &str) {
        let mut out = self.target.open();
        if !state.has_failed
            && let Err(error) = self.target.write(&mut out, text.as_bytes())
        {
            self.fail(state, error);
        }
    }

    /// Records that nothing more can be written.
    fn fail(&self, mut state: MutexGuard<'_, State>, error: io::Error) {
        state.failure = Some(error);
        state.has_failed = true;
        state.waiting = Vec::new();
        state.overflow = None;
        drop(state);
        self.emptied.notify_all();
        (self.on_failure)();
    }

    fn write_until_closed(&self, out: &mut impl Write) {
        let mut chunk = Vec::new();
        loop {
            match self.take(&mut chunk) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.fail(self.lock(), error),
            }
            if let Err(error) = self.target.write(out, &chunk) {
                return self.fail(self.lock(), error);
            }
            if chunk.len() < ENOUGH_BYTES {
                self.pause();
            }
            chunk.clear();
        }
    }

    /// Waits for output and takes it. Returns false at the end.
    fn take(&self, chunk: &mut Vec<u8>) -> io::Result<bool> {
        let state = self.lock();
        let empty = |state: &mut State| state.waiting.is_empty() && state.has_room() && !state.is_closed;
        let mut state = self.filled.wait_while(state, empty).unwrap_or_else(PoisonError::into_inner);
        if state.waiting.is_empty()
            && let Some(overflow) = &mut state.overflow
        {
            overflow.take(chunk)?;
        } else {
            mem::swap(chunk, &mut state.waiting);
        }
        drop(state);
        self.emptied.notify_all();
        Ok(!chunk.is_empty())
    }

    fn pause(&self) {
        let state = self.lock();
        let few = |state: &mut State| state.waiting.len() < ENOUGH_BYTES && state.has_room() && !state.is_closed;
        drop(self.filled.wait_timeout_while(state, PAUSE, few));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts writes; fails beyond this number of bytes.
    struct Sink {
        taken: Vec<u8>,
        writes: usize,
        room: usize,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.taken.len() + bytes.len() > self.room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.writes += 1;
            self.taken.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Prints numbers from another thread into a sink of this size. Returns the sink, the result of closing, and the
    /// number of failures.
    fn printed(count: usize, room: usize) -> (Sink, io::Result<()>, usize) {
        static FAILURES: AtomicUsize = AtomicUsize::new(0);
        let before = FAILURES.load(Ordering::SeqCst);
        let stream = Stream::new(None, || {
            FAILURES.fetch_add(1, Ordering::SeqCst);
        });
        let mut sink = Sink { taken: vec![], writes: 0, room };
        // The test is the writer, so `print` needs to start none.
        stream.shared.lock().writer = Some(thread::spawn(|| {}));
        thread::scope(|scope| {
            scope.spawn(|| {
                (0..count).for_each(|number| stream.print(&format!("{number}\n")));
                stream.shared.lock().is_closed = true;
                stream.shared.filled.notify_one();
            });
            stream.shared.write_until_closed(&mut sink);
        });
        (sink, stream.close(), FAILURES.load(Ordering::SeqCst) - before)
    }

    #[test]
    fn everything_arrives_in_few_writes_and_a_failure_ends_it() {
        let (sink, closed, failures) = printed(200_000, usize::MAX);
        let expected: String = (0..200_000).map(|number| format!("{number}\n")).collect();
        assert!(sink.taken == expected.as_bytes(), "something is lost or out of order");
        assert!(sink.writes < 20_000, "{} writes", sink.writes);
        assert!(closed.is_ok());
        assert_eq!(failures, 0);

        let (sink, closed, failures) = printed(2_000_000, 100_000);
        assert!(sink.taken.len() <= 100_000);
        assert_eq!(closed.expect_err("no room").kind(), io::ErrorKind::StorageFull);
        assert_eq!(failures, 1);
    }

    #[test]
    fn a_reader_that_stands_still_holds_up_nobody() {
        let stream = Stream::new(Some(std::env::temp_dir()), || {});
        stream.shared.lock().writer = Some(thread::spawn(|| {}));
        let line = "x".repeat(99);
        // Nobody writes it yet.
        (0..150_000).for_each(|number| stream.print(&format!("{number:06} {line}\n")));
        let waiting = stream.shared.lock().waiting.len();
        assert!(waiting <= WAITING_BYTES_MAX + 200, "{waiting} bytes in memory");
        stream.shared.lock().is_closed = true;
        let mut sink = Sink { taken: vec![], writes: 0, room: usize::MAX };
        stream.shared.write_until_closed(&mut sink);
        let expected: String = (0..150_000).map(|number| format!("{number:06} {line}\n")).collect();
        assert!(sink.taken == expected.as_bytes(), "something is lost or out of order");
        assert!(stream.close().is_ok());
    }

    #[test]
    fn what_prints_nothing_starts_nothing() {
        let stream = Stream::new(None, || {});
        assert!(stream.close().is_ok());
        assert!(stream.shared.lock().writer.is_none());
    }
}
