//! The programs of the sessions in memory, and the ones used last.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};

use hark_machine::Program;

/// This many programs stay in memory without a session, so that a session that wakes up often need not load its program
/// each time.
const RECENT_MAX: usize = 8;

#[derive(Default)]
pub(super) struct Programs {
    known: HashMap<String, Weak<Program>>,
    /// The one used last comes last.
    recent: VecDeque<Arc<Program>>,
}

impl Programs {
    /// The program with this hash, if it is in memory.
    pub fn get(&mut self, hash: &str) -> Option<Arc<Program>> {
        let program = self.known.get(hash)?.upgrade()?;
        self.note(&program);
        Some(program)
    }

    pub fn insert(&mut self, hash: &str, program: &Arc<Program>) {
        self.known.retain(|_, program| program.strong_count() > 0);
        self.known.insert(hash.to_owned(), Arc::downgrade(program));
        self.note(program);
    }

    fn note(&mut self, program: &Arc<Program>) {
        if self.recent.back().is_some_and(|last| Arc::ptr_eq(last, program)) {
            return;
        }
        self.recent.retain(|recent| !Arc::ptr_eq(recent, program));
        self.recent.push_back(program.clone());
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use hark_bytecode::Executable;

    use super::*;

    fn program() -> Arc<Program> {
        Arc::new(Program::new(Executable::default()).unwrap())
    }

    #[test]
    fn some_stay_and_no_more() {
        let mut programs = Programs::default();
        programs.insert("first", &program());
        let held = program();
        programs.insert("held", &held);
        for number in 0..RECENT_MAX - 1 {
            assert!(programs.get("first").is_some());
            programs.insert(&number.to_string(), &program());
        }
        assert!(programs.get("first").is_some() && programs.get("held").is_some());
        (0..RECENT_MAX).for_each(|_| programs.insert("other", &program()));
        assert!(programs.get("first").is_none(), "nobody has it");
        assert!(programs.get("held").is_some());
    }
}
