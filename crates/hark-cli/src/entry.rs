//! The function called by a command line, and its arguments.

use std::ffi::OsString;

use hark_bytecode::{Binding, Executable, Function, Passing};
use hark_compiler::nearest;
use hark_machine::Value;

use crate::args::CallChoice;
use crate::failure::Failure;
use crate::value;

/// The maximum number of names listed in a message.
const LISTED_MAX: usize = 20;

/// A call that starts a session.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The function.
    pub callee: Value,
    /// Its arguments. Words of the command line are strings.
    pub arguments: Vec<Value>,
}

impl Entry {
    /// Looks up the function and checks the number of arguments.
    ///
    /// # Errors
    /// If the function does not exist, or takes a different number of arguments.
    pub fn new(executable: &Executable, wanted: &CallChoice) -> Result<Entry, Failure> {
        let CallChoice { words, json, function } = wanted;
        // A missing function is reported before invalid arguments.
        binding_of(executable, function)?;
        let arguments = match (json, words.first()) {
            (Some(_), Some(word)) => {
                let word = word.to_string_lossy();
                return Err(Failure::usage(format!("the argument `{word}` conflicts with `--args`")));
            }
            (Some(json), None) => listed_arguments(&value::text_of_option(json)?)?,
            (None, _) => self::words(words)?,
        };
        Entry::with_values(executable, function, arguments)
    }

    /// Like `new`, with arguments that are already values.
    ///
    /// # Errors
    /// If the function does not exist, or takes a different number of arguments.
    pub fn with_values(executable: &Executable, function: &str, arguments: Vec<Value>) -> Result<Entry, Failure> {
        let binding = binding_of(executable, function)?;
        let callee = match binding {
            Binding::Function(index) => {
                let Function { parameters, passing, .. } = &executable.functions[index.0 as usize];
                if let Passing::AsList { most } = passing {
                    if arguments.len() > *most as usize {
                        let takes = format!("at most {}", counted(*most as usize));
                        return Err(wrong_count(function, &takes, arguments.len()));
                    }
                } else if parameters.len() != arguments.len() {
                    let names: Vec<&str> = parameters.iter().map(|name| executable.name(*name)).collect();
                    let takes = counted(parameters.len());
                    return Err(wrong_count(&format!("{function}({})", listed(&names)), &takes, arguments.len()));
                }
                Value::Function(index)
            }
            Binding::Builtin(_) => return Err(no_function(executable, function)),
            Binding::Foreign(index) => {
                let most = executable.foreign[index.0 as usize].arity as usize;
                if arguments.len() > most {
                    return Err(wrong_count(function, &format!("at most {}", counted(most)), arguments.len()));
                }
                Value::Foreign(index)
            }
        };
        Ok(Entry { callee, arguments })
    }
}

fn binding_of(executable: &Executable, function: &str) -> Result<Binding, Failure> {
    let binding = executable.binding(function).filter(|binding| is_of_program(executable, *binding));
    binding.ok_or_else(|| no_function(executable, function))
}

/// Words of the command line as arguments.
///
/// # Errors
/// If one is not UTF-8.
pub fn words(words: &[OsString]) -> Result<Vec<Value>, Failure> {
    words.iter().enumerate().map(argument).collect()
}

fn argument((index, word): (usize, &OsString)) -> Result<Value, Failure> {
    match word.to_str() {
        Some(text) => Ok(Value::string(text)),
        None => {
            let shown = word.to_string_lossy();
            Err(Failure::usage(format!("argument {} is not UTF-8: `{shown}`", index + 1)))
        }
    }
}

/// The arguments listed by `--args`.
///
/// # Errors
/// If it is not valid JSON, or not a list.
pub fn listed_arguments(json: &str) -> Result<Vec<Value>, Failure> {
    match value::from_json(json)?.as_list() {
        Some(list) => Ok(list.iter().cloned().collect()),
        None => Err(Failure::usage("`--args` needs a JSON list of all arguments")
            .with_hint("a single argument also needs brackets: `--args '[5]'`")),
    }
}

fn no_function(executable: &Executable, function: &str) -> Failure {
    let own = executable.bindings.iter().filter(|(_, binding)| is_of_main(executable, *binding));
    let names: Vec<&str> = own.map(|(name, _)| executable.name(*name)).collect();
    let failure = Failure::usage(format!("there is no function `{function}` in {}", executable.sources.main_path()));
    if names.is_empty() {
        return failure.with_hint("it does not define any functions");
    }
    let near = nearest(function, names.iter().copied());
    let question = near.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
    failure.with_hint(format!("{question}the functions are: {}", listed(&names)))
}

/// Whether the main file defines this, not a module.
fn is_of_main(executable: &Executable, binding: Binding) -> bool {
    file_of(executable, binding) == Some(0)
}

/// Whether a file of the program defines this, not the language.
fn is_of_program(executable: &Executable, binding: Binding) -> bool {
    file_of(executable, binding).is_some()
}

fn file_of(executable: &Executable, binding: Binding) -> Option<usize> {
    let function = match binding {
        Binding::Function(index) => executable.functions.get(index.0 as usize)?,
        Binding::Foreign(index) => executable.functions.iter().find(|function| function.foreign == Some(index))?,
        Binding::Builtin(_) => return None,
    };
    executable.sources.index_at(function.span.start)
}

fn wrong_count(function: &str, takes: &str, given: usize) -> Failure {
    let were = if given == 1 { "was" } else { "were" };
    Failure::usage(format!("`{function}` takes {takes}, but {given} {were} given"))
}

fn counted(count: usize) -> String {
    format!("{count} argument{}", if count == 1 { "" } else { "s" })
}

fn listed(names: &[&str]) -> String {
    match names.get(..LISTED_MAX) {
        Some(first) if names.len() > LISTED_MAX => {
            format!("{}, and {} more", first.join(", "), names.len() - LISTED_MAX)
        }
        _ => names.join(", "),
    }
}
