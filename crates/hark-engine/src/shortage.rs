//! What a computer can run out of, and what to do then.

use std::fmt;
use std::io;

/// Something of which there is too little. Nothing is wrong with what was tried: later it may work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// File descriptors of this process.
    Files,
    /// File descriptors of the whole computer.
    SystemFiles,
    /// Processes and threads.
    Processes,
    /// Memory.
    Memory,
}

impl Shortage {
    /// What the operating system's error says is short, where files were opened, or processes or threads started.
    pub fn of(error: &io::Error) -> Option<Shortage> {
        // They are the same on every Unix.
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        match (error.raw_os_error(), error.kind()) {
            (Some(EMFILE), _) => Some(Shortage::Files),
            (Some(ENFILE), _) => Some(Shortage::SystemFiles),
            (_, io::ErrorKind::WouldBlock) => Some(Shortage::Processes),
            (_, io::ErrorKind::OutOfMemory) => Some(Shortage::Memory),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Shortage::Files => "raise the limit with `ulimit -n`",
            Shortage::SystemFiles => "close some, or have the computer allow more",
            Shortage::Processes => "end some, or raise the limit: `ulimit -u`, or that of the container",
            Shortage::Memory => "end something, or raise the limit: `ulimit -v`, or that of the container",
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Shortage::Files => "this process has as many files open as it may",
            Shortage::SystemFiles => "as many files are open on this computer as may be",
            Shortage::Processes => "there are as many processes and threads as may be",
            Shortage::Memory => "there is too little memory",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_say_what_is_short() {
        let of = |number| Shortage::of(&io::Error::from_raw_os_error(number));
        assert_eq!(of(24), Some(Shortage::Files));
        assert_eq!(of(23), Some(Shortage::SystemFiles));
        assert_eq!(of(12), Some(Shortage::Memory));
        assert_eq!(Shortage::of(&io::ErrorKind::WouldBlock.into()), Some(Shortage::Processes));
        assert_eq!(Shortage::of(&io::ErrorKind::NotFound.into()), None);
    }
}
