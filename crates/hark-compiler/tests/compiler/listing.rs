//! What the compiler writes, as `hark asm` shows it.

use hark_bytecode::Listing;
use hark_compiler::compile;

fn listing(text: &str) -> String {
    let compilation = compile("test.hk", text);
    let executable = compilation.executable.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics));
    executable.verify().expect("what the compiler writes is sound");
    Listing(&executable).to_string()
}

/// The instructions of a function's body, a line each, without their numbers.
fn body(text: &str) -> String {
    let listing = listing(text);
    let lines = listing.lines().skip_while(|line| !line.contains(";; #0:")).skip(1);
    let code = lines.take_while(|line| line.starts_with(" | ") && !line.contains(";;"));
    code.map(|line| line[10..].split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[test]
fn the_seed_program_has_the_listing_of_the_language() {
    let text = "import(foo, pysrc, 1);
fn bar(x) { x + 1 }
fn compute(x) { a = async foo(x); b = bar(x); await a + b; }
fn main() { compute(1) }
";
    assert_eq!(listing(text), include_str!("seed.listing"));
}

#[test]
fn a_self_tail_call_is_a_jump_to_the_start() {
    let code = body("fn f(n, acc) { if n == 0 { acc } else { f(n - 1, acc + n) } }");
    assert!(code.ends_with("PUSHB acc\nPUSHB +\nCALL 2\nJUMP -18\nJUMP 1\nPUSHB acc\nRETURN\n"), "{code}");
}

#[test]
fn and_leaves_the_right_side_to_be_checked() {
    let code = body("fn f(a, b) { a && b }");
    assert!(code.ends_with("PUSHB a\nAND 4\nPUSHB b\nPUSHV true\nPUSHB &&\nCALL 2\nRETURN\n"), "{code}");
}

#[test]
fn precedence_is_that_of_the_language() {
    let same = [
        ("-2 * 3", "-(2 * 3)"),
        ("!1 < 2", "(!1) < 2"),
        ("!1 + 2", "!(1 + 2)"),
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("1 - 2 - 3", "(1 - 2) - 3"),
        ("1 < 2 == true", "(1 < 2) == true"),
        ("1 < 2 <= 3", "(1 < 2) <= 3"),
        ("1 == 2 && 3 == 4 || 5 == 6", "((1 == 2) && (3 == 4)) || (5 == 6)"),
        ("await 1 + 2", "(await 1) + 2"),
        ("x = y = 2", "x = (y = 2)"),
        ("x = 1 || 2", "x = (1 || 2)"),
        ("2 * -3 + 1", "(2 * (-3)) + 1"),
    ];
    for (plain, grouped) in same {
        let wrap = |text: &str| body(&format!("fn f() {{ {text} }}"));
        assert_eq!(wrap(plain), wrap(grouped), "{plain}");
    }
}

#[test]
fn a_brace_begins_a_hash_except_where_a_body_must_be() {
    assert_eq!(body("fn f() { {} }"), "PUSHB hash\nCALL 0\nRETURN\n");
    assert_eq!(body("fn f() { {\"a\":1} }"), "PUSHV \"a\"\nPUSHV 1\nPUSHB hash\nCALL 2\nRETURN\n");
    assert_eq!(body("fn f() { if {} { 1 } else { 2 } }").lines().next(), Some("PUSHB hash"));
}

#[test]
fn literals_mean_the_builtins_also_where_the_program_took_their_names() {
    assert_eq!(body("fn f() { [1] } fn list(x) { x }"), "PUSHV 1\nPUSHB []\nCALL 1\nRETURN\n");
    assert_eq!(body("fn f() { hash = 1; _x = {}; hash }").matches("PUSHB {}").count(), 1);
}

#[test]
fn semicolons_may_be_left_out_behind_bodies() {
    body("fn f() { if true { 1 } 2 }");
    body("fn f() { x = lambda (y) { y } x(1) }");
    body("fn f() { x = if true { 1 } else { 2 } x }");
    body("fn f() { ;; 1;; };; fn g() { 2 };");
}

#[test]
fn operators_are_values_where_they_stand_alone() {
    assert_eq!(body("fn f(x) { g = +; g(x, [-, !]) }").matches("PUSHB").count(), 6);
}
