//! What the compiler says about programs that are wrong: which mistake, where, and nothing else.

use hark_compiler::limits::DIAGNOSTICS_MAX;
use hark_compiler::{Severity, compile};

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

/// Checks the hint of the first mistake.
#[track_caller]
fn hint(text: &str, expected: &str) {
    let compilation = compile("test.hk", text);
    assert_eq!(compilation.diagnostics[0].hint.as_deref(), Some(expected), "{text}");
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
    check("fn f(x) { async }", &["HK0016 1:11 `async` needs a call after it, but found `}`"]);
    check("fn f(x) { (x) = 2 }", &[]);
    check("fn f(x) { x == 1 = 2 }", &["HK0017 1:11 only a name can be assigned to"]);
}

#[test]
fn hints_say_what_to_do() {
    hint("fn f(x) { async f(1) + 2 }", "write `(async f(1)) + 2`");
    hint("fn f(x) { async (f(1) + 2) + 3 }", "`async f(x)` starts `f(x)` in a new thread");
    hint("fn f() { async f }", "write `async f()` to call it");
    hint("fn f() { lenght([1]) }", "did you mean `length`?");
    hint(
        "fn f() { l = lambda (x) { l(x) }; l(1) }",
        "a lambda cannot use the variables around it: give it `l` as an argument",
    );
    hint("fn f(x) { x.upper() }", "a `.` is a part of a name here: a function is called like `upper(x)`");
    hint("fn f(x) { x[0] }", "an item of a list is `nth(l, 0)`, that of a hash `get(h, \"key\")`");
    hint("fn f(x) { x == True }", "did you mean `true`?");
    hint("fn f(x) { x ? 1 : 2 }", "a choice is written `if c { a } else { b }`");
    hint("#[timout(3)] fn f() { 1 }", "did you mean `timeout`?");
    hint("#[retry(attempts: 1, backof: 3)] fn f() { 1 }", "did you mean `backoff`?");
    hint("fn f() { 007 }", "write `7`");
    hint("fn f() { \"\\ud83d\\ude00\" }", "write `\\U0001f600`");
    hint("fn f(x) { if x { 1 } + 2 }", "put the whole `if` into parentheses");
}

#[test]
fn second_places_are_shown() {
    let places = |text: &str| -> Vec<(usize, String)> {
        let labels = compile("test.hk", text).diagnostics[0].labels.clone();
        labels.into_iter().map(|label| (label.span.start as usize, label.text)).collect()
    };
    let place = |at, text: &str| (at, text.to_owned());
    assert_eq!(places("fn f(a) { a } fn g() { f() }"), [place(23, "called here"), place(3, "defined here")]);
    assert_eq!(places("fn f() { 1 } fn f() { 1 }"), [place(16, ""), place(3, "first defined here")]);
    assert_eq!(places("fn f() { [1 }"), [place(12, ""), place(9, "opened here")]);
    assert_eq!(places("fn f() { f() f() }"), [place(11, ""), place(13, "another expression begins here")]);
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
    check("#[kwargs] import(f, m, 1); #[timeout(1)] #[kwargs] import(g, m, 0);", &[]);
    check("#[kwargs] fn f() { 1 }", &["HK0020 1:3 `kwargs` belongs to imports only"]);
    check("#[kwargs(1)] import(f, m, 1);", &["HK0020 1:10 `kwargs` has no arguments: write `#[kwargs]`"]);
    check("#[pool(\"a\")] #[pool(\"b\")] fn f() { 1 }", &["HK0020 1:16 the attribute `pool` is given twice"]);
}

#[test]
fn a_python_name_needs_a_name_here() {
    check("import(Area, src.shapes, 2, area); import(load, PIL.Image_2, 1); fn f() { area(load(1), 2) }", &[]);
    check("import(größe, maße.Ä_1, 1, size); import(null, sql, 0, sql_null); fn f() { size(sql_null()) }", &[]);
    check("import(Area, shapes, 2);", &["HK0026 1:8 `Area` cannot be a name of this program"]);
    check("import(Item.load, shapes, 2,);", &["HK0026 1:8 `Item.load` cannot be a name of this program"]);
    check("import(null, sql, 2);", &["HK0026 1:8 `null` cannot be a name of this program"]);
    hint("import(Item.load, shapes, 2);", "give it another one: `import(Item.load, shapes, 2, load)`");
    // What the program calls by Python's name is the same mistake, or one with an answer.
    check("import(Area, shapes, 2); fn f() { Area(1, 2) }", &["HK0026 1:8 `Area` cannot be a name of this program"]);
    let called = "import(Area, shapes, 2, area); fn f() { Area(1, 2) }";
    check(called, &["HK0001 1:41 `Area` cannot be a name"]);
    hint(called, "the import names it `area`");
    check("import(area, shapes, 2, Area);", &["HK0001 1:25 `Area` cannot be a name"]);
    check("import(Area?, shapes, 2, area);", &["HK0001 1:8 `Area?` cannot be a name"]);
    check("import(A.., shapes, 2, area);", &["HK0001 1:8 `A..` cannot be a name"]);
    check("fn f(größe) { größe }", &["HK0001 1:6 `größe` cannot be a name", "HK0001 1:15 `größe` cannot be a name"]);
}

#[test]
fn counts_are_said_as_people_say_them() {
    check("fn f() { sid(2) }", &["HK0013 1:10 `sid` takes no arguments, but is called with 1"]);
    check("fn f() { get(1) }", &["HK0013 1:10 `get` takes 2 to 3 arguments, but is called with 1"]);
    check("import(f, m, 2); fn g() { f(); f(1); f(1, 2) }", &[]);
    check("fn f() { first = 1; first(1, 2) }", &[]);
    check("fn first(a, b) { a + b } fn f() { first(1, 2) }", &[]);
}

#[test]
fn all_mistakes_are_told_in_one_go() {
    let text = format!("fn f() {{ \"{}\" }}\nfn g() {{ {} }}", "\\d".repeat(3_000), "nowhere; ".repeat(5_000));
    let found = compile("test.hk", &text).diagnostics;
    assert_eq!(found.iter().filter(|each| each.severity == Severity::Warning).count(), 3_000);
    assert_eq!(found.len(), 8_000);
    assert!(found.is_sorted_by_key(|each| each.span().start));
    assert_eq!(found.last().unwrap().hint, None);
}

#[test]
fn of_mistakes_without_end_some_are_counted_only() {
    let text = format!("fn f() {{ \"\\d\"; {} }}", "nowhere; ".repeat(DIAGNOSTICS_MAX + 7));
    let found = compile("test.hk", &text).diagnostics;
    assert_eq!(found.len(), DIAGNOSTICS_MAX + 1);
    assert_eq!(found.last().unwrap().hint.as_deref(), Some("7 more mistakes are not shown"));
}

#[test]
fn bytes_that_are_no_text() {
    check("\u{feff}fn f() { 1 }", &[]);
    check("\u{feff}fn f() { y }", &["HK0012 1:10 nothing named `y` is known here"]);
    check("fn f() {\r\n  1 // one\r\n}\r\n", &[]);
    check("fn f() {\r  1 // one\r; y }", &["HK0012 3:3 nothing named `y` is known here"]);
    check(
        "fn f() { 1\rfn g() { y }",
        &["HK0010 1:8 the body of `f` has no end", "HK0012 2:10 nothing named `y` is known here"],
    );
    check("#! fn f( { y\r\nfn g() { y }", &["HK0012 2:10 nothing named `y` is known here"]);
    check("\u{feff}#!", &[]);
    check("\n#!", &["HK0001 2:1 the character `#` means nothing here"]);
    check("fn f() { 1\0 }", &["HK0001 1:11 the character `\\0` means nothing here"]);
    check("fn f() { \"\0\" }", &[]);
    check("", &[]);
}

/// A name may be as long as its file.
#[test]
fn what_is_quoted_is_short() {
    let long = "n".repeat(1_000_000);
    let texts = [
        "fn f() { LONG }",
        "fn f() { LONG(1) }",
        "fn f() { lambda (x) { LONG }; LONG = 1; LONG }",
        "fn LONG() { 1 } fn LONG() { 2 } fn f() { LONG(1) }",
        "fn f(LONG, LONG) { 1 }",
        "fn f() { LONG = 1; 2 }",
        "fn f() { if true { LONG = 1 }; LONG }",
        "fn f() { LONG 2 }",
        "fn f() { async LONG }",
        "fn f() { LONG += 1 }",
        "fn f() { 1 } LONG",
        "fn LONG() { 1",
        "fn LONG { 1 }",
        "fn f() { [1, LONG }",
        "fn f() { xLONG.method }",
        "#[LONG] fn f() { 1 }",
        "#[retry(LONG: 1)] fn f() { 1 }",
        "import(LONG, LONG, LONG);",
        "import(f, :LONG m, 1);",
        "fn f() { ÄLONG }",
        "fn f() { 0LONG }",
        "fn f() { \"\\N{LONG}\" }",
        "fn f() { \"LONG }",
        "fn f() { \"LONG\"\"LONG\" }",
    ];
    for text in texts {
        let found = compile("test.hk", &text.replace("LONG", &long)).diagnostics;
        assert!(!found.is_empty(), "{text}");
        for diagnostic in found {
            let labels = diagnostic.labels.iter().map(|label| label.text.len()).sum::<usize>();
            let hint = diagnostic.hint.as_deref().unwrap_or_default();
            assert!(diagnostic.message.len() + labels + hint.len() < 500, "{text}: {:.1000}", diagnostic.message);
        }
    }
}
