//! The programs of `tests/programs`, as far as the compiler is concerned: valid programs compile, and invalid ones are
//! rejected with the messages, places and number of errors given by their `//!` lines.

use std::fs;
use std::path::{Path, PathBuf};

use hark_bytecode::{Executable, Source};
use hark_compiler::{Compilation, Diagnostic, Severity, compile};

/// All programs in a folder.
pub(crate) fn programs(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/programs").join(folder);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "hk"));
    paths.sort();
    assert!(paths.len() > 20, "the programs are there");
    paths
}

/// The text of a program.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a program can be read")
}

fn errors(compilation: &Compilation) -> Vec<&Diagnostic> {
    compilation.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect()
}

/// The quoted texts of an expectation, which contain no quotes themselves.
fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

/// The reason why an expectation is not met, if it is not.
fn failure(expectation: &str, source: &Source, errors: &[&Diagnostic]) -> Option<String> {
    let (kind, rest) = expectation.split_once(' ')?;
    let is_met = match kind {
        "rejected" => {
            let texts = quoted(rest);
            errors.iter().any(|error| texts.iter().all(|text| error.message.contains(text)))
        }
        "rejected-at" => errors.iter().any(|error| {
            let place = source.location(error.labels[0].span.start);
            rest == place.line.to_string() || rest == format!("{}:{}", place.line, place.column)
        }),
        "rejected-times" => errors.len().to_string() == rest,
        _ => true,
    };
    (!is_met).then(|| format!("{}: {expectation}\n    {errors:?}", source.path))
}

#[test]
fn what_is_rejected_is_rejected_as_it_says() {
    let mut failures = Vec::new();
    for path in programs("rejected") {
        let text = read(&path);
        let compilation = compile(&path.display().to_string(), &text);
        if compilation.executable.is_some() {
            failures.push(format!("{} compiles", path.display()));
        }
        let source = Source::new(path.display().to_string(), text.as_str());
        let expectations = text.lines().filter_map(|line| line.strip_prefix("//! "));
        failures.extend(expectations.filter_map(|line| failure(line.trim(), &source, &errors(&compilation))));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_is_to_run_compiles() {
    for path in programs("") {
        let text = read(&path);
        let compilation = compile(&path.display().to_string(), &text);
        let executable = compilation.executable.unwrap_or_else(|| panic!("{path:?}: {:?}", compilation.diagnostics));
        assert_eq!(executable.verify(), Ok(()), "{path:?}");
        assert_eq!(Executable::decode(&executable.encode()).unwrap().encode(), executable.encode(), "{path:?}");
    }
}
