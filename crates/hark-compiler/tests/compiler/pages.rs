//! The pages under `docs/errors`: the example on each page causes the error that the page describes.

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
    // An example with such nesting would be unreadable; the robustness tests have one. Errors about Python functions
    // are found by `hark check`, and a cycle takes several files.
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
