//! For arbitrary text, the compiler finishes soon and does not panic; programs that it accepts are well-formed.

use hark_bytecode::Executable;
use hark_compiler::limits::{ARGUMENTS_MAX, CAPTURES_MAX, DIAGNOSTICS_MAX, DIGITS_MAX, NESTING_MAX};
use hark_compiler::{Code, Severity, compile};

use super::programs::{programs, read};

/// Checks the properties that hold for any text.
fn check(text: &str) {
    let compilation = compile("test.hk", text);
    let is_error = |diagnostic: &hark_compiler::Diagnostic| diagnostic.severity == Severity::Error;
    assert_eq!(compilation.executable.is_none(), compilation.diagnostics.iter().any(is_error), "{text}");
    for label in compilation.diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels) {
        let (start, end) = (label.span.start as usize, label.span.end as usize);
        assert!(text.get(start..end).is_some(), "{label:?} is no place in {text}");
    }
    if let Some(executable) = compilation.executable {
        executable.verify().unwrap_or_else(|error| panic!("{error}: {text}"));
        let again = Executable::decode(&executable.encode()).expect("what was encoded can be decoded");
        assert_eq!(again.encode(), executable.encode());
    }
}

/// A small pseudo-random generator (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

const WORDS: &[&str] = &[
    "fn ",
    "f",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ";",
    ",",
    ":",
    "=",
    "==",
    "+",
    "-",
    "*",
    "!",
    "&&",
    "||",
    "<",
    "if ",
    "else ",
    "async ",
    "await ",
    "lambda ",
    "import",
    "try ",
    "catch ",
    "x",
    "y",
    "1",
    "2.5",
    "\"s\"",
    "null",
    "true",
    "#[",
    "retry",
    "Area",
    "\n",
    "//c\n",
    "/*",
    "*/",
    "\\",
    "é",
    "007",
    "print",
    "|>",
    "|> f(x)",
    "[x, _] = ",
    "catch e {",
    "try {",
    "lambda () { x }",
];

#[test]
fn any_soup_of_words() {
    let mut random = Random(1);
    for _ in 0..4000 {
        let mut text = String::from(if random.below(2) == 0 { "fn f(x) { " } else { "" });
        for _ in 0..random.below(40) {
            text.push_str(WORDS[random.below(WORDS.len())]);
            text.push(' ');
        }
        check(&text);
    }
}

/// Some letters, such as U+037A, cannot be part of a word; the lexer once looped forever at them.
#[test]
fn any_letter() {
    let letters = ('\u{80}'..=char::MAX).filter(|letter| letter.is_alphanumeric());
    let text: String = letters.flat_map(|letter| [' ', letter]).collect();
    let compilation = compile("t.hk", &format!("fn f() {{ 1 }} {text}"));
    assert_eq!(compilation.diagnostics.len(), DIAGNOSTICS_MAX);
    check("import(f, \u{37a}, 1); fn f(\u{37a}) { \u{2e2f} }");
}

#[test]
fn any_damage_to_any_program() {
    let texts: Vec<String> = programs("").iter().chain(&programs("rejected")).map(|path| read(path)).collect();
    let mut random = Random(4);
    for _ in 0..3000 {
        let mut words: Vec<&str> =
            texts[random.below(texts.len())].split_inclusive([' ', '(', '{', ';', '\n']).collect();
        for _ in 0..=random.below(4) {
            let (at, other) = (random.below(words.len()), random.below(words.len()));
            match random.below(4) {
                0 => words.swap(at, other),
                1 => words[at] = words[other],
                2 => words[at] = WORDS[random.below(WORDS.len())],
                _ => words.truncate(at.max(1)),
            }
        }
        check(&words.concat());
    }
}

#[test]
fn any_damage_to_a_good_program() {
    let good = "import(foo, :python a.b, 2, bar);\nfn other(l) { try { [a, [b, _]] = l |> bar(2)(3); lambda () { a + b } } catch e { get(e, l)() } }\n#[retry(attempts: 3)]\nfn main(x, y) {\n  z = if x < 1 && y { [1, {\"a\": x}] } \
                else if !x { lambda (q) { q * -2 } } else { await async main(x - 1, \"s\\n\") };\n  bar(z, +);\n  main(z, y)\n}\n";
    check(good);
    let mut random = Random(2);
    for _ in 0..4000 {
        let mut bytes = good.as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len().max(1));
            if bytes.is_empty() {
                continue;
            }
            match random.below(3) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, b"(){}[];,=+-!\"#:x1"[random.below(17)]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        check(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn any_bytes_to_the_decoder() {
    let good = compile("t.hk", "fn main(x) { if x { main(x - 1) } else { [1, \"a\", 2.5] } }").executable.unwrap();
    let bytes = good.encode();
    let mut random = Random(3);
    for _ in 0..4000 {
        let mut damaged = bytes.clone();
        let at = random.below(damaged.len());
        damaged[at] = random.below(256) as u8;
        // Correct the checksum, so that the content itself is examined.
        let content = damaged.len() - 4;
        let sum = crc32fast::hash(&damaged[..content]).to_le_bytes();
        damaged[content..].copy_from_slice(&sum);
        if let Ok(executable) = Executable::decode(&damaged) {
            assert_eq!(executable.verify(), Ok(()));
        }
    }
}

/// Nests a text this many times, on a thread of 2 MB, and returns the diagnostics' codes.
fn nested(open: &str, inner: &str, close: &str, times: usize) -> Vec<Code> {
    let text = format!("fn f(a) {{ {}{inner}{} }}", open.repeat(times), close.repeat(times));
    let compile_it = move || {
        check(&text);
        compile("t.hk", &text).diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(compile_it).expect("a thread can be started").join().expect("it does not panic")
}

/// Constructs that can be nested, and how many levels each counts as.
const NESTED: [(&str, &str, &str, usize); 18] = [
    ("(", "1", ")", 1),
    ("[", "1", "]", 1),
    ("{1: ", "1", "}", 1),
    ("f(", "1", ")", 1),
    ("!", "a", "", 1),
    ("await ", "a", "", 1),
    ("_x = ", "1", "", 1),
    ("2 * -", "a", "", 2),
    ("if a { ", "1", "}", 1),
    ("if ", "a", " { 1 }", 1),
    ("1 + if a { ", "1", "}", 3),
    ("lambda (a) { ", "a", "}", 2),
    ("lambda () { ", "a", "}", 2),
    ("try { ", "a", "} catch { 1 }", 1),
    ("try { f(a) } catch e { ", "a", "}", 1),
    ("(try { f(a) } catch e { a = ", "a", "})", 4),
    ("[_] = [", "a", "]", 2),
    ("a |> a(", "", ")", 2),
];

#[test]
fn nesting_is_limited_before_the_stack_is() {
    for (open, inner, close, levels) in NESTED {
        let fits = NESTING_MAX as usize / levels - 4;
        assert_eq!(nested(open, inner, close, fits), [], "{fits} times `{open}`");
        for times in [fits + 8, 100_000] {
            assert_eq!(nested(open, inner, close, times), [Code::TooDeep], "{times} times `{open}`");
        }
    }
}

#[test]
fn openings_without_ends_are_few_mistakes() {
    let counts = |open: &str| {
        let text = open.repeat(20_000);
        let before = compile("t.hk", &text).diagnostics.len();
        (before, compile("t.hk", &format!("fn f(a) {{ {text}")).diagnostics.len())
    };
    for open in ["(", "[", "{", "{1: ", "f(", "if a { ", "lambda (x) { ", "try { "] {
        assert_eq!(counts(open), (1, 1), "`{open}`");
    }
    assert_eq!(counts("/*"), (2, 2));
    // Each of these is a separate error, as far as the text is read.
    assert_eq!(counts("#["), (20_000, 2));
    assert_eq!(counts("import("), (10_000, 1));
    assert_eq!(counts("\""), (1, 2));
    assert_eq!(counts("fn f() { "), (501, 501));
    assert_eq!(nested("(", "", "", 1_000_000), [Code::TooDeep]);
}

/// Chains do not count as nesting, neither in the parser nor in the generated code.
#[test]
fn long_chains() {
    let chain = |start: &str, link: &str| check(&format!("fn f(a) {{ {start}{} }}", link.repeat(100_000)));
    chain("a", "(1)");
    chain("a", "()");
    chain("(lambda () { a })", "(a, 2)");
    chain("a", " |> print()");
    chain("a", "\n|> get(2)(3)\n");
    check(&format!("fn f(a) {{ {} a }}", "[_] = ".repeat(300)));
    check(&format!("fn f(a) {{ {} }}", "try { f(a) } catch e { e } ".repeat(20_000)));
    check(&format!("fn f(a) {{ {} }}", "try { f(a) } catch e { e }; [a, [e, _]] = a; a |> e() ;".repeat(10_000)));
    check(&format!("fn f(a) {{ {} }}", "a = lambda () { a }; ".repeat(20_000)));
    let names: Vec<String> = (0..50_000).map(|number| format!("v{number}")).collect();
    check(&format!("fn f(l) {{ [{}] = l; v49999 }}", names.join(", ")));
    check(&format!("fn f(l) {{ [{}] = l; lambda () {{ {} }} }}", names.join(", "), names.join("; ")));
    check(&format!("fn f(l) {{ try {{ {} = f() }} catch e {{ [e, {}] }} }}", names.join(" = f(); "), names.join(", ")));
}

/// Lambdas between the one that reads a name and the function that binds it capture it as well.
#[test]
fn captures_are_limited() {
    let names: Vec<String> = (0..10_000).map(|number| format!("v{number}")).collect();
    let nested = |levels: usize| {
        let (open, close) = ("lambda () { ".repeat(levels), " }".repeat(levels));
        let text = format!("fn f({}) {{ {open} {} {close} }}", names.join(", "), names.join("; "));
        compile("t.hk", &text).diagnostics.iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>()
    };
    assert_eq!(nested(CAPTURES_MAX / names.len()), []);
    assert_eq!(nested(CAPTURES_MAX / names.len() + 1), [Code::TooLarge]);
    assert_eq!(nested(480), [Code::TooLarge]);
}

#[test]
fn long_programs() {
    check(&format!("fn f(a) {{ {} }}", ["a"; 100_000].join(" + ")));
    check(&format!("fn f(a) {{ {} {{ 1 }} }}", ["if a { 2 }"; 10_000].join(" else ") + " else"));
    let parameters: Vec<String> = (0..10_000).map(|number| format!("p{number}")).collect();
    check(&format!("fn f({}) {{ p9999 }}", parameters.join(", ")));
    check(&format!("fn f() {{ \"{}\" }}", "s".repeat(5_000_000)));
    check(&format!("fn f() {{ [{}] }}", "1, ".repeat(100_000)));
    check(&format!("fn f() {{ {} }}", "9".repeat(10_000)));
    let assignments: String =
        (0..10_000).map(|number| format!("v{number} = {number}; if v{number} {{ print(v{number}) }} ")).collect();
    check(&format!("fn f() {{ {assignments} }}"));
}

/// Each of these once took quadratic time: minutes instead of a second or two.
#[test]
fn many_of_a_kind() {
    let many = |count: usize, one: &dyn Fn(usize) -> String| -> String { (0..count).map(one).collect() };
    check(&many(20_000, &|number| format!("fn f{number}() {{ f{}() }}\n", number / 2)));
    check(&format!(
        "fn f() {{ {} }}",
        many(20_000, &|number| format!("v{number} = lambda (x) {{ x }}; print(v{number}); "))
    ));
    let mistakes = |text: &str| compile("t.hk", text).diagnostics.len();
    assert_eq!(mistakes(&many(20_000, &|number| format!("fn f{number}() {{ unknown{number} }}\n"))), 20_000);
    assert_eq!(mistakes(&many(20_000, &|_| "@ ".into())), 20_000);
    assert_eq!(mistakes(&many(20_000, &|_| "fn f() { ; ".into())), 501);
    assert_eq!(mistakes(&many(20_000, &|_| "fn f() { 1 } ".into())), 19_999);
    assert_eq!(mistakes(&many(200_000, &|_| "@ ".into())), DIAGNOSTICS_MAX);
}

#[test]
fn what_is_too_large_is_refused() {
    let refused = |text: &str| {
        let found = compile("t.hk", text).diagnostics;
        assert_eq!(found.iter().map(|diagnostic| diagnostic.code).collect::<Vec<_>>(), [Code::TooLarge]);
    };
    refused(&format!("fn f() {{ {} }}", "9".repeat(DIGITS_MAX + 1)));
    refused(&format!("fn f() {{ [{}] }}", "1,".repeat(ARGUMENTS_MAX + 1)));
    refused("import(f, m, 65536);");
    check("import(f, m, 65535);");
}
