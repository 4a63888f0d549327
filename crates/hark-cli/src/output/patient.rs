//! Writing to a stream that may be in non-blocking mode.
//!
//! The flag `O_NONBLOCK` belongs to the open file, not to a process: any process that shares our standard output, such
//! as a Python function or a program started by it, may set it. A write to a full pipe then fails, and its text would
//! be lost.

use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

/// A writer that waits for space, whatever the flag says.
pub struct Patient<W>(pub W);

impl<W: Write + AsFd> Patient<W> {
    fn until_done<T>(&mut self, mut action: impl FnMut(&mut W) -> io::Result<T>) -> io::Result<T> {
        loop {
            match action(&mut self.0) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // A signal ends the wait early, which does no harm.
                    let _ = poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None);
                }
                other => return other,
            }
        }
    }
}

impl<W: Write + AsFd> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.until_done(|writer| writer.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.until_done(W::flush)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::thread;

    use super::*;

    #[test]
    fn all_of_a_text_is_written_where_writes_do_not_wait() {
        let (mut reader, writer) = io::pipe().expect("a pipe can be made");
        rustix::io::ioctl_fionbio(&writer, true).expect("the flag can be set");
        let text = vec![b'x'; 1_000_000];
        thread::scope(|scope| {
            scope.spawn(|| Patient(writer).write_all(&text).expect("it waits for the reader"));
            let mut read = Vec::new();
            reader.read_to_end(&mut read).expect("a pipe can be read");
            assert_eq!(read.len(), text.len());
        });
    }
}
