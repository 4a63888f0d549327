//! Translates the error messages of `uv`, `venv` and `pip` into hints. Their output is not a stable interface, so
//! unknown messages are passed on unchanged.

use std::path::Path;

use hark_foreign::Interpreter;

use crate::failure::Failure;

/// Why packages cannot be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Network,
    BadRequirement,
    OtherPython,
    NotFound,
    Conflict,
    Build,
    Disk,
}

/// Lowercase texts that identify each cause. The first match counts: without a network, `pip` also reports that it has
/// found nothing.
const SIGNS: &[(Cause, &[&str])] = &[
    (Cause::Disk, &["no space left on device", "disk quota exceeded", "read-only file system"]),
    (
        Cause::Network,
        &[
            "failed to establish a new connection",
            "name resolution",
            "dns error",
            "connection refused",
            "network is unreachable",
            "error sending request",
            "connection reset",
            "timed out",
            "cannot connect to proxy",
            "certificate verify failed",
            "connection error",
        ],
    ),
    (
        Cause::BadRequirement,
        &[
            "invalid requirement",
            "couldn't parse requirement",
            "could not parse requirement",
            "could not open requirements file",
            "unsupported requirement",
            "invalid marker",
        ],
    ),
    (
        Cause::OtherPython,
        &["requires a different python", "does not satisfy python", "requires-python", "is not a supported wheel"],
    ),
    (
        Cause::NotFound,
        &[
            "no matching distribution",
            "was not found in the",
            "there is no version of",
            "has no usable wheels",
            "has no wheels",
        ],
    ),
    (Cause::Conflict, &["resolutionimpossible", "conflicting dependencies", "no solution found"]),
    (
        Cause::Build,
        &["failed to build", "failed building wheel", "subprocess-exited-with-error", "metadata-generation-failed"],
    ),
];

/// The failure of the installation of a file's packages, from the tool's output.
pub fn of_installing(said: &str, requirements: &Path, version: &str) -> Failure {
    let missing = format!("there is no such package, or no such version for Python {version}");
    told(said, requirements, version, &missing)
}

/// The same where nothing can be compiled, for these processors. `pip` does not distinguish a package without wheels
/// from a missing one.
#[cfg(any(test, feature = "lambda"))]
pub fn of_installing_wheels(said: &str, requirements: &Path, version: &str, machine: &str) -> Failure {
    let missing = format!(
        "there is no such package or version, or none with a wheel for Python {version} on {machine}; `build_cmd` in hark.toml can \
         make the package in another way"
    );
    told(said, requirements, version, &missing)
}

/// `missing` is the hint if no package is found.
fn told(said: &str, requirements: &Path, version: &str, missing: &str) -> Failure {
    let file = requirements.display();
    let lower = said.to_lowercase();
    let found = SIGNS.iter().find(|(_, signs)| signs.iter().any(|sign| lower.contains(sign)));
    let failure = Failure::undone(match gist(said) {
        Some(gist) => format!("the packages of `{file}` cannot be installed: {gist}"),
        None => format!("the packages of `{file}` cannot be installed"),
    });
    let hint = match found.map(|(cause, _)| cause) {
        Some(Cause::Network) => "the package index cannot be reached: check the network, then try again".into(),
        Some(Cause::BadRequirement) => {
            format!("a line of `{file}` must name a package: `name`, `name==1.2`, `name>=1,<2` or `./folder`")
        }
        Some(Cause::OtherPython) => {
            format!("it does not work with Python {version}: choose another one with `python` in hark.toml")
        }
        Some(Cause::NotFound) => missing.to_owned(),
        Some(Cause::Conflict) => "these packages conflict: allow other versions of them".into(),
        Some(Cause::Build) => "the package must be compiled, and that failed".into(),
        Some(Cause::Disk) => "free some disk space, then try again".into(),
        None => return failure,
    };
    failure.with_hint(hint)
}

/// The failure of the creation of a virtual environment, from the tool's output.
pub fn of_making(said: &str, base: &Interpreter) -> Failure {
    let failure = Failure::undone(match gist(said) {
        Some(gist) => format!("`.venv` cannot be created: {gist}"),
        None => "`.venv` cannot be created".to_owned(),
    });
    let lower = said.to_lowercase();
    if lower.contains("ensurepip") || lower.contains("no module named venv") {
        let path = base.path.display();
        return failure.with_hint(format!(
            "`{path}` comes without `venv` or `pip`: install them (on Debian and Ubuntu the package `python3-venv`), or `uv`"
        ));
    }
    failure
}

/// The most informative line: the first marked as an error, otherwise the last. Some are joined with the next line.
fn gist(said: &str) -> Option<String> {
    let is_frame = |letter: char| letter.is_whitespace() || ('\u{2500}'..'\u{25ff}').contains(&letter);
    let lines = said.lines().map(|line| line.trim_matches(is_frame)).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.collect();
    let marks = ["ERROR: ", "Error: ", "error: ", "× "];
    let marked = |line: &str| marks.iter().find_map(|mark| line.strip_prefix(mark)).map(|text| text.trim().to_owned());
    // `pip` prints two errors here, and the other one lists all existing versions.
    if let Some(line) = lines.iter().find(|line| line.contains("No matching distribution")) {
        return marked(line);
    }
    // `pip` crashes on a wrong marker. The last line of its output has the reason, after the name of the exception.
    if lines.iter().any(|line| line.contains("Traceback (most recent call last)")) {
        let last = lines.last()?;
        return Some(last.split_once(": ").map_or(*last, |(_, why)| why).to_owned());
    }
    let Some((at, text)) = lines.iter().enumerate().find_map(|(at, line)| Some((at, marked(line)?))) else {
        return lines.last().map(|line| (*line).to_owned());
    };
    let next = lines.get(at + 1).copied().unwrap_or_default();
    match next.strip_prefix("cause: ").or_else(|| next.strip_prefix("Caused by: ")) {
        Some(cause) => Some(format!("{text}: {cause}")),
        None if text.ends_with(':') => Some(format!("{text} {next}")),
        None => Some(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_a_wheel_may_be_there_nevertheless() {
        let hint = |said: &str| match of_installing_wheels(said, Path::new("r.txt"), "3.13", "arm64") {
            Failure::Undone { hint, .. } => hint.unwrap_or_default(),
            other => panic!("{other:?}"),
        };
        for said in [
            "ERROR: No matching distribution found for docopt==0.6.2\n",
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because docopt==0.6.2 has no usable wheels\n",
        ] {
            assert!(hint(said).contains("or none with a wheel for Python 3.13 on arm64; `build_cmd`"), "{said}");
        }
        let offline = "name resolution\nERROR: No matching distribution found for docopt\n";
        assert!(hint(offline).starts_with("the package index cannot be reached"));
    }

    /// The message and the hint for this output of a tool.
    fn of(said: &str) -> (String, String) {
        match of_installing(said, Path::new("requirements.txt"), "3.11.7") {
            Failure::Undone { message, hint } => (message, hint.unwrap_or_default()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_went_wrong_is_recognized() {
        let cases = [
            (
                "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError(...: Failed to establish a \
                 new connection: [Errno -3] Temporary failure in name resolution')': /simple/foo/\n\
                 ERROR: Could not find a version that satisfies the requirement foo (from versions: none)\n\
                 ERROR: No matching distribution found for foo\n",
                "No matching distribution found for foo",
                "the package index cannot be reached",
            ),
            (
                "error: Request failed after 3 retries\n  Caused by: Failed to fetch: `https://example.com/simple/foo/`\n  \
                 Caused by: error sending request for url\n  Caused by: dns error\n",
                "Request failed after 3 retries: Failed to fetch: `https://example.com/simple/foo/`",
                "the package index cannot be reached",
            ),
            (
                "ERROR: Could not find a version that satisfies the requirement foo==9 (from versions: 1)\n",
                "Could not find a version that satisfies the requirement foo==9 (from versions: 1)",
                "",
            ),
            (
                "ERROR: No matching distribution found for foo==9\n",
                "No matching distribution found for foo==9",
                "there is no such package, or no such version for Python 3.11.7",
            ),
            (
                "  × No solution found when resolving dependencies:\n  ╰─▶ Because foo was not found in the package registry\n",
                "No solution found when resolving dependencies: Because foo was not found in the package registry",
                "there is no such package",
            ),
            (
                "ERROR: Invalid requirement: 'foo=1': Expected end or semicolon (from line 1 of requirements.txt)\n",
                "Invalid requirement: 'foo=1': Expected end or semicolon (from line 1 of requirements.txt)",
                "a line of `requirements.txt` must name a package",
            ),
            (
                "ERROR: Exception:\nTraceback (most recent call last):\n  File \"x.py\", line 1\n\
                 pip.markers.InvalidMarker: Invalid marker: 'foo == \"bar\"', parse error at 'foo'\n",
                "Invalid marker: 'foo == \"bar\"', parse error at 'foo'",
                "a line of `requirements.txt` must name a package",
            ),
            (
                "ERROR: Ignored the following versions that require a different python version: 2 Requires-Python >=3.13\n",
                "Ignored the following versions that require a different python version: 2 Requires-Python >=3.13",
                "it does not work with Python 3.11.7",
            ),
            (
                "ERROR: ResolutionImpossible: for help visit\n",
                "ResolutionImpossible: for help visit",
                "these packages conflict",
            ),
            (
                "error: No solution found when resolving dependencies\n  cause: Because a depends on c<1 and b on c>1\n",
                "No solution found when resolving dependencies: Because a depends on c<1 and b on c>1",
                "these packages conflict",
            ),
            ("Something else\n\nthe last line\n", "the last line", ""),
        ];
        for (said, gist, hint) in cases {
            let (message, advice) = of(said);
            assert_eq!(message, format!("the packages of `requirements.txt` cannot be installed: {gist}"));
            assert!(advice.starts_with(hint) && advice.is_empty() == hint.is_empty(), "{said}: {advice}");
        }
        assert_eq!(of("").0, "the packages of `requirements.txt` cannot be installed");
    }
}
