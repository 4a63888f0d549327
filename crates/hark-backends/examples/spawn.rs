//! Measures starting a thread and awaiting it: a million times, in batches of a thousand.
//!
//! `cargo run --release -p hark-backends --example spawn [ROUNDS] [BATCH] [WORKERS]`

use std::sync::Arc;
use std::time::Instant;

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_bytecode::Binding;
use hark_engine::{Engine, MemoryStorage, NoForeign, Options, OutputItem, Ports, Start};
use hark_machine::{Program, Value};

const PROGRAM: &str = "
fn one() { 1 }
fn start(n, futures) { if n == 0 { futures } else { start(n - 1, append(futures, async one())) } }
fn total(futures, i, sum) { if i < 0 { sum } else { total(futures, i - 1, sum + await nth(futures, i)) } }
fn main(rounds, batch, sum) {
  if rounds == 0 { sum } else { main(rounds - 1, batch, total(start(batch, []), batch - 1, sum)) }
}
";

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<i64>().unwrap_or(1));
    let rounds = arguments.next().unwrap_or(1_000);
    let batch = arguments.next().unwrap_or(1_000);
    let invoker = match arguments.next() {
        Some(workers) => Threads::new(workers as usize),
        None => Threads::as_wide_as_the_cores(),
    };
    let executable = hark_compiler::compile("spawn.hk", PROGRAM).executable.expect("the program compiles");
    let Some(Binding::Function(main)) = executable.binding("main") else { return };
    let program = Program::new(executable).expect("the program is sound");
    let engine = Engine::new(
        Options::default(),
        Ports {
            storage: Arc::new(MemoryStorage::default()),
            invoker: Arc::new(invoker),
            foreign: Arc::new(NoForeign),
            surroundings: Arc::new(System),
        },
    );
    let begun = Instant::now();
    let arguments = vec![Value::Integer(rounds), Value::Integer(batch), Value::Integer(0)];
    let start = Start::new(Arc::new(program), Value::Function(main), arguments);
    let report = engine.run(start, Arc::new(|_: &[OutputItem]| {}));
    let took = begun.elapsed();
    let threads = report.threads;
    println!("{} {:?}: {threads} threads in {took:.3?}", report.status, report.result);
    println!("{:.0} ns a thread", took.as_nanos() as f64 / threads as f64);
    for error in report.errors {
        println!("{error:?}");
    }
}
