//! Whatever the text, the compiler answers soon and does not panic; what it accepts is sound.

use hark_bytecode::Executable;
use hark_compiler::compile;

fn check(text: &str) {
    if let Some(executable) = compile("test.hk", text).executable {
        executable.verify().unwrap_or_else(|error| panic!("{error}: {text}"));
        let again = Executable::decode(&executable.encode()).expect("what was encoded can be decoded");
        assert_eq!(again.encode(), executable.encode());
    }
}

/// A small generator of numbers that are as good as random (SplitMix64).
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
    "fn ", "f", "(", ")", "{", "}", "[", "]", ";", ",", ":", "=", "==", "+", "-", "*", "!", "&&", "||", "<", "if ",
    "else ", "async ", "await ", "lambda ", "import", "try ", "catch ", "x", "y", "1", "2.5", "\"s\"", "null", "true",
    "#[", "retry", "\n", "//c\n", "/*", "*/", "\\", "é", "007", "print",
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

#[test]
fn any_damage_to_a_good_program() {
    let good = "import(foo, :python a.b, 2, bar);\n#[retry(attempts: 3)]\nfn main(x, y) {\n  z = if x < 1 && y { [1, {\"a\": x}] } \
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
        // The checksum is made to fit again, so that the content itself is what is looked at.
        let content = damaged.len() - 4;
        let sum = crc32fast::hash(&damaged[..content]).to_le_bytes();
        damaged[content..].copy_from_slice(&sum);
        if let Ok(executable) = Executable::decode(&damaged) {
            assert_eq!(executable.verify(), Ok(()));
        }
    }
}

#[test]
fn deep_and_long_programs() {
    let deep = "(".repeat(1_000_000);
    assert_eq!(compile("t.hk", &format!("fn f() {{ {deep} }}")).diagnostics.len(), 1);
    check(&format!("fn f(a) {{ {} }}", ["a"; 100_000].join(" + ")));
    check(&format!("fn f(a) {{ {} {{ 1 }} }}", ["if a { 2 }"; 10_000].join(" else ") + " else"));
    check(&format!("fn f(a) {{ {} }}", "!".repeat(100_000)));
    let parameters: Vec<String> = (0..10_000).map(|number| format!("p{number}")).collect();
    check(&format!("fn f({}) {{ p9999 }}", parameters.join(", ")));
    let functions: String = (0..20_000).map(|number| format!("fn f{number}() {{ f{}() }}\n", number / 2)).collect();
    check(&functions);
    check(&format!("fn f() {{ \"{}\" }}", "s".repeat(5_000_000)));
    check(&format!("fn f() {{ [{}] }}", "1, ".repeat(100_000)));
}
