//! The sizes of processes, where processes of several sizes are started for threads, such as AWS Lambda functions
//! with different amounts of memory.
//!
//! `#[memory]` on a function or an import chooses a process with that much memory, and `#[timeout]` on an import one
//! that lives that long. Threads that need neither are run by processes of the main size. A process runs every thread
//! that it is large enough for.

use hark_bytecode::Attributes;
use hark_machine::Program;

use crate::place::Place;

/// The size of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Its memory in MB.
    pub memory: u32,
    /// How long a call that it makes may take, in seconds.
    pub call_seconds: u32,
}

/// The size of this process, and the main one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// The size of this process.
    pub own: Size,
    /// The size of the processes for threads without such attributes.
    pub main: Size,
}

impl Sizes {
    /// Whether this process is large enough for threads of a place. Every process is large enough for
    /// [`Place::anywhere`].
    pub fn fit(&self, place: &Place) -> bool {
        let needed = self.needed(place);
        place.is_anywhere() || needed.memory <= self.own.memory && needed.call_seconds <= self.own.call_seconds
    }

    /// The smallest size that a place allows.
    fn needed(&self, place: &Place) -> Size {
        Size {
            memory: place.memory().unwrap_or(self.main.memory),
            call_seconds: place.call_seconds().unwrap_or(self.main.call_seconds),
        }
    }

    /// How long a call of an import with these attributes may take in seconds, if processes of the main size do not live that long.
    pub(crate) fn long_call(&self, import: &Attributes) -> Option<u32> {
        let seconds = import.timeout_seconds?.ceil() as u32;
        (seconds > self.main.call_seconds).then_some(seconds)
    }

    /// Whether a program has such imports.
    pub(crate) fn has_long_calls(&self, program: &Program) -> bool {
        program.executable().foreign.iter().any(|import| self.long_call(&import.attributes).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_runs_what_it_is_large_enough_for() {
        let main = Size { memory: 512, call_seconds: 230 };
        let fitting = |memory, call_seconds| {
            let sizes = Sizes { own: Size { memory, call_seconds }, main };
            let fits = |text: &&str| sizes.fit(&text.parse().expect("a place"));
            ["", ":128", ":2048", "::600", ":2048:600", "*"].into_iter().filter(fits).collect::<Vec<_>>()
        };
        assert_eq!(fitting(512, 230), ["", ":128", "*"]);
        assert_eq!(fitting(128, 230), [":128", "*"], "the main size is larger");
        assert_eq!(fitting(512, 600), ["", ":128", "::600", "*"]);
        assert_eq!(fitting(2048, 600), ["", ":128", ":2048", "::600", ":2048:600", "*"]);
    }
}
