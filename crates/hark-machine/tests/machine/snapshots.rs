//! Threads that are saved and restored.

use hark_bytecode::wire::{Reader, Writer};
use hark_bytecode::{ForeignIndex, Span};
use hark_machine::{Effect, Error, Form, Host, Program, Thread, TraceFrame, Value, text_of};

use super::support::{Gather, program, shown, thread};

/// Stopped between any two instructions: straight-line code, calls, loops, shared lists and hashes.
const MANY_KINDS: &str = "
    import(measure, src.tools, 2);
    fn add(a, b) { a + b }
    fn sum(list, total) { if nullp(list) { total } else { sum(rest(list), add(total, first(list))) } }
    fn fill(n, done) { if n == 0 { done } else { fill(n - 1, append(done, n)) } }
    fn depth(n) { if n == 0 { 0 } else { 1 + depth(n - 1) } }
    fn maybe(x) { if x > 1 { found = [x, {\"k\": x}] }; if x > 1 { found } else { \"none\" } }
    fn main() {
        list = fill(300, []);
        both = [list, list, rest(list), {1: list}];
        twice = lambda (x) { x * 2 };
        print(sum(list, 0));
        answers = [measure(list, 2.5), sleep(0), await async add(1, 2), await future(\"a\", 1)];
        [length(both), twice(depth(20)), maybe(1), maybe(2), answers, 123456789012345678901234567890, -0.0, first]
    }";

/// Runs `main()`, suspended each time after this many instructions; returns the result, the output, and the number of
/// suspensions.
fn run_suspended(program: &Program, gap: u64) -> (String, String, usize) {
    let mut thread = thread(program, "main", Vec::new());
    let mut host = Gather::default();
    for suspensions in 0.. {
        let effect = thread.run_instructions(program, gap, &mut host);
        match &effect {
            Effect::Finished(_) | Effect::Failed(_) => return (shown(&effect, program), host.printed, suspensions),
            Effect::OutOfFuel => {}
            Effect::Cancel(_) => thread.resume(Value::Null),
            Effect::Await(_) | Effect::Call(_) | Effect::Sleep(_) | Effect::Take(_) => {
                thread.resume(Value::string("an answer"))
            }
        }
        let bytes = thread.snapshot(program);
        thread = Thread::restore(&bytes, program).expect("what was written can be read");
        assert_eq!(thread.snapshot(program), bytes, "what was read is written the same");
    }
    unreachable!("it comes to its end")
}

/// An instruction that takes several operations used to restart after each of them, and never finished.
#[test]
fn a_thread_may_stop_at_every_instruction() {
    for form in [Form::Fused, Form::Plain] {
        let program = Program::with_form(program(MANY_KINDS).executable().clone(), form).unwrap();
        let (straight, printed, _) = run_suspended(&program, u64::MAX);
        assert!(straight.starts_with("[4, 40, \"none\", [2, {\"k\": 2}], [\"an answer\", \"an answer\""), "{straight}");
        assert_eq!(printed, "45150\n");
        for gap in [1, 2, 3, 7, 100] {
            let (result, printed_then, suspensions) = run_suspended(&program, gap);
            assert_eq!((&result, &printed_then), (&straight, &printed), "{form:?}, after each {gap}");
            assert!(suspensions as u64 * gap < 30_000, "{form:?}: {suspensions} suspensions after each {gap}");
        }
    }
}

/// An error in an answer is raised where the thread stopped, and keeps its earlier trace.
#[test]
fn an_answer_may_be_an_error() {
    let text = "import(measure, src.tools, 1); fn ask(f) { 1 + await f } fn main() { ask(future(\"a\", 1)) }";
    let (running, called) = (program(text), program(text));
    let begun = [
        (thread(&running, "main", Vec::new()), &running, vec!["main", "ask"]),
        (Thread::new(Value::Foreign(ForeignIndex(0)), vec![Value::Null]), &called, vec!["measure"]),
    ];
    for (mut thread, program, functions) in begun {
        let mut host = Gather::default();
        assert!(matches!(thread.run(program, 100, &mut host), Effect::Await(_) | Effect::Call(_)));
        let mut error = Error::new("python", "no").with_data(Value::list(vec![Value::Integer(7)]));
        error.omitted = 3;
        error.trace = vec![TraceFrame { thread: 9, function: "far".into(), span: Span::default() }];
        thread.fail(error);
        let bytes = thread.snapshot(program);
        let mut thread = Thread::restore(&bytes, program).expect("what was written can be read");
        assert_eq!(thread.snapshot(program), bytes, "what was read is written the same");
        assert_eq!(thread.given_error().map(|error| &*error.message), Some("no"));
        let Effect::Failed(error) = thread.run(program, 100, &mut host) else { panic!("it goes on") };
        assert_eq!((&*error.kind, &*error.message, error.omitted), ("python", "no", 3));
        assert_eq!(text_of(&error.data, program.executable()), "[7]");
        let trace: Vec<(u64, &str)> = error.trace.iter().map(|frame| (frame.thread, &*frame.function)).collect();
        let own = functions.into_iter().map(|function| (0, function));
        assert_eq!(trace, own.chain([(9, "far")]).collect::<Vec<_>>());
        assert!(thread.given_error().is_none());
        let again = thread.run(program, 100, &mut host);
        assert!(matches!(again, Effect::Await(_) | Effect::Call(_)), "it stands where it did: {again:?}");
    }
}

/// A hand-made snapshot of a running thread with one record, with these integers bound to these locals and on the
/// stack.
fn written_by_hand(program: &Program, bindings: &[(u64, i64)], stack: &[i64]) -> Vec<u8> {
    let known = Thread::new(Value::Null, Vec::new()).snapshot(program);
    let fingerprint = Reader::open(&known, "snapshot", *b"HkTh", 1).and_then(|(mut reader, _)| reader.unsigned());
    let fingerprint = fingerprint.expect("a snapshot begins with the program's fingerprint");
    let mut writer = Writer::new();
    // No objects; not started by an `ACALL`; running; one record; the first function, after its parameters.
    [fingerprint, 0, 0, 1, 1, 0, 4, bindings.len() as u64].into_iter().for_each(|number| writer.unsigned(number));
    let integer = |writer: &mut Writer, value: i64| {
        writer.byte(3);
        writer.signed(value);
    };
    for (name, value) in bindings {
        writer.unsigned(*name);
        integer(&mut writer, *value);
    }
    writer.unsigned(stack.len() as u64);
    stack.iter().for_each(|value| integer(&mut writer, *value));
    writer.byte(0);
    writer.seal(*b"HkTh", 1)
}

/// A binding that is never read occupied a register needed later; a missing one became `null`.
#[test]
fn a_record_holds_exactly_what_is_read_later() {
    let program = program("fn f(kept, dropped) { later = kept; later + kept } fn main() { f(1, 2) }");
    let name = |wanted: &str| {
        let position = program.executable().names.iter().position(|name| &**name == wanted);
        position.expect("the program mentions it") as u64
    };
    let read = |bindings: &[(u64, i64)], stack: &[i64]| {
        let bytes = written_by_hand(&program, bindings, stack);
        let mut thread = Thread::restore(&bytes, &program).map_err(|error| error.to_string())?;
        Ok(shown(&thread.run(&program, u32::MAX, &mut Gather::default()), &program))
    };
    let unfit = |what: &str| Err(format!("the thread's snapshot does not fit its program: {what}"));
    let (kept, dropped, later) = (name("kept"), name("dropped"), name("later"));
    assert_eq!(read(&[(kept, 4)], &[]), Ok("8".to_owned()));
    assert_eq!(read(&[(kept, 4), (dropped, 1)], &[]), unfit("a name that it has bound"));
    assert_eq!(read(&[(kept, 4), (later, 1)], &[]), unfit("a name that it has bound"));
    assert_eq!(read(&[(kept, 4), (kept, 5)], &[]), unfit("a name that it has bound"));
    assert_eq!(read(&[(kept, 4), (99, 5)], &[]), unfit("a name that it has bound"));
    assert_eq!(read(&[], &[]), unfit("a name that it has not bound"));
    assert_eq!(read(&[(kept, 4)], &[1]), unfit("the height of its stack"));
}

/// A snapshot of the program halfway through.
fn in_the_midst(program: &Program) -> Vec<u8> {
    let mut thread = thread(program, "main", Vec::new());
    assert!(matches!(thread.run_instructions(program, 700, &mut Gather::default()), Effect::OutOfFuel));
    thread.snapshot(program)
}

#[test]
fn damage_is_noticed_and_named() {
    let program = program(MANY_KINDS);
    let good = in_the_midst(&program);
    let refused = |bytes: &[u8]| Thread::restore(bytes, &program).expect_err("it is damaged").to_string();
    for bit in (0..good.len() * 8).step_by(3) {
        let mut damaged = good.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let said = refused(&damaged);
        let wanted = if bit < 32 {
            "it is not a valid thread's snapshot"
        } else {
            "its checksum does not match: it was damaged"
        };
        assert_eq!(said, format!("the thread's snapshot cannot be read: {wanted}"), "bit {bit}");
    }
    for length in 0..good.len() {
        assert!(refused(&good[..length]).starts_with("the thread's snapshot cannot be read: "));
    }
}

#[test]
fn a_snapshot_belongs_to_one_program_and_version() {
    let program = program(MANY_KINDS);
    let good = in_the_midst(&program);
    let other = super::support::program("fn main() { 1 }");
    let error = Thread::restore(&good, &other).expect_err("it is another's");
    assert_eq!(error.to_string(), "the thread's snapshot belongs to another program");
    let mut later = good;
    later[4] = 9;
    let error = Thread::restore(&super::bodies::mend(&later), &program).expect_err("it is of a later version");
    assert_eq!(
        error.to_string(),
        "the thread's snapshot cannot be read: it has format version 9, and this release reads up to 1; use a newer one"
    );
}

#[test]
fn what_is_shared_is_written_once() {
    let program = program(
        "fn f(list, n) { if n == 0 { print(1); list } else { f([list, list], n - 1) } } fn main() { f([], 40) }",
    );
    let mut thread = thread(&program, "main", Vec::new());
    loop {
        let bytes = thread.snapshot(&program);
        assert!(bytes.len() < 1_000, "{} bytes", bytes.len());
        thread = Thread::restore(&bytes, &program).expect("what was written can be read");
        if !matches!(thread.run_instructions(&program, 20, &mut Gather::default()), Effect::OutOfFuel) {
            break;
        }
    }
}

/// A builtin has no text of its own: its error is reported where it was started, even if its thread was saved
/// meanwhile.
#[test]
fn a_builtin_that_is_a_thread_is_placed_where_it_was_started() {
    struct Keep(Vec<Thread>, Gather);
    impl Host for Keep {
        fn spawn(&mut self, thread: Thread) -> u64 {
            self.0.push(thread);
            self.0.len() as u64
        }
        fn print(&mut self, text: String) {
            self.1.print(text);
        }
        fn thread(&self) -> u64 {
            self.1.thread()
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
    let program = program("fn main() { f = sleep; x = async first([]); y = async f(3); 1 }");
    let mut host = Keep(Vec::new(), Gather::default());
    thread(&program, "main", Vec::new()).run(&program, u32::MAX, &mut host);
    let place = |thread: &Thread| {
        let span = thread.stack(&program, 1).0[0].span;
        program.executable().sources.files()[0].source.text[span.start as usize..span.end as usize].to_owned()
    };
    for (started, wanted) in host.0.iter().zip(["async first([])", "async f(3)"]) {
        let restored = Thread::restore(&started.snapshot(&program), &program).expect("what was written can be read");
        assert_eq!([place(started), place(&restored)], [wanted, wanted]);
    }
    let effect = host.0[0].run(&program, u32::MAX, &mut Gather::default());
    let Effect::Failed(error) = effect else { panic!("it fails") };
    assert_eq!(
        error.trace[0].span.start as usize,
        program.executable().sources.files()[0].source.text.find("async").expect("it is there")
    );
}
