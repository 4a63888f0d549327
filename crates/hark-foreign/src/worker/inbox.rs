//! The socket from which a worker reads its calls, one message each. Both ends are open in this process, so a message
//! that the worker has not read can be taken back here, even while the worker is busy or gone. The system ensures that
//! each message is read only once. So a call whose message is still there has not begun, and no other coordination is
//! needed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};

use crate::limits::INBOX_MESSAGE_BYTES_MAX;
use crate::protocol;

/// A socket that preserves message boundaries. Only with `SEQPACKET` does the reader notice that the writer is gone;
/// elsewhere the guard ends the worker.
const KIND: SocketType = if cfg!(target_os = "linux") { SocketType::SEQPACKET } else { SocketType::DGRAM };

/// Both ends of the socket.
#[derive(Debug)]
pub struct Inbox {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Inbox {
    /// A new socket, which child processes do not inherit.
    pub fn new() -> io::Result<Inbox> {
        #[cfg(target_os = "linux")]
        let flags = SocketFlags::CLOEXEC;
        #[cfg(not(target_os = "linux"))]
        let flags = SocketFlags::empty();
        let (ours, theirs) = socketpair(AddressFamily::UNIX, KIND, flags, None)?;
        #[cfg(not(target_os = "linux"))]
        for end in [&ours, &theirs] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        }
        Ok(Inbox { ours, theirs })
    }

    /// The end that the worker reads.
    pub fn theirs(&self) -> BorrowedFd<'_> {
        self.theirs.as_fd()
    }

    /// Sends a message, unless it is too long or the buffer is full.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        loop {
            match send(&self.ours, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The number of the call whose message is first, if there is one.
    pub fn first(&self) -> Option<u32> {
        let mut head = [0; protocol::INBOX_HEAD_BYTES];
        self.receive(&mut head, RecvFlags::PEEK).then(|| protocol::number_of(head))
    }

    /// Takes back the first message and returns the number of its call. `None` if the worker has read all.
    pub fn take_back(&self) -> Option<u32> {
        let mut head = [0; protocol::INBOX_HEAD_BYTES];
        self.receive(&mut head, RecvFlags::empty()).then(|| protocol::number_of(head))
    }

    /// Empties the inbox and sends a message that tells the worker to end.
    pub fn send_end(&self) {
        while self.take_back().is_some() {}
        // This fails if memory is short; the guard then ends the worker.
        let _ = self.send(&[]);
    }

    fn receive(&self, head: &mut [u8], flags: RecvFlags) -> bool {
        loop {
            match recv(&self.theirs, &mut *head, flags | RecvFlags::DONTWAIT) {
                Ok((count, _)) => return count == head.len(),
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

const _: () = assert!(INBOX_MESSAGE_BYTES_MAX > protocol::INBOX_HEAD_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u32) -> Vec<u8> {
        let mut bytes = vec![b'C'];
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(b"and more");
        bytes
    }

    #[test]
    fn what_nobody_has_read_is_taken_back_in_order() {
        let inbox = Inbox::new().unwrap();
        assert_eq!((inbox.first(), inbox.take_back()), (None, None));
        for number in [7, 8, 9] {
            inbox.send(&message(number)).unwrap();
        }
        let mut read = [0; 100];
        let (count, _) = recv(inbox.theirs(), &mut read, RecvFlags::empty()).unwrap();
        assert_eq!(read[..count], message(7));
        assert_eq!(
            (inbox.first(), inbox.take_back(), inbox.take_back(), inbox.take_back()),
            (Some(8), Some(8), Some(9), None)
        );
    }

    #[test]
    fn there_is_no_wait_for_room() {
        let inbox = Inbox::new().unwrap();
        let sent = (0..100_000).take_while(|number| inbox.send(&message(*number)).is_ok()).count();
        assert!((1..100_000).contains(&sent), "{sent}");
        assert_eq!(inbox.first(), Some(0));
        inbox.send_end();
        assert_eq!(inbox.first(), None);
    }
}
