//! The socket to a worker: messages with a length prefix, and pickles after a message that contains their lengths. Most
//! exchanges take one write and one read.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};

use crate::limits::{BUFFER_BYTES_KEPT, MESSAGE_BYTES_MAX};
use crate::protocol::LENGTH_BYTES;

/// The maximum number of bytes per read.
const CHUNK_BYTES: usize = 1 << 16;

/// Hark's end of a socket.
pub struct Connection {
    stream: UnixStream,
    /// The received bytes that were not cleared: the current message, possibly incomplete, and possibly a part of what
    /// follows it.
    incoming: Vec<u8>,
    chunk: Box<[u8]>,
}

/// The result of waiting for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// A message has arrived.
    Message,
    /// None has arrived within the timeout.
    NothingYet,
}

impl Connection {
    /// A connection over this socket.
    pub fn new(stream: UnixStream) -> Connection {
        Connection { stream, incoming: Vec::new(), chunk: vec![0; CHUNK_BYTES].into() }
    }

    /// The socket, for polling it together with others.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Sets how long [`Connection::receive`] waits.
    pub fn set_patience(&self, time: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(time))
    }

    /// Sends a message with its length prefix, and the bytes that follow it.
    pub fn send<'a>(&mut self, message: &'a [u8], behind: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = std::iter::once(message).chain(behind).map(IoSlice::new).collect();
        let mut left = &mut slices[..];
        while !left.is_empty() {
            match self.stream.write_vectored(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut left, count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends a message together with a descriptor, which is duplicated to the other side.
    pub fn send_with(&mut self, message: &[u8], descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let descriptors = [descriptor];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let count = sendmsg(&self.stream, &[IoSlice::new(message)], &mut control, SendFlags::NOSIGNAL)?;
        self.send(message.get(count..).unwrap_or_default(), std::iter::empty())
    }

    /// Waits for a message, up to the timeout.
    ///
    /// # Errors
    /// If the worker is gone, or the message is too large.
    pub fn receive(&mut self) -> io::Result<Received> {
        self.receive_by(|stream, chunk| (&mut &*stream).read(chunk))
    }

    /// Receives a message without waiting.
    ///
    /// # Errors
    /// As above.
    pub fn receive_at_once(&mut self) -> io::Result<Received> {
        self.receive_by(|stream, chunk| Ok(recv(stream, chunk, RecvFlags::DONTWAIT)?.1))
    }

    fn receive_by(&mut self, read: impl Fn(&UnixStream, &mut [u8]) -> io::Result<usize>) -> io::Result<Received> {
        loop {
            if self.message_end()?.is_some() {
                return Ok(Received::Message);
            }
            match read(&self.stream, &mut self.chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.incoming.extend_from_slice(&self.chunk[..count]),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(Received::NothingYet),
                    _ => return Err(error),
                },
            }
        }
    }

    /// Reads bytes that follow the message that was cleared. Waits without limit, because their sender does nothing
    /// else meanwhile.
    ///
    /// # Errors
    /// If the worker is gone.
    pub fn receive_behind(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length);
        bytes.extend(self.incoming.drain(..length.min(self.incoming.len())));
        while bytes.len() < length {
            let left = (length - bytes.len()) as u64;
            match (&self.stream).take(left).read_to_end(&mut bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(bytes)
    }

    /// The received message, without its length.
    pub fn message(&self) -> &[u8] {
        let end = self.message_end().ok().flatten().unwrap_or_default();
        self.incoming.get(LENGTH_BYTES..end).unwrap_or_default()
    }

    /// Removes the received message from the buffer.
    pub fn clear(&mut self) {
        let end = self.message_end().ok().flatten().unwrap_or_default();
        self.incoming.drain(..end);
        self.incoming.shrink_to(BUFFER_BYTES_KEPT);
    }

    /// Shuts down both directions.
    pub fn close(&self) {
        // This fails if the worker is already gone.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// The end of the message, if it is complete.
    fn message_end(&self) -> io::Result<Option<usize>> {
        let Some(length) = self.incoming.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > MESSAGE_BYTES_MAX {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok(Some(LENGTH_BYTES + length).filter(|end| *end <= self.incoming.len()))
    }
}
