//! Large programs that once took too much memory or time to lower.

use hark_bytecode::{Executable, Instruction, Literal};
use hark_machine::{Effect, Form, Program, Thread, Value};

use super::support::{Gather, program, run, shown, thread};

/// Repeats a text for each number below `count`: `#` is the number, and `@` the next one, or 0 for the last.
fn each(count: usize, text: &str, between: &str) -> String {
    let texts = (0..count)
        .map(|number| text.replace('#', &number.to_string()).replace('@', &((number + 1) % count).to_string()));
    texts.collect::<Vec<_>>().join(between)
}

/// Ten thousand items, each with a jump.
#[test]
fn a_long_list_of_conditions() {
    let text = format!("fn main() {{ a = true; length([{}]) }}", "a && a, ".repeat(100_000));
    assert_eq!(run(&text), "100000");
    let text = format!("fn main() {{ a = true; length([{}]) }}", "if a { 1 } else { 2 }, ".repeat(50_000));
    assert_eq!(run(&text), "50000");
}

#[test]
fn many_variables_and_conditions() {
    let count = 30_000;
    let binds = each(count, "v# = if a { # } else { 0 };", " ");
    let sum = each(count, "v#", " + ");
    assert_eq!(run(&format!("fn main() {{ a = true; {binds} {sum} }}")), (count * (count - 1) / 2).to_string());
}

/// Each branch drops the variables that all others need.
#[test]
fn a_chain_of_conditions_each_with_its_variable() {
    let count = 20_000;
    let binds = each(count, "v# = [#];", " ");
    let chain = each(count, "if n == # { v# }", " else ");
    let text = format!("fn main() {{ [pick(0), pick({}), pick(-1)] }} fn pick(n) {{ {binds} {chain} }}", count - 1);
    assert_eq!(run(&text), format!("[[0], [{}], null]", count - 1));
}

#[test]
fn variables_that_are_bound_on_some_ways() {
    let count = 20_000;
    let binds = each(count, "if n == # { v# = # };", " ");
    let text = format!("fn main() {{ f(7) }} fn f(n) {{ {binds} v7 }}");
    assert_eq!(run(&text), "7");
}

#[test]
fn a_tail_call_with_many_arguments() {
    let count = 20_000;
    let (names, arguments) = (each(count, "p#", ", "), each(count, "#", ", "));
    for (next, wanted) in [("p@", "[4, 5, 0]"), ("p# + p#", "[0, 16, 159984]"), ("p1", "[1, 1, 1]")] {
        let text = format!(
            "fn f(n, {names}) {{ if n == 0 {{ [p0, p1, p{}] }} else {{ f(n - 1, {}) }} }} fn main() {{ f(4, {arguments}) }}",
            count - 1,
            each(count, next, ", ")
        );
        let wanted = wanted.replace(", 0]", ", 3]").replace("159984", &((count - 1) * 16).to_string());
        assert_eq!(run(&text), wanted);
    }
}

#[test]
fn many_arguments_of_every_kind() {
    let count = 30_000;
    for argument in ["(v# = #)", "x", "x, (x = [#])", "lambda (y) { y + # }", "first", "[#]", "\"#\"", "#.5", "!x"] {
        let text = format!("fn main() {{ x = [1]; length([{}]) }}", each(count, argument, ", "));
        assert_eq!(run(&text), (count * (1 + usize::from(argument.starts_with("x,")))).to_string(), "{argument}");
    }
}

/// The result of `main`, saved and restored each time after this many instructions.
fn suspended(program: &Program, gap: u64) -> String {
    let (mut thread, mut host) = (thread(program, "main", Vec::new()), Gather::default());
    loop {
        match thread.run_instructions(program, gap, &mut host) {
            Effect::OutOfFuel => {}
            effect => return shown(&effect, program),
        }
        thread = Thread::restore(&thread.snapshot(program), program).expect("what was written can be read");
    }
}

/// Code that is lowered differently because of its size has the same result.
#[test]
fn large_and_small_are_the_same() {
    let rotated = |count: usize| {
        let (names, arguments) = (each(count, "p#", ", "), each(count, "[#]", ", "));
        format!(
            "fn f(n, {names}) {{ if n == 0 {{ [{names}] }} else {{ f(n - 1, {}) }} }} fn main() {{ f(3, {arguments}) }}",
            each(count, "p@", ", ")
        )
    };
    let mixed = |count: usize| {
        let names = each(count, "p#", ", ");
        format!(
            "fn f(n, {names}) {{ if n == 0 {{ [{names}] }} else {{ f(n - 1, {}) }} }} fn main() {{ f(4, {}) }}",
            each(count / 5, "p{}, [p0, n], (p1 = [n]), p3, \"k\"", ", ").replace("{}", &(count - 1).to_string()),
            each(count, "[#]", ", ")
        )
    };
    let chained = |count: usize| {
        let (binds, chain) = (each(count, "v# = [#];", " "), each(count, "if n == # { [v#, v0] }", " else "));
        let ends = each(count, "if n > # { w# = v# };", " ");
        format!(
            "fn main() {{ [f(0), f(7), f({count})] }} fn f(n) {{ {binds} x = {chain}; {ends} if n == 7 {{ [x, w3] }} else {{ x }} }}"
        )
    };
    let bound = |count: usize| {
        let items = each(count, "x, (x = [#]), if n > # { y = [x]; y } else { (z = x) }", ", ");
        format!("fn main() {{ [f(0), f(9)] }} fn f(n) {{ x = [n]; [{items}] }}")
    };
    let texts =
        [5, 20, 25, 30, 60].into_iter().flat_map(|count| [rotated(count), mixed(count), chained(count), bound(count)]);
    for text in texts {
        let fused = program(&text);
        let plain = Program::with_form(fused.executable().clone(), Form::Plain).expect("what compiles is sound");
        let wanted = run(&text);
        assert!(wanted.starts_with('['), "{wanted}: {text}");
        for gap in [1, 2, 5, u64::MAX] {
            assert_eq!(suspended(&fused, gap), wanted, "{text}");
            assert_eq!(suspended(&plain, gap), wanted, "{text}");
        }
    }
}

/// Code that our compiler never produces: a function pushed at a great height that is not called.
#[test]
fn a_function_far_up_that_is_not_called_at_once() {
    let mut executable: Executable =
        program(&format!("fn main() {{ length([{}]) }}", "main, ".repeat(100))).executable().clone();
    let last = executable
        .code
        .iter()
        .rposition(|each| matches!(each, Instruction::PushBinding(name) if executable.name(*name) == "main"));
    executable.code[last.expect("it is there")] = Instruction::PushValue(Literal::Null);
    let program = Program::new(executable).expect("it is sound");
    let effect = thread(&program, "main", Vec::<Value>::new()).run(&program, u32::MAX, &mut Gather::default());
    assert_eq!(shown(&effect, &program), "100");
}
