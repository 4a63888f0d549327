//! The pages under `docs/errors`: each shows a program that has the mistake it speaks of.

use hark_compiler::{Code, compile};

/// The first program on a page.
fn example(page: &str) -> &str {
    let (_, rest) = page.split_once("```hark\n").expect("every page has an example");
    rest.split_once("```").expect("the example has an end").0
}

#[test]
fn every_code_has_a_page() {
    for code in Code::ALL {
        assert!(code.explanation().starts_with(&format!("# {code}: ")), "{code}");
        assert!(code.explanation().contains("## What to do\n"), "{code}");
        assert_eq!(Code::from_text(&code.to_string()), Some(*code));
        assert_eq!(Code::from_text(&code.to_string().to_lowercase()), Some(*code));
    }
    assert_eq!(Code::from_text("HK9999"), None);
    assert_eq!(Code::from_text(""), None);
}

#[test]
fn every_example_has_its_mistake_and_no_other() {
    // So deep an example is hard to read; the robustness tests have it. What is wrong with Python functions is found where
    // these are known, by `hark check`; a circle takes more than one file.
    let elsewhere = [Code::TooDeep, Code::PythonMissing, Code::PythonArguments, Code::CircularImport];
    for code in Code::ALL.iter().filter(|code| !elsewhere.contains(code)) {
        let found: Vec<Code> = compile("page.hk", example(code.explanation()))
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.code)
            .collect();
        assert_eq!(found, [*code], "{code}");
    }
}
