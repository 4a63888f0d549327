//! Checks that Python functions exist and which arguments they take, without running any user code: the interpreter
//! only parses, in isolated mode. The other side is `python/_hark_check.py`.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde::Deserialize;
use serde_json::json;

use crate::interpreter::{self, Interpreter};
use crate::limits::CHECK_TIME_MAX;

/// The program for the interpreter. It reads the modules and questions from its standard input.
const START: &str = "
import json, sys
given = json.loads(sys.stdin.buffer.read())
for name, source in given['modules']:
    module = type(sys)(name)
    sys.modules[name] = module
    exec(compile(source, '<hark>/' + name + '.py', 'exec'), module.__dict__)
answers = sys.modules['_hark_check'].main(given['folders'], given['questions'])
sys.stdout.buffer.write(json.dumps(answers).encode())
";

const MODULES: [(&str, &str); 3] = [
    ("_hark_check_find", include_str!("../../../python/_hark_check_find.py")),
    ("_hark_check_scope", include_str!("../../../python/_hark_check_scope.py")),
    ("_hark_check", include_str!("../../../python/_hark_check.py")),
];

/// A function that a program imports.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The Python module, dotted.
    pub module: &'a str,
    /// The attribute of that module, dotted.
    pub function: &'a str,
}

/// What is known about a function.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// The module does not exist.
    NoModule {
        /// The first part of its name that does not exist.
        no_module: String,
        /// A module that may have been meant.
        near: Option<String>,
    },
    /// The module exists, but the function does not.
    NoFunction {
        /// The missing name.
        no_function: String,
        /// The module or class without that name, in words.
        owner: String,
        /// A name that may have been meant.
        near: Option<String>,
    },
    /// It is not callable.
    NotCallable {
        /// The name of its type.
        not_callable: String,
    },
    /// A module of the project cannot be parsed.
    BadSyntax {
        /// The syntax error.
        bad_syntax: String,
        /// The file.
        file: String,
        /// The line, from 1.
        line: u32,
    },
    /// Its signature is known.
    Known {
        /// The arguments that it takes.
        signature: Signature,
        /// Its name and parameters, as text.
        text: String,
        /// The file that defines it.
        file: String,
        /// The line, from 1.
        line: u32,
    },
    /// Unknown without running code.
    Unknown {},
}

/// The arguments that a function takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Signature {
    /// The number of parameters without a default, among those that may be passed by position.
    pub fewest: u32,
    /// The largest number of positional arguments, if it is limited.
    pub most: Option<u32>,
    /// The parameters that may be passed by position.
    pub names: Vec<String>,
    /// How many of `names`, from the front, may not be passed by keyword.
    pub only_by_position: u32,
    /// The parameters that may be passed by keyword only.
    pub keywords: Vec<String>,
    /// Those of `keywords` without a default.
    pub needed_keywords: Vec<String>,
    /// Whether arbitrary keywords are accepted (`**kwargs`).
    pub any_keyword: bool,
}

impl Signature {
    /// How many arguments must be passed by position.
    pub fn fewest_by_position(&self) -> u32 {
        self.fewest.min(self.only_by_position)
    }

    /// The parameters that may be passed by position or by keyword.
    pub fn by_either(&self) -> &[String] {
        self.names.get(self.only_by_position as usize..).unwrap_or_default()
    }

    /// Whether an argument may be passed by this keyword.
    pub fn takes_keyword(&self, name: &str) -> bool {
        self.any_keyword || self.by_either().iter().chain(&self.keywords).any(|taken| taken == name)
    }

    /// Whether any argument may be passed by keyword.
    pub fn takes_keywords(&self) -> bool {
        self.any_keyword || !self.by_either().is_empty() || !self.keywords.is_empty()
    }
}

/// Answers each question. Modules are searched for in these folders first, then where the interpreter finds its own.
///
/// # Errors
/// If the interpreter does not answer. The text says why, for the user.
pub fn look(interpreter: &Interpreter, folders: &[&Path], questions: &[Question<'_>]) -> Result<Vec<Answer>, String> {
    let unusable = |problem: &str| {
        let Interpreter { path, origin } = interpreter;
        format!("the Python interpreter `{}` ({origin}) {problem}", path.display())
    };
    if let Some(problem) = interpreter::obvious_problem(&interpreter.path) {
        return Err(unusable(problem));
    }
    let answered = ask(&interpreter.path, &request(folders, questions)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unusable("does not exist"),
        io::ErrorKind::TimedOut => unusable(&format!("did not answer within {} seconds", CHECK_TIME_MAX.as_secs())),
        _ => unusable(&format!("cannot be run: {error}")),
    })?;
    let answers: Option<Vec<Answer>> = serde_json::from_slice(&answered).ok();
    answers.filter(|answers| answers.len() == questions.len()).ok_or_else(|| unusable("is not a working Python"))
}

fn request(folders: &[&Path], questions: &[Question<'_>]) -> Vec<u8> {
    let folders: Vec<_> = folders.iter().map(|folder| folder.to_string_lossy()).collect();
    let questions: Vec<_> =
        questions.iter().map(|question| json!({"module": question.module, "function": question.function})).collect();
    json!({"modules": MODULES, "folders": folders, "questions": questions}).to_string().into_bytes()
}

fn ask(interpreter: &Path, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut command = Command::new(interpreter);
    command.args(["-I", "-S", "-B", "-c", START]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read this is not Python; the missing answer shows that.
        let _ = pipe.write_all(request);
    }
    let (sender, receiver) = mpsc::channel();
    if let Some(mut pipe) = child.stdout.take() {
        thread::Builder::new().name("hark-check".into()).spawn(move || {
            let mut answer = Vec::new();
            let read = pipe.read_to_end(&mut answer);
            // After a timeout, the receiver is gone.
            let _ = sender.send(read.map(|_| answer));
        })?;
    }
    let answered = receiver.recv_timeout(CHECK_TIME_MAX);
    // It has ended or must end now.
    let _ = child.kill();
    child.wait()?;
    answered.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
