//! What a session prints, on its way to standard output: soon, but not with a system call for each item.
//!
//! A thread of its own writes. It writes the first item at once and then, every few milliseconds, what has gathered
//! since. So a person sees what is printed as it comes, and a million items cost few writes. The thread begins with
//! the first item, as many programs print nothing.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long items gather, if they are few.
const PAUSE: Duration = Duration::from_millis(2);
/// So much is written without waiting for more.
const ENOUGH_BYTES: usize = 64 * 1024;
/// Who prints faster than the reader reads waits, when so much is on its way.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where a session's output goes.
pub struct Stream {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something for the writer: the first item, enough of them, or the end.
    filled: Condvar,
    /// Something for those who print: room again.
    emptied: Condvar,
    /// Told once if standard output takes no more.
    on_failure: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    is_closed: bool,
    failure: Option<io::Error>,
    has_failed: bool,
    writer: Option<JoinHandle<()>>,
}

impl Stream {
    /// A stream to standard output. If that takes no more, `on_failure` is called, and what else is printed is lost.
    pub fn new(on_failure: impl Fn() + Send + Sync + 'static) -> Stream {
        Stream {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                filled: Condvar::new(),
                emptied: Condvar::new(),
                on_failure: Box::new(on_failure),
            }),
        }
    }

    /// Prints this. It waits if the reader is far behind.
    pub fn print(&self, text: &str) {
        let mut state = self.shared.lock();
        if state.writer.is_none() {
            let shared = Arc::clone(&self.shared);
            let writing = move || shared.write_until_closed(&mut io::stdout().lock());
            match thread::Builder::new().name("hark-output".to_owned()).spawn(writing) {
                Ok(writer) => state.writer = Some(writer),
                // Without it, whoever prints waits for the reader.
                Err(_) => return self.shared.write_now(state, text),
            }
        }
        while state.waiting.len() >= WAITING_BYTES_MAX && !state.has_failed {
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

    /// Waits until everything printed is written.
    ///
    /// # Errors
    /// If something could not be.
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_now(&self, state: MutexGuard<'_, State>, text: &str) {
        let mut out = io::stdout().lock();
        if !state.has_failed
            && let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        {
            self.fail(state, error);
        }
    }

    /// Nothing more can be written.
    fn fail(&self, mut state: MutexGuard<'_, State>, error: io::Error) {
        state.failure = Some(error);
        state.has_failed = true;
        state.waiting = Vec::new();
        drop(state);
        self.emptied.notify_all();
        (self.on_failure)();
    }

    fn write_until_closed(&self, out: &mut impl Write) {
        let mut chunk = Vec::new();
        while self.take(&mut chunk) {
            if let Err(error) = out.write_all(&chunk).and_then(|()| out.flush()) {
                self.fail(self.lock(), error);
                return;
            }
            if chunk.len() < ENOUGH_BYTES {
                self.pause();
            }
            chunk.clear();
        }
    }

    /// Waits for something to write and takes it; answers false at the end.
    fn take(&self, chunk: &mut Vec<u8>) -> bool {
        let state = self.lock();
        let empty = |state: &mut State| state.waiting.is_empty() && !state.is_closed;
        let mut state = self.filled.wait_while(state, empty).unwrap_or_else(PoisonError::into_inner);
        mem::swap(chunk, &mut state.waiting);
        drop(state);
        self.emptied.notify_all();
        !chunk.is_empty()
    }

    fn pause(&self) {
        let state = self.lock();
        let few = |state: &mut State| state.waiting.len() < ENOUGH_BYTES && !state.is_closed;
        drop(self.filled.wait_timeout_while(state, PAUSE, few));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts writes; fails when it has taken so many bytes.
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

    /// Prints these from another thread into a sink with so much room; answers it, the close's result, the failures.
    fn printed(count: usize, room: usize) -> (Sink, io::Result<()>, usize) {
        static FAILURES: AtomicUsize = AtomicUsize::new(0);
        let before = FAILURES.load(Ordering::SeqCst);
        let stream = Stream::new(|| {
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
    fn what_prints_nothing_starts_nothing() {
        let stream = Stream::new(|| {});
        assert!(stream.close().is_ok());
        assert!(stream.shared.lock().writer.is_none());
    }
}
