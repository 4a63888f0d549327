//! `hark test`: runs the test cases of programs.
//!
//! `lines` parses the `//!` lines of a program, `suite` compiles it and collects its cases, `stubs` and `promises`
//! replace the outside world, `runner` runs a case, `verdict` compares, and `text`, `junit` and this file print the
//! results.

mod files;
mod junit;
mod lines;
mod literal;
mod promises;
mod runner;
mod same;
mod stubs;
mod suite;
mod text;
mod verdict;

use std::io::{self, Write};
use std::time::Instant;

use super::{BROKEN, FINISHED};
use crate::args::Test;
use crate::failure::Failure;
use crate::modules::from_current_folder;
use crate::output;
use crate::project;
use crate::render::{Paint, Style};
use crate::report::{self, Json};
use runner::{Outcome, Runner};
use suite::Suite;

/// Runs the selected cases and prints the results.
///
/// # Errors
/// If there are no cases, a file cannot be read or written, or the settings are invalid.
pub fn test(wanted: &Test) -> Result<u8, Failure> {
    let begun = Instant::now();
    let paths = match wanted.files.as_slice() {
        [] => {
            let folder = from_current_folder(&project::load_here(wanted.config.path.as_deref())?.folder);
            files::programs(&[if folder.as_os_str().is_empty() { ".".into() } else { folder }])?
        }
        files => files::programs(files)?,
    };
    let mut suites = Vec::new();
    for path in &paths {
        let mut suite = Suite::load(path, wanted.config.path.as_deref())?;
        suite.cases.retain(|case| {
            let name = format!("{}: {}", suite.file, case.name);
            wanted.filter.as_ref().is_none_or(|part| name.contains(part.as_str()))
        });
        suites.push(suite);
    }
    if suites.iter().all(|suite| suite.cases.is_empty()) {
        return Err(nothing(wanted));
    }
    if wanted.list {
        return list(&suites, wanted);
    }
    let (outcomes, interrupted) = run(&suites, wanted)?;
    let failed = outcomes.iter().filter(|outcome| !outcome.is_passed()).count();
    if let Some(path) = &wanted.junit {
        junit::write(path, &outcomes)?;
    }
    if wanted.json {
        report::write(|json| write_json(&outcomes, begun.elapsed().as_secs_f64(), json))?;
    } else {
        output::write_out(&format!("{}\n", text::count(outcomes.len() - failed, failed)))?;
        if !wanted.quiet {
            let seconds = format!("-- {:.3} s", begun.elapsed().as_secs_f64());
            output::tell(&format!("{}\n", Style::for_stderr().paint(Paint::Dim, &seconds)));
        }
    }
    Ok(interrupted.unwrap_or(if failed == 0 { FINISHED } else { BROKEN }))
}

/// Runs the cases one after another, until one fails with `--fail-fast`, or a signal arrives.
fn run(suites: &[Suite], wanted: &Test) -> Result<(Vec<Outcome>, Option<u8>), Failure> {
    let mut runner = Runner::new(wanted.timeout)?;
    let mut outcomes = Vec::new();
    for (suite, case) in suites.iter().flat_map(|suite| suite.cases.iter().map(move |case| (suite, case))) {
        let outcome = runner.run(suite, case)?;
        let is_passed = outcome.is_passed();
        let is_told = !wanted.json && (!wanted.quiet || !is_passed);
        if is_told {
            output::write_out(&text::drawn(&outcome, Style::for_stdout()))?;
        }
        outcomes.push(outcome);
        if runner.interrupted().is_some() || (wanted.fail_fast && !is_passed) {
            break;
        }
    }
    Ok((outcomes, runner.interrupted()))
}

fn nothing(wanted: &Test) -> Failure {
    let places: Vec<String> = wanted.files.iter().map(|path| format!("`{}`", path.display())).collect();
    let place = if places.is_empty() { "the project".to_owned() } else { places.join(", ") };
    let failure = match &wanted.filter {
        Some(part) => Failure::usage(format!("no case in {place} has `{part}` in its name")),
        None => Failure::usage(format!("there is nothing to test in {place}")),
    };
    failure.with_hint("a case is a line `//! f(1) => 2`, or a function `test_...` without parameters")
}

fn list(suites: &[Suite], wanted: &Test) -> Result<u8, Failure> {
    let cases = || suites.iter().flat_map(|suite| suite.cases.iter().map(move |case| (&suite.file, case)));
    if wanted.json {
        report::write(|json| {
            json.key("cases")?;
            json.open('[')?;
            for (file, case) in cases() {
                json.open('{')?;
                write_name(file, case.line, &case.name, json)?;
                json.close('}')?;
            }
            json.close(']')
        })?;
    } else {
        let lines = cases().map(|(file, case)| format!("{}\n", text::place_and_name(file, case.line, &case.name)));
        output::write_out(&lines.collect::<String>())?;
    }
    Ok(FINISHED)
}

fn write_name<W: Write>(file: &str, line: u32, name: &str, json: &mut Json<W>) -> io::Result<()> {
    json.entry("file", file)?;
    json.entry_of("line", line)?;
    json.entry("name", name)
}

fn write_json<W: Write>(outcomes: &[Outcome], seconds: f64, json: &mut Json<W>) -> io::Result<()> {
    let failed = outcomes.iter().filter(|outcome| !outcome.is_passed()).count();
    json.entry("status", if failed == 0 { "passed" } else { "failed" })?;
    json.entry_of("passed", outcomes.len() - failed)?;
    json.entry_of("failed", failed)?;
    json.entry_of("seconds", format!("{seconds:.6}"))?;
    json.key("cases")?;
    json.open('[')?;
    for outcome in outcomes {
        json.open('{')?;
        write_name(&outcome.file, outcome.line, &outcome.name, json)?;
        json.entry("status", if outcome.is_passed() { "passed" } else { "failed" })?;
        json.entry_of("seconds", format!("{:.6}", outcome.seconds))?;
        write_faults(outcome, json)?;
        report::write_output(&outcome.output, json)?;
        match &outcome.program {
            Some(program) => report::write_errors(&outcome.errors, program.executable(), json)?,
            None => {
                json.key("errors")?;
                json.open('[')?;
                json.close(']')?;
            }
        }
        json.close('}')?;
    }
    json.close(']')
}

fn write_faults<W: Write>(outcome: &Outcome, json: &mut Json<W>) -> io::Result<()> {
    json.key("faults")?;
    json.open('[')?;
    for fault in &outcome.faults {
        json.open('{')?;
        json.entry_of("line", fault.line)?;
        json.entry("expected", &fault.expected)?;
        json.entry("got", &fault.got)?;
        json.close('}')?;
    }
    json.close(']')?;
    match &outcome.problem {
        Some(problem) => json.entry("problem", problem.trim_end()),
        None => json.entry_of("problem", "null"),
    }
}
