//! Diagnostics of incorrect programs: the right error at the right place, and no others.

use hark_compiler::limits::DIAGNOSTICS_MAX;
use hark_compiler::{Severity, compile};

/// Each diagnostic as `code line:column message`, followed by its hint.
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

/// Checks the hint of the first diagnostic.
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
    check("fn f(a) { l = lambda (x) { x + b }; l(a) }", &["HK0012 1:32 nothing named `b` is known here"]);
}

#[test]
fn definitions() {
    check("fn f() { 1 }\nfn f() { 2 }", &["HK0014 2:4 `f` is defined twice"]);
    check("import(f, m, 0);\nfn f() { 2 }", &["HK0014 2:4 `f` is defined twice"]);
    check("fn f(a, a) { a }", &["HK0015 1:9 two parameters are named `a`"]);
}

#[test]
fn assignment_and_async() {
    check("fn f() { 1 = 2 }", &["HK0017 1:10 only a name or a list of names can be assigned to"]);
    check("fn f(x) { x }\nfn g() { async f(1) + 2 }", &["HK0016 2:10 `async` needs a call after it"]);
    check("fn f(x) { async x }", &["HK0016 1:11 `async` needs a call after it"]);
    check("fn f(x) { x }\nfn g() { (async f(1)) == await async f(1) }", &[]);
    check("fn f(x) { async }", &["HK0016 1:11 `async` needs a call after it, but found `}`"]);
    check("fn f(x) { (x) = 2 }", &[]);
    check("fn f(x) { x == 1 = 2 }", &["HK0017 1:11 only a name or a list of names can be assigned to"]);
}

#[test]
fn hints_say_what_to_do() {
    hint("fn f(x) { async f(1) + 2 }", "write `(async f(1)) + 2`");
    hint("fn f(x) { async (f(1) + 2) + 3 }", "`async f(x)` starts `f(x)` in a new thread");
    hint("fn f() { async f }", "write `async f()` to call it");
    hint("fn f() { lenght([1]) }", "did you mean `length`?");
    hint("fn f(x) { x.upper() }", "a `.` is part of the name here: a function is called like `upper(x)`");
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
    check(r#"fn f() { "\d" }"#, &["HK0023 1:11 `\\d` is not an escape sequence and is kept as written"]);
}

#[test]
fn text() {
    check("fn f() { 007 }", &["HK0005 1:10 the integer `007` begins with `0`"]);
    check("fn f() { 1x }", &["HK0005 1:10 `1x` is not a number"]);
    check("fn f() { \"abc }\nfn g() { 1 }", &["HK0002 1:10 this string has no end"]);
    check("fn f() { 1 } /* x", &["HK0003 1:14 this comment has no end"]);
    check(r#"fn f() { "\ud800" }"#, &["HK0004 1:11 a surrogate is not a character"]);
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
    check("import(foo);", &["HK0011 1:11 expected `,` and the Python module, but found `)`"]);
}

#[test]
fn attributes() {
    check("#[retry(attempts: 3)]\n// why\n#[timeout(30)] #[limit(1)] #[priority(2)]\nfn f() { 1 }", &[]);
    check(
        "#[memory(1)] #[pool(\"gpu\")]\nfn f() { 1 }",
        &[
            "HK0036 1:3 the attribute `memory` has no effect yet",
            "HK0039 1:16 the attribute `pool` has no effect where one process runs a whole session",
        ],
    );
    check("#[retri(attempts: 3)] fn f() { 1 }", &["HK0020 1:3 there is no attribute `retri`"]);
    check("#[retry(attempts: 0)] fn f() { 1 }", &["HK0020 1:19 `attempts` must be an integer from 1 to 4294967295"]);
    check("#[timeout(-1)] fn f() { 1 }", &["HK0020 1:11 `timeout` must be a number of seconds, more than 0"]);
    bad_attribute_values();
    check("#[kwargs] import(f, m, 1); #[timeout(1)] #[kwargs] import(g, m, 0);", &[]);
    check("#[limit(10), rate(9, per: 1)] fn f() { 1 }", &["HK0020 1:12 each attribute needs its own brackets"]);
    check("#[kwargs, timeout(1)] import(f, m, 1);", &["HK0020 1:9 each attribute needs its own brackets"]);
    check("#[kwargs] fn f() { 1 }", &["HK0020 1:3 `kwargs` belongs to imports only"]);
    check("#[kwargs(1)] import(f, m, 1);", &["HK0020 1:10 `kwargs` has no arguments: write `#[kwargs]`"]);
    check("#[priority(1)] #[priority(2)] fn f() { 1 }", &["HK0020 1:18 the attribute `priority` is given twice"]);
}

/// Bad attributes, each before a function: the column and the message.
#[track_caller]
fn bad_attribute_values() {
    for (attribute, column, message) in [
        ("timeout(0)", 11, "`timeout` must be a number of seconds, more than 0"),
        ("timeout(1e300)", 11, "`timeout` must be a number of seconds, at most 1000000000"),
        ("timeout(\"1\")", 11, "`timeout` must be a number of seconds, more than 0"),
        ("timeout(1, 2)", 3, "`timeout` needs a number of seconds, as in `#[timeout(30)]`"),
        ("retry(deadline: 0)", 19, "`deadline` must be a number of seconds, more than 0"),
        ("retry(backoff: -1)", 18, "`backoff` must be a number of seconds, at least 0"),
        ("retry(factor: 0.5)", 17, "`factor` must be a number, at least 1"),
        ("retry(jitter: 1)", 17, "`jitter` must be `true` or `false`"),
        ("retry(on: \"x\")", 13, "`on` must be a list of strings, as in `on: [\"timeout\", \"OSError\"]`"),
        ("retry(on: [])", 13, "`on` is empty, so nothing would be retried"),
        ("retry(on: [\"timeout\", \"cancelled\"])", 25, "errors of kind `cancelled` are never retried"),
        ("retry(on: [\"deadlock\"])", 14, "errors of kind `deadlock` are never retried"),
        ("retry(except: [1])", 18, "each item of `except` must be a string: the kind of an error, or a Python class"),
        ("retry(on: [[\"x\"]])", 14, "expected a string, but found `[`"),
        ("retry(attempts: true)", 19, "`attempts` must be an integer from 1 to 4294967295"),
        ("retry(attempts: 1, attempts: 2)", 32, "`attempts` is given twice"),
        ("retry(1, 2)", 12, "this argument of `retry` needs a name, as in `backoff: 1.0`"),
        ("retry(atempts: 1)", 9, "`retry` has no argument `atempts`"),
        ("limit(0)", 9, "`limit` must be an integer from 1 to 4294967295"),
        ("limit(10, name: \"\")", 19, "`name` must be a string that is not empty"),
        ("limit", 3, "`limit` needs how many may be under way at once, as in `#[limit(10)]`"),
        ("rate(100)", 3, "`rate` needs how many may start in how many seconds, as in `#[rate(100, per: 60)]`"),
        ("rate(0, per: 60)", 8, "`rate` must be an integer from 1 to 4294967295"),
        ("rate(1, per: 0)", 16, "`per` must be a number of seconds, more than 0"),
        ("priority(1.5)", 12, "`priority` must be an integer from -2147483648 to 2147483647"),
        ("priority(99999999999999999999)", 12, "`priority` must be an integer from -2147483648 to 2147483647"),
    ] {
        check(&format!("#[{attribute}] fn f() {{ 1 }}"), &[&format!("HK0020 1:{column} {message}")]);
    }
    check(
        "#[retry] #[limit(1, name: \"a\")] #[rate(5, per: 0.5)] #[priority(-5)] fn f() { 1 }\n\
         #[retry(5, backoff: 0, factor: 1, max_backoff: 2, jitter: false, on: [\"a\", 'b.C',], except: [], deadline: 9)]\n\
         import(g, m, 1);",
        &[],
    );
}

#[test]
fn what_shares_a_limit_or_rate_agrees_on_it() {
    let limits = "#[limit(10, name: \"a\")] fn f() { 1 }\n#[limit(5, name: \"a\")] import(g, m, 1);";
    check(limits, &["HK0034 2:3 the limit `a` is 5 here, but 10 elsewhere"]);
    hint(limits, "declarations with the same name share the limit: give them the same numbers, or different names");
    let diagnostic = compile("test.hk", limits).diagnostics.remove(0);
    let places: Vec<_> = diagnostic.labels.iter().map(|label| (label.span.start, label.text.as_str())).collect();
    assert_eq!(places, [(39, "5"), (2, "10")]);
    check(
        "#[rate(10, per: 1)] import(g, m, 1); #[rate(10, per: 2)] import(g, m, 1, h);",
        &["HK0034 1:40 the rate `m.g` is 10 per 2 s here, but 10 per 1 s elsewhere"],
    );
    // The default names of these.
    check(
        "#[limit(1)] fn f() { 1 }\n#[limit(2, name: \"test.f\")] fn g() { 1 }",
        &["HK0034 2:3 the limit `test.f` is 2 here, but 1 elsewhere"],
    );
    check(
        "#[limit(1, name: \"a\")] #[rate(2, per: 1, name: \"a\")] fn f() { 1 } #[limit(1, name: \"a\")] fn g() { 1 }",
        &[],
    );
}

#[test]
fn a_python_name_needs_a_name_here() {
    check("import(Area, src.shapes, 2, area); import(load, PIL.Image_2, 1); fn f() { area(load(1), 2) }", &[]);
    check("import(größe, maße.Ä_1, 1, size); import(null, sql, 0, sql_null); fn f() { size(sql_null()) }", &[]);
    check("import(Area, shapes, 2);", &["HK0026 1:8 `Area` cannot be a name of this program"]);
    check("import(Item.load, shapes, 2,);", &["HK0026 1:8 `Item.load` cannot be a name of this program"]);
    check("import(null, sql, 2);", &["HK0026 1:8 `null` cannot be a name of this program"]);
    hint("import(Item.load, shapes, 2);", "give it another one: `import(Item.load, shapes, 2, load)`");
    // A use of the Python name is the same error, or one that is answered by a hint.
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
fn calls_of_anything() {
    check("fn f(h) { get(h, \"f\")(3); nth(h, 0)(1)(2); (lambda (x) { x })(2); (h)(1) }", &[]);
    check("fn f(h) { h\n(1) }", &[]);
    check("fn f() { 5(1) }", &["HK0029 1:10 a number is not a function, so this call will fail"]);
    check("fn f() { [f](1) }", &["HK0029 1:10 a list is not a function, so this call will fail"]);
    check("fn f() { {1: f}(1) }", &["HK0029 1:10 a hash is not a function, so this call will fail"]);
    check("fn f(x) { print(x)\n(x + 1) }", &["HK0029 2:1 this `(` calls the value of the expression before it"]);
    check("fn f(x) { if x { 1 }\n(x) }", &[]);
    let separate = "this `(` begins a new expression: after the `}` of a body it is never a call";
    check("fn f() { lambda (x) { x }(2) }", &[&format!("HK0029 1:26 {separate}")]);
    check("fn f() { g = lambda (x) { x }(2); g }", &[&format!("HK0029 1:30 {separate}")]);
    check("fn f(x) { try { x } catch { f }(2) }", &[&format!("HK0029 1:32 {separate}")]);
    check("fn f() { [lambda (x) { x }(2)] }", &["HK0010 1:27 expected `,` or `]`, but found `(`"]);
    hint("fn f() { [lambda (x) { x }(2)] }", "to call the lambda, put it into parentheses: `(lambda (x) { ... })(1)`");
    // The number of arguments is known only for callees that are names.
    check("fn f() { (lambda (x) { x })() }", &[]);
    check("fn f(a) { (f)() }", &["HK0013 1:12 `f` takes 1 argument, but is called with 0"]);
}

#[test]
fn errors_are_caught() {
    check("fn f() { try { f() } catch e { e } }", &[]);
    check("fn f() { try { f() } catch e { 1 } }", &[]);
    check("fn try(catch) { x = try(catch); catch(x) }", &[]);
    check("fn f(x) { try { } catch { x } }", &["HK0009 1:15 the body of `try` is empty"]);
    check("fn f(x) { try { x } catch { } }", &["HK0009 1:27 the body of `catch` is empty"]);
    let expected = "expected `catch` after the block of `try`, but found";
    check("fn f(x) { try { x } }", &[&format!("HK0006 1:21 {expected} `}}`")]);
    hint("fn f(x) { try { x } }", "write `catch e { ... }`, or `catch { ... }` if the error does not matter");
    check("fn f(x) { try { x }; x }", &[&format!("HK0006 1:20 {expected} `;`")]);
    check("fn f(x) { try { x }; catch e { e } }", &[&format!("HK0006 1:20 {expected} `;`")]);
    hint("fn f(x) { try { x }; catch e { e } }", "there must be no `;` between the `}` of a `try` and its `catch`");
    check("fn f(x) { try { x } except e { e } }", &[&format!("HK0006 1:21 {expected} `except`")]);
    hint("fn f(x) { try { x } except e { e } }", "an error is caught by `catch`: `try { ... } catch e { ... }`");
    check(
        "fn f(x) { try { x } catch (e) { e } }",
        &["HK0006 1:27 the name of an error is written without parentheses"],
    );
    hint("fn f(x) { try { x } catch (e) { e } }", "write `catch e { ... }`");
    check(
        "fn f(x) { try { x } catch if { x } }",
        &["HK0025 1:27 expected a name for the error, or `{`, but `if` is a reserved word"],
    );
    check("fn f(x) { try { x } catch e: { x } }", &["HK0006 1:28 expected `{` and the body of `catch`, but found `:`"]);
    check("fn f(x) { try { x catch e { e } }", &["HK0010 1:19 expected `}` before this `catch`"]);
    check("fn f(x) { try { x } catch { 1 } finally { 2 } }", &["HK0012 1:33 nothing named `finally` is known here"]);
    check(
        "fn f(x) { try { x } catch { 1 } + 2 }",
        &["HK0006 1:33 a statement that begins with `try` ends at its last `}`, but `+` follows"],
    );
    check("fn f(x) { y = try { x } catch { 1 } + 2; y }", &[]);
    // The failure may have happened before the first instruction that can fail.
    check("fn f() { try { x = 1; f(); y = 2 } catch { x } }", &["HK0018 1:28 `y` is never read"]);
    check("fn f() { try { f(); y = 2 } catch { y } }", &["HK0019 1:37 `y` may be read before it is assigned"]);
    check(
        "fn f(c) { try { if c { y = 2; f(c) } else { f(c) } } catch { y } }",
        &["HK0019 1:62 `y` may be read before it is assigned"],
    );
    check("fn f() { try { y = f() } catch { y = 2 } y }", &[]);
    check("fn f() { try { y = f() } catch { 2 } y }", &["HK0019 1:38 `y` may be read before it is assigned"]);
    check("fn f() { try { try { y = 1; f() } catch { f() } } catch e { [e, y] } }", &[]);
    check("fn f() { try { f() } catch e { 1 } e }", &["HK0019 1:36 `e` may be read before it is assigned"]);
}

#[test]
fn lambdas_use_the_names_around_them() {
    check("fn f(a) { l = lambda (x) { x + a }; l(1) }", &[]);
    check("fn f() { a = 1; lambda () { lambda () { a } } }", &[]);
    check("fn f(a) { a = 1; lambda () { lambda () { b } } }", &["HK0012 1:42 nothing named `b` is known here"]);
    check("fn f() { lambda () { a = 1; a }; a }", &["HK0012 1:34 nothing named `a` is known here"]);
    check("fn f() { try { f() } catch e { lambda () { e } } }", &[]);
    check("fn f(l) { [a, [b]] = l; lambda () { a + b } }", &[]);
    check(
        "fn f(c) { if c { a = 1 } lambda () { a } }",
        &["HK0031 1:38 `a` may not be bound yet when this lambda is made"],
    );
    check(
        "fn f() { l = lambda () { a }; a = 1; l() + a }",
        &["HK0031 1:26 `a` may not be bound yet when this lambda is made"],
    );
    check(
        "fn f() { l = lambda () { lambda () { a } }; a = 1; l() + a }",
        &["HK0031 1:38 `a` may not be bound yet when this lambda is made"],
    );
    check(
        "fn f() { l = lambda (x) { l(x) }; l(1) }",
        &["HK0031 1:27 a lambda cannot call itself by its variable `l`: use `fn`"],
    );
    // Then it refers to the program's or the language's function, which is probably not intended.
    let itself = "a lambda cannot call itself by its variable";
    check("fn l(x) { x } fn f() { l = lambda (x) { l(x) }; l(1) }", &[&format!("HK0031 1:41 {itself} `l`: use `fn`")]);
    check("fn f() { sum = lambda (x) { sum(x) }; sum(1) }", &[&format!("HK0031 1:29 {itself} `sum`: use `fn`")]);
    check("fn l(x) { x } fn f() { g = lambda (x) { l(x) }; l = g; l(1) }", &[]);
    check("fn f() { l = 1; l = lambda (x) { l + x }; l(1) }", &[]);
    // A variable of the lambda hides the outer one from its assignment on.
    check("fn f(a) { lambda () { b = a; a = 2; a + b } }", &[]);
    check("fn f() { a = 1; lambda () { a = 2; a } }", &[]);
    check("fn f() { a = 1; lambda (a) { a } }", &["HK0018 1:10 `a` is never read"]);
    check("fn f() { lambda (c) { if c { a = 1 } a } }", &["HK0019 1:38 `a` may be read before it is assigned"]);
    // The callee may be an outer variable, regardless of the program's function of that name.
    check("fn l(x) { x } fn f(l) { lambda () { l(1, 2) } }", &[]);
    check(
        "fn l(x) { x } fn f() { lambda () { l(1, 2) } }",
        &["HK0013 1:36 `l` takes 1 argument, but is called with 2"],
    );
}

#[test]
fn lists_are_taken_apart() {
    check("fn f(l) { [a, [b, _], _] = l; a + b }", &[]);
    check("fn f(l) { [] = l; [[_]] = m = l; [a] = [b] = m; [(a), b] = [b, a]; [a, b] }", &[]);
    check("fn f(l) { [a, b] = l; a }", &["HK0018 1:15 `b` is never read"]);
    hint("fn f(l) { [a, b] = l; a }", "write `_` in its place");
    check("fn f(l) { [a, [b, a]] = l; a + b }", &["HK0017 1:19 the pattern binds `a` twice"]);
    check("fn f(l) { [a, 1] = l; a }", &["HK0017 1:15 a literal is not allowed in a pattern"]);
    check("fn f(l) { [a, f(a)] = l; a }", &["HK0017 1:15 a call is not allowed in a pattern"]);
    check("fn f(l) { [a, a + 1] = l; a }", &["HK0017 1:15 an expression is not allowed in a pattern"]);
    check("fn f(l) { [a, b = 1] = l; a + b }", &["HK0017 1:15 an assignment is not allowed in a pattern"]);
    check("fn f(l) { [a, {\"b\": b}] = l; a }", &["HK0017 1:15 a hash is not allowed in a pattern"]);
    check("fn f(l) { {\"b\": b} = l; b }", &["HK0017 1:11 a hash cannot be destructured by `=`"]);
    check("fn f(l) { {a, b} = l; a + b }", &["HK0017 1:11 a hash cannot be destructured by `=`"]);
    check("fn f(l) { {b} = l; b }", &["HK0017 1:11 a hash cannot be destructured by `=`"]);
    check("fn f(l) { x = {l, 1}; x }", &["HK0006 1:17 expected `:` after the key of a hash, but found `,`"]);
    check("fn f([a, b]) { a + b }", &["HK0006 1:6 a parameter is a name, but found `[`"]);
    check("fn f() { lambda ({a}) { a } }", &["HK0006 1:18 a parameter is a name, but found `{`"]);
    hint("fn f([a, b]) { a + b }", "give it a name, and destructure it in the body: `[a, b] = pair`");
    check("fn f(l) { a, b = l; a + b }", &["HK0006 1:12 expected `;` or `}` after an expression, but found `,`"]);
    hint("fn f(l) { a, b = l; a + b }", "a list is made by `[a, b]`, and taken apart by `[a, b] = value`");
    check("fn f(l) { [a, b] += l; l }", &["HK0017 1:19 there is no `+=`"]);
    check(
        "fn f(l) { try { [a, b] = l } catch { a } b }",
        &["HK0019 1:38 `a` may be read before it is assigned", "HK0019 1:42 `b` may be read before it is assigned"],
    );
}

#[test]
fn pipes() {
    check("fn f(x, y) { x |> f(y) |> f(1)\n|> f(2)\n  |>\n  f(3) }", &[]);
    check("fn f(x) { x |> f(1) }", &["HK0013 1:11 `f` takes 1 argument, but is called with 2"]);
    let call = "the right side of `|>` must be a call";
    check("fn f(x) { x |> f }", &[&format!("HK0030 1:16 {call}")]);
    hint("fn f(x) { x |> f }", "write `f()` to call it");
    check("fn f(x) { x |> await f() }", &[&format!("HK0030 1:16 {call}")]);
    hint("fn f(x) { x |> await f() }", "to await the call's value, write `await (x |> f())`");
    check("fn f(x) { x |> async f() }", &[&format!("HK0030 1:16 {call}")]);
    hint("fn f(x) { x |> async f() }", "to start the call in a new thread, write `async (x |> f())`");
    check("fn f(x) { x |> f() + 1 }", &[&format!("HK0030 1:16 {call}")]);
    check("fn f(x) { x |> lambda (y) { y } }", &[&format!("HK0030 1:16 {call}")]);
    check("fn f(x) { x |> if x { f }() }", &[&format!("HK0030 1:16 {call}")]);
    check("fn f(x) { x |> 1 }", &[&format!("HK0030 1:16 {call}")]);
    let start = "`async` before a pipe does not say which of its calls to start";
    check("fn f(x) { async x |> f() }", &[&format!("HK0030 1:11 {start}")]);
    hint("fn f(x) { async x |> f() }", "to start the last one, write `async (x |> f())`");
    check("fn f(x) { await async f(x) |> f() }", &[&format!("HK0030 1:17 {start}")]);
    check("fn f(x) { x |> async f() |> f() }", &[&format!("HK0030 1:16 {start}")]);
    check("fn f(x) { async (x |> f()); (async f(x)) |> f(); async f(x |> f()); await x |> f() }", &[]);
    check("fn f(x) { |> f() }", &["HK0006 1:11 `|>` needs a value on its left"]);
    check("fn f(x) { x |> }", &["HK0006 1:16 expected an expression, but found `}`"]);
    check(
        "fn f(x) { if x { x } |> f() }",
        &["HK0006 1:22 a statement that begins with `if` ends at its last `}`, but `|>` follows"],
    );
    check("fn f(x) { y = if x { x } else { 1 } |> f(); y }", &[]);
    check("fn f(x) { x | f() }", &["HK0001 1:13 the character `|` means nothing here"]);
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
