//! Runs a thread until an effect stops it: makes its first call or takes the answer to its last effect, executes its
//! operations (`execute.rs`), and passes errors to their handlers.

mod call;
mod catch;
mod counting;
mod execute;
mod slow;

use crate::effect::{Effect, Host};
use crate::error::Error;
use crate::program::{Code, Program};
use crate::thread::Thread;
use execute::execute;

/// Why the loop was left.
enum Exit {
    Effect(Effect),
    Failed(Box<Error>),
}

impl From<Error> for Exit {
    #[cold]
    fn from(error: Error) -> Exit {
        Exit::Failed(Box::new(error))
    }
}

/// The limit of a `COUNTED` run.
pub(crate) enum Limit {
    /// Stops between any two operations.
    Operations(u64),
    /// Stops only at the start of a portable instruction, where a restored thread continues.
    Instructions(u64),
}

impl Limit {
    /// Whether it is used up; if not, counts the next operation.
    fn is_reached(&mut self, code: &Code, operation: usize) -> bool {
        let left = match self {
            Limit::Instructions(_) if !code.begins_instruction(operation) => return false,
            Limit::Operations(left) | Limit::Instructions(left) => left,
        };
        match left.checked_sub(1) {
            Some(less) => {
                *left = less;
                false
            }
            None => true,
        }
    }
}

/// Runs a thread until an effect stops it, or until its fuel or, in a `COUNTED` run, its `limit` is used up.
pub(crate) fn run<H: Host, const COUNTED: bool>(
    thread: &mut Thread,
    program: &Program,
    mut fuel: u32,
    mut limit: Limit,
    host: &mut H,
) -> Effect {
    thread.trace_answer(program, host.thread());
    let mut exit = match call::begin(thread, program, host) {
        Ok(Some(effect)) => return effect,
        Ok(None) => {
            let before = call::operations_before_answer(thread, program);
            if before > 0 {
                execute::<H, true>(thread, program, &mut fuel.clone(), &mut Limit::Operations(before), host);
            }
            match call::take_answer(thread, program) {
                Ok(()) => execute::<H, COUNTED>(thread, program, &mut fuel, &mut limit, host),
                Err(error) => Exit::Failed(error),
            }
        }
        Err(exit) => exit,
    };
    loop {
        match exit {
            Exit::Effect(effect) => return effect,
            Exit::Failed(error) => match catch::catch(thread, program, error, host) {
                Ok(()) => exit = execute::<H, COUNTED>(thread, program, &mut fuel, &mut limit, host),
                Err(error) => return Effect::Failed(error),
            },
        }
    }
}
