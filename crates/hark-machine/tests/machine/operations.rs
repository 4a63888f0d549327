//! Executes every operation of the register code, in a run short enough for Miri.

use hark_machine::{Effect, Form, Program, Thread, Value};

use super::support::{Gather, program, shown, thread};

/// With more parameters than are moved one by one; `ROTATED`, `ARGUMENTS` and `PARAMETERS` stand for thirty of each.
const ALL_OPERATIONS: &str = "
    import(python, src.tools, 2);
    fn numbers(a, b, x, y) {
      [a + b, a - b, a * b, a / b, a % b, a + 1, a - 2, a * 3, a / 4, a % 5,
       x + y, x - y, x * y, x / y, x % y, x + 1, x - 2, x * 3, x / 4, x % 5,
       x + 0.5, x - 0.5, x * 0.5, x / 0.5, 0.5 + x, 0.5 - x, 0.5 * x, 0.5 / x, 10 - a, 100 / a, -(a), -(x), a + x, y * b,
       a == b, a != b, a < b, x <= y, x > b, a >= y, !a, !(a == a), a < b && x < y, a > b || x == y]
    }
    fn jumps(a, b, x, n) {
      n = if a == b { n + 1 } else { n + 2 }; n = if a != b { n + 1 } else { n + 2 };
      n = if a < b { n + 1 } else { n + 2 }; n = if a <= b { n + 1 } else { n + 2 };
      n = if a > b { n + 1 } else { n + 2 }; n = if a >= b { n + 1 } else { n + 2 };
      n = if a == 3 { n + 1 } else { n + 2 }; n = if a != 3 { n + 1 } else { n + 2 };
      n = if a < 3 { n + 1 } else { n + 2 }; n = if a <= 3 { n + 1 } else { n + 2 };
      n = if a > 3 { n + 1 } else { n + 2 }; n = if a >= 3 { n + 1 } else { n + 2 };
      n = if x == 0.5 { n + 1 } else { n + 2 }; n = if x < 0.5 { n + 1 } else { n + 2 };
      n = if x > 0.5 { n + 1 } else { n + 2 };
      n = if nullp(a) { n + 1 } else { n + 2 }; n = if !nullp(b) { n + 1 } else { n + 2 };
      n = if a { n + 1 } else { n + 2 }; n = if !a { n + 1 } else { n + 2 };
      if a < 9 && b < 9 || x < 9 { n } else { null }
    }
    fn lists(l, h, i) {
      copy = l; l = append(l, \"item\"); l = append(l, i);
      [first(l), rest(l), nth(l, i), nth(l, 0), length(l), nullp(l), get(h, \"k\"), length(copy), conc(copy, l), l + l]
    }
    fn loop(l, sum) { if nullp(l) { sum } else { loop(rest(l), sum + first(l)) } }
    fn swap(a, b, n) { if n == 0 { [a, b] } else { swap(b, a, n - 1) } }
    fn depth(n, l) { if n == 0 { length(l) } else { 1 + depth(n - 1, l) } }
    fn maybe(x) { if x { found = [x] }; if x { found } else { \"none\" } }
    fn many(n, PARAMETERS) {
      if n == 0 { [p1, p28, p29] } else if n == 9 { null } else { many(n - 1, ROTATED) }
    }
    fn constant() { \"constant\" }
    fn main() {
      f = lambda (x) { [x] };
      g = +;
      h = first;
      p = python;
      texts = \"a\" + \"b\" + to_string(1.5);
      print([texts, constant(), f(texts), g(1, 2), h([texts]), maybe(texts), maybe(false)]);
      futures = [async f(1), async first([1]), async python(1, 2), async h([1])];
      waited = [await first(futures), await texts, python(texts, [1]), p(texts), sleep(0)];
      [numbers(7, 2, 7.5, 2.0), jumps(3, 4, 0.5, 0), jumps(4, 3, 1.5, 0), jumps(5, 5, 0.25, 0), lists([1, 2], {\"k\": texts}, 1),
       loop([1, 2, 3], 0), swap(texts, [texts], 3), many(3, ARGUMENTS), depth(40, [texts]), waited, 9223372036854775807 + 1]
    }";

fn all_operations() -> String {
    let thirty = |text: &dyn Fn(usize) -> String| (0..30).map(text).collect::<Vec<_>>().join(", ");
    ALL_OPERATIONS
        .replace("PARAMETERS", &thirty(&|number| format!("p{number}")))
        .replace("ROTATED", &thirty(&|number| format!("p{}", (number + 1) % 30)))
        .replace("ARGUMENTS", &thirty(&|number| format!("[{number}]")))
}

/// The result of `main`, with the same answer to every effect.
fn result(program: &Program, fuel: u32) -> (String, String) {
    let mut thread: Thread = thread(program, "main", Vec::new());
    let mut host = Gather::default();
    loop {
        match thread.run(program, fuel, &mut host) {
            Effect::OutOfFuel => {}
            Effect::Cancel(_) => thread.resume(Value::Null),
            Effect::Await(_) | Effect::Call(_) | Effect::Sleep(_) | Effect::Take(_) => {
                thread.resume(Value::list(vec![Value::Null]))
            }
            effect => return (shown(&effect, program), host.printed),
        }
    }
}

#[test]
fn every_operation_works() {
    let fused = program(&all_operations());
    let plain = Program::with_form(fused.executable().clone(), Form::Plain).expect("what compiles is sound");
    let (value, printed) = result(&fused, u32::MAX);
    assert_eq!(printed, "[\"ab1.5\", \"constant\", [\"ab1.5\"], 3, \"ab1.5\", [\"ab1.5\"], \"none\"]\n");
    assert!(value.starts_with("[[9, 5, 14, 3, 1, 8, 5, 21, 1, 2, 9.5, 5.5, 15.0, 3.75, 1.5, 8.5, "), "{value}");
    let end = "6, [[\"ab1.5\"], \"ab1.5\"], [[4], [1], [2]], 41, [[null], \"ab1.5\", [null], [null], [null]], 9223372036854775808]";
    assert!(value.ends_with(end), "{value}");
    assert_eq!(result(&plain, u32::MAX), (value.clone(), printed.clone()));
    assert_eq!(result(&fused, 1), (value, printed));
}
