//! Threads that are written down and read back.

use hark_machine::{Effect, Form, Program, Thread, Value};

use super::support::{Gather, program, shown, thread};

/// One that stops between any two instructions: straight code, calls, loops, lists and hashes that share.
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

/// Runs `main()` with suspensions after each so many instructions; gives what came of it, and how many there were.
fn run_suspended(program: &Program, gap: u64) -> (String, String, usize) {
    let mut thread = thread(program, "main", Vec::new());
    let mut host = Gather::default();
    for suspensions in 0.. {
        let effect = thread.run_instructions(program, gap, &mut host);
        match &effect {
            Effect::Finished(_) | Effect::Failed(_) => return (shown(&effect, program), host.printed, suspensions),
            Effect::OutOfFuel => {}
            Effect::Await(_) | Effect::Call(_) | Effect::Sleep(_) => thread.resume(Value::string("an answer")),
        }
        let bytes = thread.snapshot(program);
        thread = Thread::restore(&bytes, program).expect("what was written can be read");
        assert_eq!(thread.snapshot(program), bytes, "what was read is written the same");
    }
    unreachable!("it comes to its end")
}

/// An instruction that takes several operations used to be begun again after each of them, and never done.
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
