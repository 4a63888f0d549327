//! Random programs have the same outcome in every form, and wherever they are suspended.
//!
//! The seeds are fixed; `HARK_PROGRAMS` sets how many are tried.

use std::collections::HashMap;

use hark_compiler::{Severity, compile};
use hark_machine::{Awaited, Effect, Error, Form, Host, Program, Thread, Until, Value, Wait, text_of};

use super::generator;
use super::support::thread;

/// The number of programs to try.
const PROGRAMS: u64 = 400;

/// The limit on calls and iterations of one thread, and on threads. The few programs that need more are skipped.
const FUEL: u32 = 300;
const THREADS: u64 = 60;

/// How a program is executed.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Straight,
    /// Saved and restored each time after this many instructions.
    Suspended(u64),
}

/// The threads of one run. A thread runs when it is first awaited, so that output has the same order in all runs.
struct World<'a> {
    program: &'a Program,
    mode: Mode,
    printed: String,
    threads: u64,
    open: HashMap<u64, Thread>,
    known: HashMap<u64, Result<Value, Error>>,
    /// The threads that have ended, in order.
    ended: Vec<u64>,
    running: u64,
}

impl Host for World<'_> {
    fn spawn(&mut self, thread: Thread) -> u64 {
        self.threads += 1;
        self.open.insert(self.threads, thread);
        self.threads
    }

    fn print(&mut self, text: String) {
        self.printed.push_str(&text);
    }

    fn thread(&self) -> u64 {
        self.running
    }

    fn session(&self) -> &str {
        "a session"
    }

    fn now(&mut self) -> u64 {
        0
    }

    fn random(&mut self) -> u64 {
        7
    }
}

impl World<'_> {
    /// Runs a thread to its end; `None` if it takes too long.
    fn finish(&mut self, number: u64) -> Option<Result<Value, Error>> {
        if self.threads > THREADS {
            return None;
        }
        if let Some(known) = self.known.get(&number) {
            return Some(known.clone());
        }
        let mut thread = self.open.remove(&number).expect("it is not awaited by itself");
        let around = std::mem::replace(&mut self.running, number);
        let result = self.run(&mut thread)?;
        self.running = around;
        self.known.insert(number, result.clone());
        self.ended.push(number);
        Some(result)
    }

    /// The answer to a wait. For `Any`, threads run until one has a value.
    fn answer(&mut self, wait: &Wait) -> Option<Result<Value, Error>> {
        let number = |future: &Awaited| match future {
            Awaited::Thread(number) => *number,
            other => panic!("no program asks for {other:?}"),
        };
        let futures: Vec<u64> = wait.futures.iter().map(number).collect();
        match wait.until {
            Until::All => self.all(&futures, wait.timeout == Some(0.0)),
            Until::Any => self.any(&futures, wait.at_once),
            Until::One => {
                let index = futures.iter().position(|other| self.known.contains_key(other)).unwrap_or(0);
                let with_index = |value| Value::list(vec![Value::Integer(index as i64), value]);
                Some(self.finish(futures[index])?.map(with_index))
            }
        }
    }

    /// The values of several Futures, or the first error in their order.
    fn all(&mut self, futures: &[u64], looks_once: bool) -> Option<Result<Value, Error>> {
        let mut values = Vec::new();
        let mut is_missing = false;
        for &other in futures {
            if looks_once && !self.known.contains_key(&other) {
                is_missing = true;
                continue;
            }
            match self.finish(other)? {
                Ok(value) => values.push(value),
                Err(error) => return Some(Err(error)),
            }
        }
        if is_missing {
            return Some(Err(Error::new("timeout", "there was no value")));
        }
        Some(Ok(if values.len() == 1 { values.remove(0) } else { Value::list(values) }))
    }

    /// The first of several Futures that already has a value, else the first one that gets one.
    fn any(&mut self, futures: &[u64], at_once: bool) -> Option<Result<Value, Error>> {
        let is_known = |world: &Self, other: &u64| matches!(world.known.get(other), Some(Ok(_)));
        let mut found = futures.iter().position(|other| is_known(self, other));
        if found.is_none() && at_once {
            return Some(Ok(Value::Null));
        }
        for (index, other) in futures.iter().enumerate() {
            if found.is_none() && self.finish(*other)?.is_ok() {
                found = Some(index);
            }
        }
        if let Some(index) = found {
            let value = self.finish(futures[index])?.expect("it has a value");
            return Some(Ok(Value::list(vec![Value::Integer(index as i64), value])));
        }
        let last = self.ended.iter().rev().find(|ended| futures.contains(ended)).copied().expect("they have all ended");
        self.finish(last)
    }

    fn run(&mut self, thread: &mut Thread) -> Option<Result<Value, Error>> {
        loop {
            let effect = match self.mode {
                Mode::Straight => thread.run(self.program, FUEL, self),
                Mode::Suspended(gap) => thread.run_instructions(self.program, gap, self),
            };
            let is_over = matches!(effect, Effect::Finished(_) | Effect::Failed(_));
            match effect {
                Effect::Finished(Value::Future(other)) => return self.finish(other),
                Effect::Finished(value) => return Some(Ok(value)),
                Effect::Failed(error) => return Some(Err(*error)),
                Effect::Await(wait) => match self.answer(&wait)? {
                    Ok(value) => thread.resume(value),
                    Err(error) => thread.fail(error),
                },
                Effect::OutOfFuel if matches!(self.mode, Mode::Straight) => return None,
                Effect::OutOfFuel => {}
                other => panic!("no program asks for {other:?}"),
            }
            if !is_over && matches!(self.mode, Mode::Suspended(_)) {
                *thread = written_and_read(thread, self.program);
            }
        }
    }
}

fn written_and_read(thread: &Thread, program: &Program) -> Thread {
    let bytes = thread.snapshot(program);
    let read = Thread::restore(&bytes, program).expect("what was written can be read");
    assert_eq!(read.snapshot(program), bytes, "what was read is written the same");
    read
}

/// The outcome of `main`: its value, or its error with the trace, and everything printed.
fn outcome(program: &Program, mode: Mode) -> Option<String> {
    let mut world = World {
        program,
        mode,
        printed: String::new(),
        threads: 0,
        open: HashMap::from([(0, thread(program, "main", Vec::new()))]),
        known: HashMap::new(),
        ended: Vec::new(),
        running: 0,
    };
    let result = match world.finish(0)? {
        Ok(value) => text_of(&value, program.executable()),
        Err(error) => {
            let place = |span: hark_bytecode::Span| {
                // Functions of the prelude have no place.
                let text = &program.executable().sources.files()[0].source.text;
                text.get(span.start as usize..span.end as usize).unwrap_or("nowhere")
            };
            let frames = error
                .trace
                .iter()
                .map(|frame| format!("\n  {} {}: {}", frame.thread, frame.function, place(frame.span)));
            format!("{}: {}{}", error.kind, error.message, frames.collect::<String>())
        }
    };
    Some(format!("{}{result}", world.printed))
}

/// Checks the program of a seed. Returns whether it succeeded, or `None` if it takes too long.
fn check(seed: u64) -> Option<bool> {
    let straight = compare(&format!("seed {seed}"), &generator::program(seed), [1, 2 + seed % 7])?;
    Some(!straight.contains("\n  0 main: "))
}

/// The outcome of a program, checked to be the same in every form, and saved and restored at each of these intervals.
fn compare(what: &str, text: &str, gaps: impl IntoIterator<Item = u64>) -> Option<String> {
    let compilation = compile("test.hk", text);
    let errors = compilation.diagnostics.iter().filter(|each| each.severity == Severity::Error).collect::<Vec<_>>();
    let executable = compilation.executable.unwrap_or_else(|| panic!("{what}: {errors:?}\n{text}"));
    let fused = Program::new(executable).expect("what compiles is sound");
    let plain = Program::with_form(fused.executable().clone(), Form::Plain).expect("what compiles is sound");
    let straight = outcome(&fused, Mode::Straight)?;
    let modes: Vec<Mode> = std::iter::once(Mode::Straight).chain(gaps.into_iter().map(Mode::Suspended)).collect();
    for (form, program) in [(Form::Fused, &fused), (Form::Plain, &plain)] {
        for &mode in &modes {
            let other = outcome(program, mode).expect("it ends");
            assert_eq!(other, straight, "{what}, {form:?}, {mode:?}:\n{text}");
        }
    }
    Some(straight)
}

/// A record saved before it has begun has only its parameters and captures bound, whatever the previous user of its
/// window had bound.
#[test]
fn what_is_bound_does_not_outlive_its_call() {
    let text = "
        fn again(n) { y = try { x } catch e { get(e, \"kind\") }; if n == 0 { y } else { x = n; again(n - 1) } }
        fn binds(c) { if c { a = 1 } b = try { a } catch { 2 }; a = 3; b }
        fn captures(n) { lambda (m) { y = try { x } catch e { n }; if m == n { x = 5 } y } }
        fn main() { [again(3), binds(true), binds(false), binds(true), captures(1)(1), captures(2)(1)] }";
    let straight = compare("it", text, 1..80).expect("it ends");
    assert_eq!(straight, "[\"name\", 1, 2, 1, 1, 2]");
}

#[test]
fn random_programs_come_to_the_same_however_they_run() {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test may be told how much to try; the machine itself has no environment"
    )]
    let programs = std::env::var("HARK_PROGRAMS").ok().map_or(PROGRAMS, |count| count.parse().expect("a number"));
    let checked: Vec<bool> = (0..programs).filter_map(check).collect();
    let values = checked.iter().filter(|has_value| **has_value).count();
    // Programs that fail at once would prove little.
    assert!(checked.len() as u64 * 10 > programs * 9, "{} of {programs} end soon", checked.len());
    assert!(values * 3 > checked.len(), "{values} of {} come to a value", checked.len());
}
