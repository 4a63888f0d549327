//! A program with its cases. It is compiled once for all of them.

use std::path::Path;
use std::sync::Arc;

use hark_bytecode::{Binding, Executable, Source};
use hark_machine::Program;

use super::lines::{self, CallLines, Line, Rejection, Settled};
use super::stubs::{self, Answers};
use crate::failure::{Failure, Problem, draw_problems};
use crate::program::Compiled;
use crate::project::{self, Project};
use crate::render::{self, Style};

/// The prefix of the names of test functions.
const TEST_PREFIX: &str = "test_";

/// A program and its cases.
pub struct Suite {
    /// The program's path, as the user would write it.
    pub file: String,
    /// The project of the program.
    pub project: Project,
    /// The result of the compilation.
    pub compiled: Compiled,
    /// The program, if it was not rejected.
    pub program: Option<Arc<Program>>,
    /// The replies of stubs.
    pub answers: Arc<Answers>,
    /// The promises that are settled from the start.
    pub settled: Arc<Vec<Line<Settled>>>,
    /// The cases, in the order of the text.
    pub cases: Vec<Case>,
}

/// A case.
pub struct Case {
    /// Its name.
    pub name: String,
    /// Its line, from 1.
    pub line: u32,
    /// What it tests.
    pub what: What,
}

/// What a case tests.
pub enum What {
    /// A call in `//!` lines.
    Call(CallLines),
    /// A function, which must return.
    Function(String),
    /// The rejection of the program.
    Rejected(Vec<Line<Rejection>>),
    /// Nothing: the file cannot be tested, for this reason.
    Unusable(String),
}

impl Suite {
    /// Loads a program and collects its cases.
    ///
    /// # Errors
    /// If the file cannot be read, or the settings of its project are invalid.
    pub fn load(path: &Path, config: Option<&Path>) -> Result<Suite, Failure> {
        let mut loaded = project::load(Some(path), config)?;
        let lines = lines::read_lines(&loaded.source);
        let mut suite = Suite {
            file: loaded.source.path.to_string(),
            compiled: Compiled::default(),
            program: None,
            answers: Arc::default(),
            settled: Arc::new(lines.settled),
            cases: Vec::new(),
            project: Project::default(),
        };
        let is_test = |text: &str| text.contains(TEST_PREFIX);
        if lines.problems.is_empty()
            && lines.calls.is_empty()
            && lines.rejected.is_empty()
            && !is_test(&loaded.source.text)
        {
            return Ok(suite);
        }
        suite.compiled = Compiled::new(&mut loaded);
        if !lines.problems.is_empty() {
            suite.cases = unusable(&lines.problems, &loaded.source);
            return Ok(suite);
        }
        let mut executable = suite.compiled.executable.take();
        if let Some(original) = &executable {
            let problems = stubs::problems(&lines.stubs, original);
            if !problems.is_empty() {
                suite.cases = unusable(&problems, &loaded.source);
                return Ok(suite);
            }
            if let Some(mut substituted) = stubs::substituted(&lines.stubs, original, &loaded.source.text) {
                let original = loaded.source.clone();
                loaded.source = Source::new(&*original.path, &*substituted.text);
                let mut compiled = Compiled::new(&mut loaded);
                if substituted.blank_kwargs(&compiled) {
                    loaded.source = Source::new(&*original.path, &*substituted.text);
                    compiled = Compiled::new(&mut loaded);
                }
                loaded.source = original;
                let problems = substituted.problems(&compiled);
                if !problems.is_empty() {
                    suite.cases = unusable(&problems, &loaded.source);
                    return Ok(suite);
                }
                executable = compiled.executable;
                if let Some(executable) = &mut executable {
                    substituted.restore(executable, &loaded.source);
                }
            }
        }
        if let Some(executable) = &executable {
            suite.answers = Arc::new(stubs::answers(&lines.stubs, executable));
        }
        suite.add_cases(lines.calls, lines.rejected, executable.as_ref());
        if let Some(executable) = executable {
            let program = Program::new(executable).map_err(|error| Failure::usage(error.to_string()))?;
            suite.program = Some(Arc::new(program));
        }
        suite.project = loaded.project;
        Ok(suite)
    }

    fn add_cases(&mut self, calls: Vec<CallLines>, rejected: Vec<Line<Rejection>>, executable: Option<&Executable>) {
        if let Some(first) = rejected.first() {
            let line = first.number;
            self.cases.push(Case { name: "rejected".to_owned(), line, what: What::Rejected(rejected) });
        } else if executable.is_none() {
            let text = self.compiled.drawn(Style::for_stdout());
            self.cases.push(Case { name: "compiles".to_owned(), line: 1, what: What::Unusable(text) });
            return;
        }
        if let Some(executable) = executable {
            for (name, line) in tests(executable) {
                if !calls.iter().any(|call| call.function == name && call.arguments.is_empty()) {
                    self.cases.push(Case { name: name.clone(), line, what: What::Function(name) });
                }
            }
        }
        let of_call = |call: CallLines| Case { name: call.text.clone(), line: call.number, what: What::Call(call) };
        self.cases.extend(calls.into_iter().map(of_call));
        self.cases.sort_by_key(|case| case.line);
    }
}

/// A failing case for each problem.
fn unusable(problems: &[Problem], source: &Source) -> Vec<Case> {
    let case = |problem: &Problem| {
        let mut text = String::new();
        draw_problems(source, std::slice::from_ref(problem), Style::for_stdout(), &mut text);
        // Omit the last line, which counts the errors.
        let end = text.trim_end().rfind('\n').map_or(0, |end| end + 1);
        text.truncate(end);
        let line = source.location(problem.span.start).line;
        Case { name: format!("line {line}"), line, what: What::Unusable(text) }
    };
    problems.iter().map(case).collect()
}

/// The test functions in the main file, with their lines.
fn tests(executable: &Executable) -> Vec<(String, u32)> {
    let lines = render::Lines::new(&executable.sources);
    let is_test = |(name, binding): &(hark_bytecode::NameIndex, Binding)| {
        let name = executable.name(*name);
        let Binding::Function(index) = binding else { return None };
        let function = &executable.functions[index.0 as usize];
        let is_of_main = executable.sources.index_at(function.span.start) == Some(0);
        let is_test = name.starts_with(TEST_PREFIX) && function.parameters.is_empty() && is_of_main;
        is_test.then(|| (name.to_owned(), lines.location(function.span.start).line))
    };
    executable.bindings.iter().filter_map(is_test).collect()
}
