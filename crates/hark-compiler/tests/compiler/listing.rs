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

#[test]
fn a_lambda_is_a_function_behind_the_others() {
    let text = "fn f() { g = lambda (a) { lambda () { 1 } }; g(2) }\nfn h() { 3 }\n";
    let listing = listing(text);
    let places =
        ["#0:f:", "#1:h:", "#2:lambda:", "#3:lambda:"].map(|label| listing.find(&format!(";; {label}")).unwrap());
    assert!(places.is_sorted(), "{listing}");
    assert!(
        listing.contains("PUSHV    <FunctionPtr #2:lambda>\n")
            && listing.contains("PUSHV    <FunctionPtr #3:lambda>\n")
    );
    assert!(listing.ends_with(" f ...... <FunctionPtr #0:f>\n h ...... <FunctionPtr #1:h>\n"), "{listing}");
}

#[test]
fn an_import_keeps_its_name_in_python() {
    let listing = listing("import(add, :python operator, 2, plus);\nfn main() { plus(1, 2) }");
    assert!(
        listing.contains(";; #F:plus:\n |    0 | PUSHB    plus\n |    1 | CALL     2\n |    2 | RETURN\n"),
        "{listing}"
    );
    assert!(listing.contains(" plus ... <ForeignPtr operator.add>\n"), "{listing}");
}

#[test]
fn branches_of_an_if_lead_to_one_end() {
    let code = body("fn f(a) { if a { 1 } else if 2 { 3 } }");
    let expected =
        "BIND a\nPOP\nPUSHB a\nJUMPIF 6\nPUSHV 2\nJUMPIF 2\nPUSHV null\nJUMP 1\nPUSHV 3\nJUMP 1\nPUSHV 1\nRETURN\n";
    assert_eq!(code, expected);
}

#[test]
fn minus_is_a_part_of_a_number_but_not_of_a_product() {
    assert_eq!(body("fn f() { -5 }"), "PUSHV -5\nRETURN\n");
    assert_eq!(body("fn f() { -9223372036854775808 }"), "PUSHV -9223372036854775808\nRETURN\n");
    assert_eq!(body("fn f() { -1.5 }"), "PUSHV -1.5\nRETURN\n");
    let product = "PUSHV 3\nPUSHV 2\nPUSHB *\nCALL 2\nPUSHB -\nCALL 1\nRETURN\n";
    assert_eq!(body("fn f() { -2 * 3 }"), product);
    assert_eq!(body("fn f() { !5 }"), "PUSHV 5\nPUSHB !\nCALL 1\nRETURN\n");
}

#[test]
fn a_call_is_a_jump_only_where_it_is_certainly_of_itself() {
    let jumps = |text: &str| body(text).contains("JUMP -");
    assert!(jumps("fn f(a) { f(a) }"));
    assert!(jumps("fn f(a) { if a { print(a); f(a) } else { 1 } }"));
    assert!(!jumps("fn f(a) { 1 + f(a) }"));
    assert!(!jumps("fn f(a) { x = f(a) }"));
    assert!(!jumps("fn f(a) { f(a); 1 }"));
    assert!(!jumps("fn f(a) { async f(a) }"));
    assert!(!jumps("fn f(a) { await f(a) }"));
    assert!(!jumps("fn f(a) { a && f(a) }"));
    assert!(!jumps("fn f(a) { [f(a)] }"));
    assert!(!jumps("fn f(f) { f(f) }"));
    assert!(!jumps("fn f(a) { if a { f = print } f(a) }"));
}

#[test]
fn contextual_words_are_names_elsewhere() {
    body("fn f(import) { try = import; catch = try; print(catch) }");
    body("fn import(x) { x } fn try() { import(1) } fn catch() { try() }");
}

#[test]
fn escapes_are_those_of_python() {
    let string = |text: &str| body(&format!("fn f() {{ {text} }}"));
    assert_eq!(
        string(r#""\x41\u00e9\101\0\N{LATIN SMALL LETTER E WITH ACUTE}""#),
        "PUSHV \"A\u{e9}A\\x00\u{e9}\"\nRETURN\n"
    );
    assert_eq!(string(r#""\N{LINE FEED}\N{bullet}\N{ALERT}""#), "PUSHV \"\\n\u{2022}\\x07\"\nRETURN\n");
    assert_eq!(string(r"'it\'s'"), "PUSHV \"it's\"\nRETURN\n");
    for bad in [r"\N{LINEFEED}", r"\N{BULL ET}", r"\N{}", r"\N", r"\x1", r"\u12", r"\U00110000"] {
        assert!(compile("t.hk", &format!("fn f() {{ \"{bad}\" }}")).executable.is_none(), "{bad}");
    }
}

#[test]
fn places_are_those_of_the_text() {
    let text = "fn main(x) { print(x + 1) }";
    let executable = compile("t.hk", text).executable.unwrap();
    let shown: Vec<&str> = executable.spans.iter().map(|span| &text[span.start as usize..span.end as usize]).collect();
    assert_eq!(shown, ["x", "x", "1", "x", "x + 1", "x + 1", "print", "print(x + 1)", "fn main"]);
}
