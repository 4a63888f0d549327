//! The warnings of `hark check` about imported Python functions.

use std::collections::HashMap;

use hark_bytecode::{Executable, Foreign, Function, Global, Span};
use hark_compiler::{Code, Diagnostic};
use hark_foreign::check::{self, Answer, Question};
use hark_foreign::{Interpreter, package_of};

use super::arguments::about_arguments;
use super::calls::{Call, calls};
use crate::args::Asked;
use crate::place::Place;
use crate::project::Project;

/// Warnings about imports that cannot work, and about their calls. No Python code of the project is run.
pub fn warnings(executable: &Executable, project: &Project) -> Vec<Diagnostic> {
    let imports = imports(executable);
    let Some(first) = imports.first() else { return Vec::new() };
    let questions: Vec<Question<'_>> = imports
        .iter()
        .map(|import| Question { module: &import.foreign.module, function: &import.foreign.function })
        .collect();
    let interpreter = Interpreter::find(project.settings.python.as_deref(), &project.folder);
    let folders = [&*project.folder, &*project.folder.join(&project.settings.python_src)];
    match check::look(&interpreter, &folders, &questions) {
        Ok(answers) => {
            let about = |(import, answer)| about(import, answer, project, &interpreter);
            imports.iter().zip(&answers).flat_map(about).collect()
        }
        Err(problem) => {
            let message = format!("the imported functions were not checked: {problem}");
            let hint = "set `python` in hark.toml; `--no-python` skips this check";
            vec![Diagnostic::warning(Code::PythonMissing, message, first.span).with_hint(hint)]
        }
    }
}

/// An import and its calls.
pub struct Import<'a> {
    /// The imported function.
    pub foreign: &'a Foreign,
    /// The position in the source.
    pub span: Span,
    /// The calls that certainly call this import.
    pub calls: Vec<Call<'a>>,
}

fn imports(executable: &Executable) -> Vec<Import<'_>> {
    let foreign = |function: &Function| function.foreign.and_then(|index| executable.foreign.get(index.0 as usize));
    let mut imports: Vec<Import<'_>> = Vec::with_capacity(executable.foreign.len());
    for function in &executable.functions {
        if let Some(foreign) = foreign(function) {
            imports.push(Import { foreign, span: function.span, calls: Vec::new() });
        }
    }
    let globals = executable.globals();
    let place: HashMap<u32, usize> = (executable.functions.iter().filter_map(|function| function.foreign).zip(0..))
        .map(|(foreign, place)| (foreign.0, place))
        .collect();
    for function in executable.functions.iter().filter(|function| function.foreign.is_none()) {
        for call in calls(executable, &globals, function) {
            let import = match globals[call.name.0 as usize] {
                Some(Global::Foreign(index)) => Some(index),
                Some(Global::Function(index)) => executable.wrapped_import(index),
                _ => None,
            };
            if let Some(index) = import
                && let Some(place) = place.get(&index.0)
            {
                imports[*place].calls.push(call);
            }
        }
    }
    imports
}

fn about(import: &Import<'_>, answer: &Answer, project: &Project, interpreter: &Interpreter) -> Vec<Diagnostic> {
    let missing = |message: String| Diagnostic::warning(Code::PythonMissing, message, import.span);
    let Foreign { module, function, .. } = import.foreign;
    match answer {
        Answer::Unknown {} => Vec::new(),
        Answer::NoModule { no_module, near } => {
            let requirements = project.folder.join(&project.settings.python_requirements);
            let Interpreter { path, origin } = interpreter;
            let hint = match (near, package_of(module, &requirements)) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Some(package)) => {
                    let file = project.settings.python_requirements.display();
                    let sync = Place::of(project, Asked::default()).project_command("sync");
                    format!("`{file}` lists `{package}`, and `{sync}` installs it")
                }
                (None, None) => {
                    format!("it was searched for in the project and in the folders of `{}` ({origin})", path.display())
                }
            };
            vec![missing(format!("there is no Python module `{no_module}`")).with_hint(hint)]
        }
        Answer::NoFunction { no_function, owner, near } => {
            let warning = missing(format!("{owner} has no `{no_function}`"));
            vec![match near {
                Some(near) => warning.with_hint(format!("did you mean `{near}`?")),
                None => warning,
            }]
        }
        Answer::NotCallable { not_callable } => {
            let message = format!("`{module}.{function}` is not callable, but a value of type {not_callable}");
            vec![missing(message)]
        }
        Answer::BadSyntax { bad_syntax, file, line } => {
            let message = format!("`{module}` cannot be loaded: {bad_syntax}");
            vec![missing(message).with_hint(format!("see line {line} of {}", project.shortened(file)))]
        }
        Answer::Known { signature, text, file, line } => {
            let defined = format!("it is `{text}`, in line {line} of {}", project.shortened(file));
            let warnings = about_arguments(import, signature).into_iter();
            warnings
                .map(|warning| if warning.hint.is_none() { warning.with_hint(&*defined) } else { warning })
                .collect()
        }
    }
}
