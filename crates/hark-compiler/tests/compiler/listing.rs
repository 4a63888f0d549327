//! Generated code, as shown by `hark asm`.

use hark_bytecode::Listing;
use hark_compiler::compile;

fn listing(text: &str) -> String {
    let compilation = compile("test.hk", text);
    let executable = compilation.executable.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics));
    executable.verify().expect("what the compiler writes is sound");
    Listing(&executable).to_string()
}

/// The instructions of a function's body, one per line, without numbers.
fn body(text: &str) -> String {
    let listing = listing(text);
    let lines = listing.lines().skip_while(|line| !line.contains(";; #0:")).skip(1);
    let lines = lines.skip_while(|line| line.starts_with(" | ;;   "));
    let code = lines.take_while(|line| line.starts_with(" | ") && !line.contains(";;"));
    code.map(|line| line[10..].split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

/// The notes in the listing above the functions' code.
fn notes(text: &str) -> Vec<String> {
    listing(text).lines().filter_map(|line| line.strip_prefix(" | ;;   ").map(str::to_owned)).collect()
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
fn a_pipe_is_a_call_with_one_more_argument() {
    let same = [
        ("x = 1 |> h()", "x = h(1)"),
        ("1 || 2 |> h()", "h(1 || 2)"),
        ("!1 |> h()", "h(!1)"),
        ("-h |> h()", "h(-h)"),
        ("await 1 |> h()", "h(await 1)"),
        ("1 |> h(2, 3) |> h(4)", "h(h(1, 2, 3), 4)"),
        ("1 |> h(2)(3)", "h(2)(1, 3)"),
        ("1 |> (lambda (x) { x })()", "(lambda (x) { x })(1)"),
        ("1 |> h(2 |> h())", "h(1, h(2))"),
        ("if 1 |> h() { 2 |> h() }", "if h(1) { h(2) }"),
        ("async (1 |> h(2))", "async h(1, 2)"),
        ("[1 |> h(), {2: 3 |> h()}]", "[h(1), {2: h(3)}]"),
    ];
    for (plain, grouped) in same {
        let wrap = |text: &str| body(&format!("fn f(h) {{ {text} }}"));
        assert_eq!(wrap(plain), wrap(grouped), "{plain}");
    }
    assert!(body("fn f(a) { a |> f() }").contains("JUMP -"));
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
    assert!(!jumps("fn f(a) { try { f(a) } catch { 1 } }"));
    assert!(!jumps("fn f(a) { if a { try { 1; f(a) } catch e { e } } }"));
    assert!(!jumps("fn f(a) { [a] = f(a) }"));
    assert!(!jumps("fn f(a) { f(a)(1) }"));
    assert!(!jumps("fn f(a) { lambda (a) { f(a) } }"));
    assert!(!jumps("fn f(a) { try { f(a) } catch f { 1 } }"));
    assert!(!jumps("fn f(a) { if a { [f] = a } f(a) }"));
    assert!(jumps("fn f(a) { try { a } catch { f(a) } }"));
    assert!(jumps("fn f(a) { try { a } catch { try { a } catch e { f(e) } } }"));
    assert!(!jumps("fn f(a) { if a { f = print } f(a) }"));
}

#[test]
fn a_try_has_a_range_and_a_height() {
    let text = "fn f(x) { [1, try { x; [2, try { 3 } catch { 4 }] } catch e { e }] }";
    assert_eq!(
        notes(text),
        ["try 6 to 6, catch 8, height 2", "try 3 to 11, catch 13, height 1"],
        "the innermost comes first"
    );
    assert!(body("fn f(x) { try { x } catch e { 1 } }").ends_with("PUSHB x\nJUMP 3\nBIND e\nPOP\nPUSHV 1\nRETURN\n"));
    assert!(body("fn f(x) { try { x } catch { 1 } }").ends_with("PUSHB x\nJUMP 2\nPOP\nPUSHV 1\nRETURN\n"));
    // The stack height is also right after jumps.
    let heights =
        |text: &str| notes(text).iter().map(|note| note.rsplit(' ').next().unwrap().to_owned()).collect::<String>();
    assert_eq!(heights("fn f(x) { [x, if x { 1 } else { try { 2 } catch { 3 } }, try { 4 } catch { 5 }] }"), "12");
    assert_eq!(heights("fn f(x) { [x, x && (try { 2 } catch { 3 }), x || (try { 4 } catch { 5 })] }"), "12");
    assert_eq!(heights("fn f(x) { 1 + (try { f(1) } catch { 2 }) - (try { 4 } catch { 5 }) }"), "01");
    assert_eq!(heights("fn f(x) { if x { f(x) } else { try { 2 } catch { f(3) } } }"), "0");
    assert_eq!(heights("fn f(x) { [[_, _] = x, try { 2 } catch { 3 }] }"), "1");
    assert_eq!(heights("fn f(x, y) { f(x, async f(try { 2 } catch { 3 }, await y)) }"), "1");
}

#[test]
fn a_pattern_leaves_the_value() {
    let code = body("fn f(l) { [a, [_, b]] = l; [a, b] }");
    let expected =
        "PUSHB l\nUNPACK [x, [_, x]]\nBIND a\nPOP\nBIND b\nPOP\nPOP\nPUSHB a\nPUSHB b\nPUSHB list\nCALL 2\nRETURN\n";
    assert!(code.ends_with(expected), "{code}");
    assert!(body("fn f(l) { [] = l }").ends_with("PUSHB l\nUNPACK []\nRETURN\n"));
}

#[test]
fn arguments_come_before_their_callee() {
    let expected = "PUSHV 2\nPUSHV 1\nPUSHB h\nPUSHV \"f\"\nPUSHB get\nCALL 2\nCALL 1\nACALL 1\nRETURN\n";
    assert!(body("fn f(h) { async get(h, \"f\")(1)(2) }").ends_with(expected));
}

#[test]
fn a_lambda_that_captures_something_is_closed() {
    let captured = |text: &str| -> Vec<String> {
        let captures = notes(text).into_iter().filter_map(|note| note.strip_prefix("captures ").map(str::to_owned));
        captures.map(|name| name.replace(", if it is bound", "?")).collect()
    };
    assert_eq!(body("fn f(a) { lambda () { 1 } }"), "BIND a\nPOP\nPUSHV <FunctionPtr #1:lambda>\nRETURN\n");
    assert_eq!(body("fn f(a) { lambda () { a } }"), "BIND a\nPOP\nCLOSE <FunctionPtr #1:lambda>\nRETURN\n");
    assert_eq!(captured("fn f(a) { lambda () { a + a } }"), ["a"]);
    assert_eq!(captured("fn f(a) { lambda (b) { b; f(print) } }"), [""; 0]);
    assert_eq!(captured("fn f(a) { lambda (a) { a } }"), [""; 0]);
    assert_eq!(captured("fn f(a) { lambda () { a = 1; a } }"), [""; 0]);
    assert_eq!(captured("fn f(a) { lambda () { [a] = [1]; a } }"), [""; 0]);
    assert_eq!(captured("fn f(a) { lambda () { b = a; a = 1; a + b } }"), ["a"]);
    assert_eq!(captured("fn f(a) { lambda (c) { if c { a = 1 }; a } }"), ["a"]);
    assert_eq!(captured("fn f(a) { lambda (c) { try { c() } catch a { 1 } a } }"), ["a"]);
    assert_eq!(captured("fn f(c) { if c { a = 1 } lambda () { a } }"), ["a?"]);
    assert_eq!(captured("fn f() { g = lambda () { a }; a = 1; g() + a }"), ["a?"]);
    assert_eq!(captured("fn f() { try { a = f() } catch e { e } lambda () { [a, e] } }"), ["a?", "e?"]);
    assert_eq!(captured("fn f() { try { f() } catch e { lambda () { e } } }"), ["e"]);
    // Lambdas in between pass it on, unless they have bound their own.
    assert_eq!(captured("fn f(a) { lambda () { lambda () { a } } }"), ["a", "a"]);
    assert_eq!(captured("fn f(a) { lambda () { a = 1; lambda () { a } } }"), ["a"]);
    assert_eq!(captured("fn f(a) { lambda () { g = lambda () { a }; a = 1; g() + a } }"), ["a", "a"]);
    assert_eq!(captured("fn f() { lambda () { g = lambda () { a }; a = 1; g() + a } }"), ["a?"]);
    // Sibling lambdas do not see each other's variables.
    assert_eq!(captured("fn f() { lambda () { length = 1; length }; lambda () { length([]) } }"), [""; 0]);
    // A literal makes its value regardless of the surrounding names.
    assert_eq!(captured("fn f(list, hash) { list; hash; lambda () { [1, {2: 3}] } }"), [""; 0]);
    // No code is required after an infinite loop.
    assert_eq!(captured("fn f(c) { try { 1 } catch e { if c { a = 1 } lambda () { a } } }"), ["a"]);
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
