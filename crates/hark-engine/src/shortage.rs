//! Exhausted resources of a computer, and the remedies.

use std::fmt;
use std::io;

/// An exhausted resource. The failed operation was valid, and may succeed later.
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
    /// The resource that is exhausted according to an error of the operating system, from opening a file or starting a
    /// process or thread.
    pub fn of(error: &io::Error) -> Option<Shortage> {
        // These numbers are the same on every Unix.
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

    /// The remedy.
    pub fn remedy(self) -> &'static str {
        match self {
            Shortage::Files => "raise the limit with `ulimit -n`",
            Shortage::SystemFiles => "close some, or raise the limit of the computer",
            Shortage::Processes => "end some, or raise the limit: `ulimit -u`, or that of the container",
            Shortage::Memory => "end some processes, or raise the limit: `ulimit -v`, or that of the container",
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Shortage::Files => "this process has reached its limit of open files",
            Shortage::SystemFiles => "this computer has reached its limit of open files",
            Shortage::Processes => "the limit of processes and threads has been reached",
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
