//! A mistake causes a single error, and parsing continues after it: each program has a syntax error followed by an
//! unknown name, which must be reported too.

use hark_bytecode::Source;
use hark_compiler::compile;

/// Checks that there are exactly two errors: this one, given as `line:column message`, and the unknown name.
#[track_caller]
fn check(text: &str, expected: &str) {
    let text = format!("{text}\nfn behind() {{ nowhere }}\n");
    let source = Source::new("test.hk", text.as_str());
    let compilation = compile("test.hk", &text);
    let found: Vec<String> = compilation
        .diagnostics
        .iter()
        .map(|diagnostic| {
            let place = source.location(diagnostic.span().start);
            format!("{}:{} {}", place.line, place.column, diagnostic.message)
        })
        .collect();
    let (last, first) = found.split_last().expect("there are errors");
    assert!(last.contains("nothing named `nowhere` is known here"), "{text}\n{found:#?}");
    assert_eq!(first, [expected], "{text}");
}

#[test]
fn in_an_expression() {
    check("fn f(x) { x = ; y = 2; x + y }", "1:15 expected an expression, but found `;`");
    check("fn f(x) { y = g(x;\n z = y + 1; z } fn g(x) { x }", "1:18 expected `,` or `)`, but found `;`");
    check("fn f(x) { y = [1, 2;\n y }", "1:20 expected `,` or `]`, but found `;`");
    check("fn f(x) { [x, 1) }", "1:16 expected `,` or `]`, but found `)`");
    check("fn f(x) { (1 + x ; 3 }", "1:18 expected `)`, but found `;`");
    check("fn f(x) { x += 1; x }", "1:14 there is no `+=`");
    check("fn f(x) { y = 1 @ 2; x + y }", "1:17 the character `@` means nothing here");
    check("fn f(x) { y = 1.2.3; x + y }", "1:15 `1.2.3` is not a number");
    check("fn f(x) { [x, 5] = x; [y, z] = [1]; y + z }", "1:15 a literal is not allowed in a pattern");
    check("fn f(x) { [y, [z, _]] = x + ; y + z }", "1:29 expected an expression, but found `;`");
    check("fn f(x) { {y, z} = x; y + z }", "1:11 a hash cannot be destructured by `=`");
    check("fn f(x) { x |> f; y = 1; y }", "1:16 the right side of `|>` must be a call");
    check("fn f(x) { y = x |> await f(); y }", "1:20 the right side of `|>` must be a call");
}

#[test]
fn in_braces() {
    check("fn f(x) { {\"a\": +} }", "1:17 `+` needs a value on its left");
    check("fn f(x) { {1} }", "1:11 a `{` here begins a hash, not a body");
    check("fn f(x) { {print(1); 2} }", "1:11 a `{` here begins a hash, not a body");
    check("fn f(x) { h = {\"a\": 1; y = 2; h + y }", "1:22 expected `,` or `}`, but found `;`");
    check("fn f(x) { print(lambda (y) { {1; 2} }); x }", "1:30 a `{` here begins a hash, not a body");
    check("fn f(x) { lambda (y) { z = ; z } }", "1:28 expected an expression, but found `;`");
}

#[test]
fn where_a_brace_is_missing() {
    check("fn f(x) {\n  if x { 1\n", "2:8 the body of `if` has no end");
    check("fn f(x) {\n  if x {\n    1\n  else {\n    2\n  }\n}\n", "4:3 expected `}` before this `else`");
    check("fn f(x) {\n  g(x)\n", "1:9 the body of `f` has no end");
    check("fn f(x) { x } }", "1:15 only `fn` and `import` can stand at the top level, but found `}`");
    check("fn f(x) { if x { 1 }; else { 2 } }", "1:23 `else` without an `if` before it");
    check("fn f(x) { if x { } y = 1; y }", "1:16 the body of `if` is empty");
}

#[test]
fn in_a_definition() {
    check("fn f(x, y { x }\nfn g() { f(1, 2) }", "1:11 expected `,` or `)`, but found `{`");
    check("fn f(x y) { x }\nfn g() { f(1, 2) }", "1:8 expected `,` or `)`, but found `y`");
    check("fn f(x = 1) { x }\nfn g() { f(1) }", "1:8 expected `,` or `)`, but found `=`");
    check("fn f() -> int { 1 }\nfn g() { f() }", "1:8 expected `{` and the body of `f`, but found `-`");
    check(
        "def f(x): return x\nfn g() { f(1) }",
        "1:1 only `fn` and `import` can stand at the top level, but found `def`",
    );
    check("import(Foo, pysrc, 1);\nfn g() { Foo(1) }", "1:8 `Foo` cannot be a name of this program");
    check("x = 1;\nfn g() { x }", "1:1 only `fn` and `import` can stand at the top level, but found `x`");
    check("import(foo, pysrc)\nfn g() { foo(1) }", "1:18 expected `,` and the number of arguments, but found `)`");
    check("import(foo, :ruby pysrc, 1);\nfn g() { foo(1) }", "1:13 only Python functions can be imported so");
    check("fn f(a) {\n  fn g(b) { b }\n  g(a)\n}", "2:3 a function cannot be defined in a body");
    check("fn f() { x = 1; x fn g() { 2 }", "1:19 a function cannot be defined in a body");
    check("fn f() { 1 }\nfn f(a) { a }\nfn g() { f(1) + f() }", "2:4 `f` is defined twice");
    check(
        "#[retry(attempts=3)] fn f() { 1 }\nfn g() { f() }",
        "1:9 expected a number or string as the value of an \
           attribute, but found `attempts`",
    );
}

#[test]
fn in_a_try() {
    check("fn f(x) { try { x = ; y = 2 } catch e { e }; y }", "1:21 expected an expression, but found `;`");
    check("fn f(x) { try { x } catch e { x = ; e }; e }", "1:35 expected an expression, but found `;`");
    check("fn f(x) { try { y = 1 } e { x } y }", "1:25 expected `catch` after the block of `try`, but found `e`");
    check("fn f(x) { try { x } catch (e) { e } x }", "1:27 the name of an error is written without parentheses");
    check("fn f(x) {\n  try { x\n", "2:7 the body of `try` has no end");
    check("fn f(x) { catch e { x + e } }", "1:11 `catch` without a `try` before it");
}

#[test]
fn in_an_import() {
    check(
        "import \"lib/text.hk\";\nfn f() { text.name(1) }",
        "1:8 the module `lib/text.hk` does not exist (test.hk -> lib/text.hk)",
    );
}

#[test]
fn where_fn_is_no_function() {
    let reserved = "is a reserved word";
    check("fn fn() { 1 }", &format!("1:4 expected the name of the function, but `fn` {reserved}"));
    check("fn fn fn() { 1 }", &format!("1:4 expected the name of the function, but `fn` {reserved}"));
    check("fn fn", &format!("1:4 expected the name of the function, but `fn` {reserved}"));
    check("fn f(a, fn) { a } fn g() { f(1) }", &format!("1:9 expected the name of a parameter, but `fn` {reserved}"));
    check("fn f(fn x) { x } fn g() { f(1) }", &format!("1:6 expected the name of a parameter, but `fn` {reserved}"));
    check(
        "fn f( fn g() { 1 } fn h() { f() + g() }",
        &format!("1:7 expected the name of a parameter, but `fn` {reserved}"),
    );
    check("import(f, m, 1, fn);", &format!("1:17 expected what the program calls the function, but `fn` {reserved}"));
    check("#[fn] fn g() { 1 }", &format!("1:3 expected the name of an attribute, but `fn` {reserved}"));
    check("fn g() { lambda (fn) { 1 } }", &format!("1:18 expected the name of a parameter, but `fn` {reserved}"));
    check(
        "fn g() { try { 1 } catch fn { 2 } }",
        &format!("1:26 expected a name for the error, or `{{`, but `fn` {reserved}"),
    );
    let here = "a function cannot be defined here";
    check("fn g() { fn }", &format!("1:10 {here}"));
    check("fn g() { fn(1); 2 }", &format!("1:10 {here}"));
    check("fn g() { fn = 3; 2 }", &format!("1:10 {here}"));
    check("fn g() { x = fn; x }", &format!("1:14 {here}"));
    check("fn g() { x = fn h(a) { a }; x }", &format!("1:14 {here}"));
    check("fn g() { g(fn (a) { a }, 1) }", &format!("1:12 {here}"));
    check("fn g() { [fn, 1]; 2 }", &format!("1:11 {here}"));
    check("fn g() { if fn { 1 } }", &format!("1:13 {here}"));
}

#[test]
fn words_of_other_languages() {
    check("fn f(x) { return x }", "1:11 nothing named `return` is known here");
    check("fn f(x) { let y = x; y }", "1:11 nothing named `let` is known here");
    check("fn f(x) { if x and x { 1 } }", "1:16 expected `{` and the body of `if`, but found `and`");
    check("fn f(x) { x == None }", "1:16 `None` cannot be a name");
}

#[test]
fn what_a_damaged_lambda_may_read_is_not_unused() {
    check("fn f() { a = 1; g = lambda (x) { x + ; a }; g(1) }", "1:38 expected an expression, but found `;`");
    check("fn f() { a = 1; g = lambda (x { x + a }; g(1) }", "1:31 expected `,` or `)`, but found `{`");
    check("fn f() { a = ; b = 2; lambda (x) { x + a + b } }", "1:14 expected an expression, but found `;`");
}
