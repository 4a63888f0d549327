//! The socket to a worker: messages with their length before them, each in one write and mostly one read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::limits::{BUFFER_BYTES_KEPT, MESSAGE_BYTES_MAX};
use crate::protocol::LENGTH_BYTES;

/// How much is read at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// Hark's end of a socket.
pub struct Connection {
    stream: UnixStream,
    /// What has come of the message that is awaited.
    incoming: Vec<u8>,
    chunk: Box<[u8]>,
}

/// What waiting for a message came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// There is one.
    Message,
    /// It takes longer than one had patience.
    NothingYet,
}

impl Connection {
    /// Over this socket.
    pub fn new(stream: UnixStream) -> Connection {
        Connection { stream, incoming: Vec::new(), chunk: vec![0; CHUNK_BYTES].into() }
    }

    /// The socket, to be waited for together with others.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// How long [`Connection::receive`] waits.
    pub fn set_patience(&self, time: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(time))
    }

    /// Sends a message that has its length before it.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.stream.write_all(message)
    }

    /// Waits for a message, but not for ever.
    ///
    /// # Errors
    /// If the worker is gone, or sends more than a message may have.
    pub fn receive(&mut self) -> io::Result<Received> {
        loop {
            match self.stream.read(&mut self.chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.incoming.extend_from_slice(&self.chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Ok(Received::NothingYet);
                }
                Err(error) => return Err(error),
            }
            if let Some(length) = self.incoming.first_chunk::<LENGTH_BYTES>() {
                let length = u32::from_le_bytes(*length) as usize;
                if length > MESSAGE_BYTES_MAX || self.incoming.len() > LENGTH_BYTES + length {
                    return Err(ErrorKind::InvalidData.into());
                }
                if self.incoming.len() == LENGTH_BYTES + length {
                    return Ok(Received::Message);
                }
            }
        }
    }

    /// The message that was received, without its length.
    pub fn message(&self) -> &[u8] {
        self.incoming.get(LENGTH_BYTES..).unwrap_or_default()
    }

    /// Forgets the message that was received.
    pub fn clear(&mut self) {
        self.incoming.clear();
        self.incoming.shrink_to(BUFFER_BYTES_KEPT);
    }

    /// Ends it on both sides.
    pub fn close(&self) {
        // It fails if the worker has gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
