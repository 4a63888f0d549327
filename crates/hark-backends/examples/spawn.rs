//! Measures the start of a thread and the wait for it: a million times, a thousand at a time.
//!
//! `cargo run --release -p hark-backends --example spawn [ROUNDS] [BATCH] [WORKERS]`

#[path = "../tests/support/assembler.rs"]
#[expect(clippy::unwrap_used, reason = "the program that it assembles is the one below")]
mod assembler;

use std::sync::Arc;
use std::time::Instant;

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_engine::{Engine, MemoryStorage, NoForeign, Options, OutputItem, Ports, SuspendAt};
use hark_machine::{Program, Value};

const PROGRAM: &str = "
fn one
    PUSHV 1
    RETURN

fn start n futures          ; n threads, their Futures in a list
    PUSHB n
    PUSHV 0
    PUSHB ==
    CALL 2
    JUMPIF started
    PUSHV 1
    PUSHB n
    PUSHB -
    CALL 2
    PUSHB futures
    PUSHB one
    ACALL 0
    PUSHB append
    CALL 2
    JUMP start
started:
    PUSHB futures
    RETURN

fn total futures i sum      ; the sum of their values, from index i down
    PUSHV 0
    PUSHB i
    PUSHB <
    CALL 2
    JUMPIF totalled
    PUSHB futures
    PUSHV 1
    PUSHB i
    PUSHB -
    CALL 2
    PUSHB futures
    PUSHB i
    PUSHB nth
    CALL 2
    WAIT
    PUSHB sum
    PUSHB +
    CALL 2
    JUMP total
totalled:
    PUSHB sum
    RETURN

fn main rounds batch sum
    PUSHB rounds
    PUSHV 0
    PUSHB ==
    CALL 2
    JUMPIF done
    PUSHV 1
    PUSHB rounds
    PUSHB -
    CALL 2
    PUSHB batch
    PUSHB batch
    PUSHB list
    CALL 0
    PUSHB start
    CALL 2
    PUSHV 1
    PUSHB batch
    PUSHB -
    CALL 2
    PUSHB sum
    PUSHB total
    CALL 3
    JUMP main
done:
    PUSHB sum
    RETURN
";

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<i64>().unwrap_or(1));
    let rounds = arguments.next().unwrap_or(1_000);
    let batch = arguments.next().unwrap_or(1_000);
    let invoker = match arguments.next() {
        Some(workers) => Threads::new(workers as usize),
        None => Threads::as_wide_as_the_cores(),
    };
    let program = Program::new(assembler::assemble(PROGRAM)).expect("the program is sound");
    let callee = Value::Function(hark_bytecode::FunctionIndex(3));
    let engine = Engine::new(
        Options { suspend_at: SuspendAt::Never, keep_output: false },
        Ports {
            storage: Arc::new(MemoryStorage),
            invoker: Arc::new(invoker),
            foreign: Arc::new(NoForeign),
            surroundings: Arc::new(System),
        },
    );
    let begun = Instant::now();
    let arguments = vec![Value::Integer(rounds), Value::Integer(batch), Value::Integer(0)];
    let report = engine.run(Arc::new(program), callee, arguments, Arc::new(|_: &[OutputItem]| {}));
    let took = begun.elapsed();
    let threads = report.threads;
    println!("{} {:?}: {threads} threads in {took:.3?}", report.status, report.result);
    println!("{:.0} ns a thread", took.as_nanos() as f64 / threads as f64);
    for error in report.errors {
        println!("{error:?}");
    }
}
