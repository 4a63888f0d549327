//! What `hark check` says about the Python functions that a program imports.

use std::collections::{HashMap, HashSet};

use hark_bytecode::{Executable, Foreign, Function, Global, Instruction, NameIndex, Span};
use hark_compiler::{Code, Diagnostic};
use hark_foreign::check::{self, Answer, Question, Signature};
use hark_foreign::{Interpreter, package_of};

use crate::project::Project;

/// Warnings about imports, and calls of them, that cannot work. Nothing of Python's is run.
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
            let message = format!("the imported functions were not looked at: {problem}");
            let hint = "set `python` in hark.toml; `--no-python` leaves this out";
            vec![Diagnostic::warning(Code::PythonMissing, message, first.span).with_hint(hint)]
        }
    }
}

/// An import and its calls.
struct Import<'a> {
    foreign: &'a Foreign,
    span: Span,
    /// With how many arguments it is called, and where, as far as that is certain.
    calls: Vec<(u32, Span)>,
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
        for (name, count, span) in calls(executable, function) {
            if let Some(Global::Foreign(index)) = globals[name.0 as usize]
                && let Some(place) = place.get(&index.0)
            {
                imports[*place].calls.push((count, span));
            }
        }
    }
    imports
}

/// The calls of names that the function does not bind itself.
fn calls<'a>(executable: &'a Executable, function: &'a Function) -> impl Iterator<Item = (NameIndex, u32, Span)> + 'a {
    let range = function.start as usize..function.end as usize;
    let bound: HashSet<NameIndex> = executable.code[range.clone()]
        .iter()
        .filter_map(|instruction| if let Instruction::Bind(name) = instruction { Some(*name) } else { None })
        .collect();
    let pairs = executable.code[range.clone()].windows(2).zip(&executable.spans[range][1..]);
    pairs.filter_map(move |(pair, span)| match pair {
        [Instruction::PushBinding(name), Instruction::Call(count) | Instruction::AsyncCall(count)]
            if !bound.contains(name) =>
        {
            Some((*name, *count, *span))
        }
        _ => None,
    })
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
                    format!("`{file}` lists `{package}`, and `hark sync` installs it")
                }
                (None, None) => {
                    format!("it was looked for in the project, and in the folders of `{}` ({origin})", path.display())
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
            let message = format!("`{module}.{function}` is no function, but a value of type {not_callable}");
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

/// Of each import one mistake at most: its calls can only be judged if it is right itself.
fn about_arguments(import: &Import<'_>, signature: &Signature) -> Vec<Diagnostic> {
    let Foreign { module, function, arity, attributes, .. } = import.foreign;
    let whole = format!("`{module}.{function}`");
    let wrong = |message: String, span| Diagnostic::warning(Code::PythonArguments, message, span);
    let is_too_many = |count: u32| signature.most.is_some_and(|most| count > most);
    // A hash at the end may be keyword arguments, and any number of them.
    let (by_position, fewest) = match attributes.kwargs {
        true => (arity.saturating_sub(1), signature.fewest_by_position),
        false => (*arity, signature.fewest),
    };
    if let Some(keyword) = signature.needed_keywords.first().filter(|_| !attributes.kwargs) {
        let hint = "write `#[kwargs]` before the import, and give it a hash as the last argument";
        let message = format!("{whole} needs the keyword argument `{keyword}`");
        return vec![wrong(message, import.span).with_hint(hint)];
    }
    if is_too_many(by_position) || *arity < fewest {
        let taken = arguments(signature.fewest, signature.most);
        return vec![wrong(format!("{whole} takes {taken}, but is imported with {arity}"), import.span)];
    }
    if attributes.kwargs && !signature.takes_keywords {
        return vec![wrong(format!("{whole} takes no keyword arguments"), import.span)];
    }
    let too_few = import.calls.iter().filter(|(count, _)| *count < fewest);
    let told = too_few.map(|(count, span)| {
        let taken = arguments(signature.fewest, signature.most);
        wrong(format!("{whole} takes {taken}, but is called with {count}"), *span)
            .with_label(import.span, "imported here")
    });
    told.collect()
}

/// How many arguments are taken, in words.
fn arguments(fewest: u32, most: Option<u32>) -> String {
    let counted = |count: u32| if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") };
    match most {
        Some(0) => "no arguments".to_owned(),
        Some(most) if fewest == most => counted(most),
        Some(most) if fewest == 0 => format!("at most {}", counted(most)),
        Some(most) => format!("{fewest} to {most} arguments"),
        None => format!("at least {}", counted(fewest)),
    }
}
