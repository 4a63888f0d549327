//! What the compiler says about programs that are wrong: which mistake, where, and nothing else.

use hark_compiler::{Code, Severity, compile};

/// Each mistake as `code line:column message`, then its hint.
fn diagnostics(text: &str) -> Vec<String> {
    let source = hark_bytecode::Source::new("test.hk", text);
    let compilation = compile("test.hk", text);
    let has_error = compilation.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(compilation.executable.is_none(), has_error);
    let show = |diagnostic: &hark_compiler::Diagnostic| {
        let place = source.location(diagnostic.span().start);
        format!("{} {}:{} {}", diagnostic.code, place.line, place.column, diagnostic.message)
    };
    compilation.diagnostics.iter().map(show).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(diagnostics(text), expected, "{text}");
}

#[test]
fn names_and_calls() {
    check("fn main() { lenght([1]) }", &["HK0012 1:13 nothing named `lenght` is known here"]);
    check(
        "fn main() { alpha; beta(1) }",
        &["HK0012 1:13 nothing named `alpha` is known here", "HK0012 1:20 nothing named `beta` is known here"],
    );
    check(
        "fn add(a, b) { a + b }\nfn main() { add(1) }",
        &["HK0013 2:13 `add` takes 2 arguments, but is called with 1"],
    );
    check(
        "import(f, m, 1);\nfn main() { f(1, 2) }",
        &["HK0013 2:13 `f` takes at most 1 argument, but is called with 2"],
    );
    check("fn main() { first() }", &["HK0013 1:13 `first` takes 1 argument, but is called with 0"]);
    check("fn f(g) { g(1, 2) }", &[]);
    check("fn f(a) { l = lambda (x) { x + a }; l(1) }", &["HK0012 1:32 nothing named `a` is known here"]);
}

#[test]
fn definitions() {
    check("fn f() { 1 }\nfn f() { 2 }", &["HK0014 2:4 `f` is defined twice"]);
    check("import(f, m, 0);\nfn f() { 2 }", &["HK0014 2:4 `f` is defined twice"]);
    check("fn f(a, a) { a }", &["HK0015 1:9 two parameters are named `a`"]);
}

#[test]
fn assignment_and_async() {
    check("fn f() { 1 = 2 }", &["HK0017 1:10 only a name can be assigned to"]);
    check("fn f(x) { x }\nfn g() { async f(1) + 2 }", &["HK0016 2:10 `async` needs a call after it"]);
    check("fn f(x) { async x }", &["HK0016 1:11 `async` needs a call after it"]);
    check("fn f(x) { x }\nfn g() { (async f(1)) == await async f(1) }", &[]);
    let text = "fn f(x) { x }\nfn g() { async f(1) + 2 }";
    let hint = compile("test.hk", text).diagnostics[0].hint.clone();
    assert_eq!(hint.as_deref(), Some("write `(async f(1)) + 2`"));
}

#[test]
fn warnings_do_not_reject() {
    check("fn f() { x = 1; 2 }", &["HK0018 1:10 `x` is never read"]);
    check("fn f(c) { if c { x = 1 }; x }", &["HK0019 1:27 `x` may be read before it is assigned"]);
    check("fn f(c) { if c { x = 1 } else { x = 2 }; x }", &[]);
    check(r#"fn f() { "\d" }"#, &["HK0023 1:11 `\\d` is no escape and stays as it is written"]);
}

#[test]
fn text() {
    check("fn f() { 007 }", &["HK0005 1:10 the integer `007` begins with `0`"]);
    check("fn f() { 1x }", &["HK0005 1:10 `1x` is not a number"]);
    check("fn f() { \"abc }\nfn g() { 1 }", &["HK0002 1:10 this string has no end"]);
    check("fn f() { 1 } /* x", &["HK0003 1:14 this comment has no end"]);
    check(r#"fn f() { "\ud800" }"#, &["HK0004 1:11 a surrogate is no character"]);
    check("fn f() { 1 @ 2 }", &["HK0001 1:12 the character `@` means nothing here"]);
}

#[test]
fn layout() {
    check("fn main() { print(1) print(2) }", &["HK0007 1:20 expected `;` after this expression"]);
    check("print(1);", &["HK0008 1:1 only `fn` and `import` can stand at the top level, but found `print`"]);
    check("fn f() { }", &["HK0009 1:8 the body of `f` is empty"]);
    check("fn f() { if true { } }", &["HK0009 1:18 the body of `if` is empty"]);
    check("fn f() { g(1 }", &["HK0010 1:14 expected `,` or `)`, but found `}`"]);
    check(
        "fn f() { [1, 2 }\nfn g() { nope }",
        &["HK0010 1:16 expected `,` or `]`, but found `}`", "HK0012 2:10 nothing named `nope` is known here"],
    );
    check("fn f() { try { 1 } catch e { 2 } }", &["HK0024 1:10 this release cannot catch errors with `try`"]);
    check("import(foo);", &["HK0011 1:11 expected `,` and the Python module, but found `)`"]);
}

#[test]
fn attributes() {
    check("#[retry(attempts: 3)]\n// why\n#[timeout(30)] #[memory(1)] #[pool(\"gpu\")]\nfn f() { 1 }", &[]);
    check("#[retri(attempts: 3)] fn f() { 1 }", &["HK0020 1:3 there is no attribute `retri`"]);
    check("#[retry(attempts: 0)] fn f() { 1 }", &["HK0020 1:19 `attempts` must be an integer from 1 to 4294967295"]);
    check("#[timeout(-1)] fn f() { 1 }", &["HK0020 1:11 `timeout` must be a number of seconds, more than 0"]);
    check("#[pool(\"a\")] #[pool(\"b\")] fn f() { 1 }", &["HK0020 1:16 the attribute `pool` is given twice"]);
}

#[test]
fn every_code_has_a_page() {
    for code in Code::ALL {
        assert!(code.explanation().starts_with(&format!("# {code}: ")), "{code}");
        assert_eq!(Code::from_text(&code.to_string()), Some(*code));
    }
}
