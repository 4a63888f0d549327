//! Syntax of other languages causes a single error, whose hint shows the equivalent in Hark. Valid code that probably
//! does not mean what it seems to causes a warning.

use hark_compiler::compile;

/// Checks the only diagnostic of a program: its code and message, and its hint.
#[track_caller]
fn check(cases: &[(&str, &str, &str)]) {
    for (text, expected, hint) in cases {
        let found = compile("test.hk", text).diagnostics;
        let told: Vec<String> = found.iter().map(|each| format!("{} {}", each.code, each.message)).collect();
        assert_eq!(told, [*expected], "{text}");
        assert_eq!(found[0].hint.as_deref(), Some(*hint), "{text}");
    }
}

#[test]
fn constructs_of_other_languages() {
    let value = "a function value is written `lambda (x) { ... }`";
    let function = "a function is `fn name(x) { ... }`, a function value `lambda (x) { ... }`";
    let choice = "a choice is written `if c { a } else { b }`";
    let text = r#"to put values into a string, write `format("{} and {}", x, y)`"#;
    let quotes = "there are no strings in three quotes: a line break in a string is `\\n`";
    let colon = r#"a `:` stands between a key and its value: `{"a": 1}`"#;
    let thread = "`async f(x)` starts `f(x)` in a new thread";
    check(&[
        ("fn main() { f = (a, b) => a + b; f(1, 2) }", "HK0010 expected `)`, but found `,`", value),
        ("fn main() { map([1], (x, y) => { x }) }", "HK0010 expected `)`, but found `,`", value),
        ("fn main() { f = () => 1; f() }", "HK0006 expected an expression, but found `)`", value),
        ("fn main() { f = \\a -> a; f(1) }", "HK0001 the character `\\\\` means nothing here", value),
        ("fn main() { map([1], function (a) { a }) }", "HK0010 expected `,` or `)`, but found `{`", value),
        ("fn main() { f = function (a) { a }; f(1) }", "HK0012 nothing named `function` is known here", function),
        ("fn main() { f = def (a, b) { a }; f(1) }", "HK0012 nothing named `def` is known here", function),
        (
            "async def f(): pass\nfn main() { f() }",
            "HK0008 only `fn` and `import` can stand at the top level, but found `async`",
            function,
        ),
        ("fn main() { async fn f() { 1 } }", "HK0016 `async` needs a call after it, but found `fn`", thread),
        ("fn main() { async { 1 } }", "HK0016 `async` needs a call after it, but found `{`", thread),
        (
            "fn main(c) { y = if c then 1 else 2; y }",
            "HK0006 expected `{` and the body of `if`, but found `then`",
            choice,
        ),
        (
            "fn main(c) { if c is not null { 1 } }",
            "HK0006 expected `{` and the body of `if`, but found `is`",
            "write `!=`",
        ),
        ("fn main(c) { c is not null }", "HK0007 expected `;` after this expression", "write `!=`"),
        ("fn main(c) { c is null }", "HK0007 expected `;` after this expression", "write `==`"),
        (
            "fn main(c) { 1 not in c }",
            "HK0007 expected `;` after this expression",
            "to test whether a list, string or hash does not contain something, write `!contains(x, y)`",
        ),
        (r#"fn main() { {"a" => 1} }"#, "HK0017 only a name or a list of names can be assigned to", colon),
        (r#"fn main() { {"a" = 1} }"#, "HK0017 only a name or a list of names can be assigned to", colon),
        (
            "fn main() { c = 1; type(c) }",
            "HK0012 nothing named `type` is known here",
            r#"write `type_of(x)`, which gives `"string"`, `"list"` and the like"#,
        ),
        (r#"fn main() { rf"a" }"#, "HK0007 expected `;` after this expression", text),
        (r#"fn main() { F"a" }"#, "HK0001 `F` cannot be a name", text),
        (
            r#"fn main() { u"a" }"#,
            "HK0007 expected `;` after this expression",
            "every string is Unicode: leave the letter out",
        ),
        (r#"fn main() { """a""" }"#, "HK0007 expected `;` after this expression", quotes),
        ("fn main() { print('''a''') }", "HK0010 expected `,` or `)`, but found a string", quotes),
        (
            "fn main() { a = 1; a ?? 1 }",
            "HK0001 the character `?` means nothing here",
            "a value in place of `null` is chosen by `if x == null { y } else { x }`",
        ),
        (
            "fn main() { c = {}; c.x.y() }",
            "HK0012 nothing named `c.x.y` is known here",
            r#"a `.` is part of the name here: a function is called like `y(get(c, "x"))`"#,
        ),
        (
            "fn main() { x = 1; print(x, 1) }",
            "HK0013 `print` takes 1 argument, but is called with 2",
            r#"write `print(x)`; for several values, `print(format("{} {}", a, b))`"#,
        ),
        ("fn main() { os.environ }", "HK0012 nothing named `os.environ` is known here", "write `env(name)`"),
        (
            r#"fn main() { x = {"a": 1}; x.a }"#,
            "HK0012 nothing named `x.a` is known here",
            r#"a `.` is part of the name here: the value of a key is `get(x, "a")`"#,
        ),
        (
            r#"fn main() { x = {"a": 1}; x.a.b }"#,
            "HK0012 nothing named `x.a.b` is known here",
            r#"a `.` is part of the name here: the value of a key is `get(get(x, "a"), "b")`"#,
        ),
        (
            "fn main() { x = 1; x.append(2) }",
            "HK0012 nothing named `x.append` is known here",
            "a `.` is part of the name here: a function is called like `append(x, ...)`",
        ),
        (
            "fn main() { x = 1; x.strip() }",
            "HK0012 nothing named `x.strip` is known here",
            "a `.` is part of the name here: write `trim(s)`",
        ),
        ("fn main() { x = 1; len(x) }", "HK0012 nothing named `len` is known here", "write `length(x)`"),
        ("fn main() { str(1) }", "HK0012 nothing named `str` is known here", "write `to_string(x)`"),
        ("fn main() { not true }", "HK0012 nothing named `not` is known here", "write `!`"),
        (
            r#"fn main() { x = 1; f"a{x}" }"#,
            "HK0007 expected `;` after this expression",
            r#"to put values into a string, write `format("{} and {}", x, y)`"#,
        ),
        (
            r#"fn main() { print(f"a") }"#,
            "HK0010 expected `,` or `)`, but found a string",
            r#"to put values into a string, write `format("{} and {}", x, y)`"#,
        ),
        (
            "fn main() { {a: 1} }",
            "HK0012 nothing named `a` is known here",
            r#"a key is an expression, and a string is written in quotes: `{"a": ...}`"#,
        ),
        (
            r#"fn main() { print "x" }"#,
            "HK0007 expected `;` after this expression",
            r#"a call has parentheses: `print("x")`"#,
        ),
        (
            r#"fn main() { throw "x" }"#,
            "HK0012 nothing named `throw` is known here",
            "an error is raised by a call: `error(message)`",
        ),
        (
            r#"fn main() { raise ValueError("x") }"#,
            "HK0001 `ValueError` cannot be a name",
            "an error is raised by a call: `error(message)`",
        ),
        (
            "fn main() { f = fn (x) { x }; f(1) }",
            "HK0006 a function cannot be defined here",
            "a function value is written `lambda (x) { ... }`",
        ),
        (
            "fn main() { f = lambda p: p + 1; f(1) }",
            "HK0006 expected `(` and the parameters of `lambda`, but found `p`",
            "a function value is written `lambda (x) { x + 1 }`",
        ),
        (
            "fn main() { xs = [1]; [x * 2 for x in xs] }",
            "HK0010 expected `,` or `]`, but found `for`",
            "to make a list from another, write `map(items, lambda (x) { ... })`; `filter` selects items",
        ),
        (
            "fn main() { xs = [1]; sum(x * 2 for x in xs) }",
            "HK0010 expected `,` or `)`, but found `for`",
            "to make a list from another, write `map(items, lambda (x) { ... })`; `filter` selects items",
        ),
        (
            "@retry\nfn main() { 1 }",
            "HK0001 the character `@` means nothing here",
            "attributes are written `#[retry(attempts: 3)]`, before an `fn` or `import`",
        ),
        (
            "@retry(attempts=3)\nfn main() { 1 }",
            "HK0001 the character `@` means nothing here",
            "attributes are written `#[retry(attempts: 3)]`, before an `fn` or `import`",
        ),
        (
            "fn f(x, y = 2) { x }",
            "HK0010 expected `,` or `)`, but found `=`",
            "a parameter has no default value: define a second function that calls this one with it",
        ),
        (
            "fn main() { x = 1; match x { 1 => 2 } }",
            "HK0012 nothing named `match` is known here",
            "choose with `if x == 1 { ... } else if x == 2 { ... } else { ... }`, or with `get(hash, x, otherwise)`",
        ),
        (
            "fn main() { f = (x) => x + 1; f(1) }",
            "HK0006 `>` needs a value on its left",
            "a function value is written `lambda (x) { ... }`",
        ),
        (
            "fn main() { f = x => x + 1; f(1) }",
            "HK0006 `>` needs a value on its left",
            "a function value is written `lambda (x) { ... }`",
        ),
        (
            "fn main() { map([1], x => x + 1) }",
            "HK0006 `>` needs a value on its left",
            "a function value is written `lambda (x) { ... }`",
        ),
        (
            "fn main() => 3",
            "HK0006 expected `{` and the body of `main`, but found `=`",
            "the body is written in `{` and `}`, without `=>`",
        ),
        ("fn main() { 2 ** 3 }", "HK0006 `*` needs a value on its left", "a power is `pow(a, b)`"),
        (
            "async fn f() { 1 }",
            "HK0008 a function is defined without `async`",
            "any function can run in a thread of its own: it is called by `async f(x)`",
        ),
        (
            "fn main() { async fn () { 1 } }",
            "HK0016 `async` needs a call after it, but found `fn`",
            "`async f(x)` starts `f(x)` in a new thread",
        ),
        (
            "from x import y;",
            "HK0011 a Python function is not imported like this",
            "with the number of its arguments: `import(y, x, 1);`",
        ),
        (
            "from x import y, z as w\nfn main() { y(1) }",
            "HK0011 a Python function is not imported like this",
            "with the number of its arguments: `import(y, x, 1);`",
        ),
        (
            "from src.a import B\nfn main() { 1 }",
            "HK0011 a Python function is not imported like this",
            "with the number of its arguments: `import(B, src.a, 1, b);`",
        ),
        (
            "import x\nfn main() { x.y(1) }",
            "HK0011 expected `(`, but found `x`",
            "each function of a Python module is imported by itself: `import(name, x, num_args);`",
        ),
        (
            "import x.y as z;\nfn main() { z.a(1) }",
            "HK0011 expected `(`, but found `x.y`",
            "each function of a Python module is imported by itself: `import(name, x.y, num_args);`",
        ),
        (
            "fn main() { c = true; x = 1 if c else 2; x }",
            "HK0007 expected `;` after this expression",
            "a choice is written `if c { a } else { b }`",
        ),
        (
            "fn main() { c = true; print(1 if c else 2) }",
            "HK0010 expected `,` or `)`, but found `if`",
            "a choice is written `if c { a } else { b }`",
        ),
        (
            "fn main() { for x in [1] { print(x) } }",
            "HK0012 nothing named `for` is known here",
            "for each item of a list: `each(items, lambda (x) { ... })`, or `map`, `filter`, `reduce`; for numbers, `range(10)` is such a list",
        ),
        (
            "fn main() { for (x in [1]) { print(x) } }",
            "HK0010 expected `,` or `)`, but found `in`",
            "for each item of a list: `each(items, lambda (x) { ... })`, or `map`, `filter`, `reduce`; for numbers, `range(10)` is such a list",
        ),
        (
            "fn main() { while true { print(1) } }",
            "HK0012 nothing named `while` is known here",
            "repeat with a function that calls itself last: `fn poll(n) { if n == 0 { null } else { poll(n - 1) } }`",
        ),
        (
            "fn main() { const x = 1; x }",
            "HK0012 nothing named `const` is known here",
            "a variable is assigned without a word before it: `x = 1`",
        ),
        (
            "const x = 1;\nfn main() { x }",
            "HK0008 only `fn` and `import` can stand at the top level, but found `const`",
            "there are no variables outside of functions: write `fn name() { value }`, and call it by `name()`",
        ),
        (
            "x = 1;\nfn main() { x }",
            "HK0008 only `fn` and `import` can stand at the top level, but found `x`",
            "there are no variables outside of functions: write `fn name() { value }`, and call it by `name()`",
        ),
        (
            "import(load, \"src.etl\", 1);\nfn main() { load(1) }",
            "HK0011 the name of a Python module is written without quotes",
            "write `src.etl`",
        ),
        (
            "import(\"load\", \"src.etl\", 1);\nfn main() { load(1) }",
            "HK0011 the name of a Python function is written without quotes",
            "write `load`",
        ),
        (
            "import(\"load\", src.etl, 1);\nfn main() { load(1) }",
            "HK0011 the name of a Python function is written without quotes",
            "write `load`",
        ),
        (
            "fn main() { x = 1; x++; x }",
            "HK0006 `+` needs a value on its left",
            "to increment a variable, write `x = x + 1`",
        ),
        ("fn main() { x = null; x is null }", "HK0007 expected `;` after this expression", "write `==`"),
        (
            "fn main() { x = [1]; 1 in x }",
            "HK0007 expected `;` after this expression",
            "to test whether a list, string or hash contains something, write `contains(x, y)`",
        ),
        (
            "fn main() { x = [1]; if 1 in x { 2 } }",
            "HK0006 expected `{` and the body of `if`, but found `in`",
            "to test whether a list, string or hash contains something, write `contains(x, y)`",
        ),
        (
            "fn main() { x = 1; if x > 0 and x < 2 { 2 } }",
            "HK0006 expected `{` and the body of `if`, but found `and`",
            "write `&&`",
        ),
        ("fn main() { if not true { 2 } }", "HK0006 expected `{` and the body of `if`, but found `true`", "write `!`"),
        (
            "class A { }",
            "HK0008 only `fn` and `import` can stand at the top level, but found `class`",
            r#"there are no classes: keep related values in a hash, `{"name": "tea"}`; Python classes are imported"#,
        ),
        (
            "fn main() { x: int = 1; x }",
            "HK0006 expected `;` or `}` after an expression, but found `:`",
            "a variable is assigned without a type: `x = 1`",
        ),
        ("fn main(x: int) { x }", "HK0010 expected `,` or `)`, but found `:`", "a parameter is written without a type"),
        (
            "fn main() -> int { 1 }",
            "HK0006 expected `{` and the body of `main`, but found `-`",
            "the return type of a function is not written",
        ),
        (
            "fn main() { if (true) 1 else 2 }",
            "HK0006 expected `{` and the body of `if`, but found `1`",
            "the body is written in braces: `if c { a } else { b }`",
        ),
        (
            "fn main() { if true: 1 }",
            "HK0006 expected `{` and the body of `if`, but found `:`",
            "the body is written in braces: `if c { a } else { b }`",
        ),
        (
            "fn main() { assert 1 == 1 }",
            "HK0007 expected `;` after this expression",
            "a call has parentheses: `assert(1 ...)`",
        ),
        ("fn main() { pass }", "HK0012 nothing named `pass` is known here", "write `null`"),
        (
            "fn main() { x = [1,2]; [...x] }",
            "HK0001 the character `.` means nothing here",
            "lists are joined by `+`, hashes by `merge(a, b)`",
        ),
        (
            "fn main() { print(*[1]) }",
            "HK0006 `*` needs a value on its left",
            "a call lists its arguments; a function that takes any number of values gets a list",
        ),
        ("fn main() { x = 1; x === 1 }", "HK0017 there is no `===`", "write `==`"),
        ("fn main() { a <> b }", "HK0006 `>` needs a value on its left", "write `!=`"),
        (
            "fn main() { 1 << 2 }",
            "HK0006 `<` needs a value on its left",
            "there are no bitwise operators: to shift a number, multiply it by `pow(2, n)`",
        ),
        ("fn main() { time.sleep(3) }", "HK0012 nothing named `time.sleep` is known here", "did you mean `sleep`?"),
        (
            r#"fn main() { console.log("x") }"#,
            "HK0012 nothing named `console.log` is known here",
            r#"write `print(x)`; for several values, `print(format("{} {}", a, b))`"#,
        ),
        ("fn main() { json.dumps(1) }", "HK0012 nothing named `json.dumps` is known here", "write `json_encode(x)`"),
        ("fn main() { math.floor(1.5) }", "HK0012 nothing named `math.floor` is known here", "did you mean `floor`?"),
        (
            "fn main() { range(10).map(1) }",
            "HK0001 the character `.` means nothing here",
            r#"there are no methods: write `f(x)`, or `x |> f()`; the value of a key is `get(x, "key")`"#,
        ),
        ("fn main() { (1, 2) }", "HK0010 expected `)`, but found `,`", "a list is written `[a, b]`"),
        (
            "fn main() { await sleep 3 }",
            "HK0007 expected `;` after this expression",
            "a call has parentheses: `sleep(3)`",
        ),
        ("fn main() { x = 1; if not x { 2 } }", "HK0006 expected `{` and the body of `if`, but found `x`", "write `!`"),
    ]);
}

#[test]
fn what_is_legal_but_means_something_else() {
    check(&[
        (
            r#"fn main() { order = {"state": "new"}; order.state = "paid"; order }"#,
            "HK0035 this binds the name `order.state`, and leaves `order` as it is",
            r#"a hash with another value: `order = set(order, "state", ...)`"#,
        ),
        (
            r#"fn f(order) { order.lines.first = "paid"; order }"#,
            "HK0035 this binds the name `order.lines.first`, and leaves `order` as it is",
            "`set(h, key, value)` gives a hash with another value; or name it `order_lines_first`",
        ),
        (
            "fn f(o) { g = lambda () { o.x = 1; o.x }; g() }",
            "HK0035 this binds the name `o.x`, and leaves `o` as it is",
            r#"a hash with another value: `o = set(o, "x", ...)`"#,
        ),
        (
            "fn main() { {count: 1} }",
            "HK0038 the function `count` cannot be a key: making this hash will fail",
            r#"a string is written in quotes: `{"count": ...}`"#,
        ),
        (
            "fn main() { print(1) < print(2) }",
            "HK0037 both sides of `<` have effects, and the right one runs first",
            "assign the values in the intended order: `x = a(); y = b(); x < y`",
        ),
        (
            "fn main() { print(1) + print(2) }",
            "HK0037 both sides of `+` have effects, and the right one runs first",
            "assign the values in the intended order: `x = a(); y = b(); x + y`",
        ),
        (
            "fn a() { print(1) } fn b() { a() }\nfn main() { a() + b() + a() }",
            "HK0037 both sides of `+` have effects, and the right one runs first",
            "assign the values in the intended order: `x = a(); y = b(); x + y`",
        ),
        (
            "import(p, m, 1); import(q, m, 1);\nfn main() { p(1) + 2 * q(2) }",
            "HK0037 both sides of `+` have effects, and the right one runs first",
            "assign the values in the intended order: `x = a(); y = b(); x + y`",
        ),
    ]);
}

#[test]
fn what_means_what_it_seems_to() {
    for text in [
        "fn a(x) { x }\nfn main() { a(print(1)) == a(2) }",
        "import(p, m, 1);\nfn main() { p(1) + 2 * p(2) }",
        "import(p, m, 1); import(q, m, 1);\nfn main() { p(1) && q(2) }",
        "fn f(print) { print(1) + print(2) }",
        "fn main() { order.state = 1; order.state }",
        "fn f(key) { {key: 1} }",
        "fn count(x) { print(x); x }\nfn f(x) { count(x) + x }",
        r#"fn f() { l = [1]; { "a": l } }"#,
        "fn f(x) { [print(x), print(x)] }",
    ] {
        assert_eq!(compile("test.hk", text).diagnostics, [], "{text}");
    }
}
