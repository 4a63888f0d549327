//! Helpers to run small programs.

use hark_bytecode::FunctionIndex;
use hark_bytecode::builtins::Builtin;
use hark_compiler::compile;
use hark_machine::{Effect, Host, Program, Thread, Value, text_of};

/// A host that collects the output, and numbers threads without running them.
#[derive(Default)]
pub struct Gather {
    pub printed: String,
    pub threads: u64,
}

impl Host for Gather {
    fn spawn(&mut self, _: Thread) -> u64 {
        self.threads += 1;
        self.threads
    }

    fn print(&mut self, text: String) {
        self.printed.push_str(&text);
    }

    fn thread(&self) -> u64 {
        0
    }

    fn session(&self) -> &str {
        "a session"
    }

    fn now(&mut self) -> u64 {
        0
    }

    fn random(&mut self) -> u64 {
        7
    }
}

/// Compiles a program.
pub fn program(text: &str) -> Program {
    let compilation = compile("test.hk", text);
    let executable = compilation.executable.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics));
    Program::new(executable).expect("what compiles is sound")
}

/// A thread that is about to call this function.
pub fn thread(program: &Program, function: &str, arguments: Vec<Value>) -> Thread {
    let functions = &program.executable().functions;
    let index = functions.iter().position(|each| &*each.name == function).expect("the program has the function");
    Thread::new(Value::Function(FunctionIndex(index as u32)), arguments)
}

/// An effect as text: its value, or its error's kind and message.
pub fn shown(effect: &Effect, program: &Program) -> String {
    match effect {
        Effect::Finished(value) => text_of(value, program.executable()),
        Effect::Failed(error) => format!("{}: {}", error.kind, error.message),
        other => format!("{other:?}"),
    }
}

/// The result of a program's `main()`.
pub fn run(text: &str) -> String {
    let program = program(text);
    let effect = thread(&program, "main", Vec::new()).run(&program, u32::MAX, &mut Gather::default());
    shown(&effect, &program)
}

/// Runs a function of the program, or the builtin of that name, to its end.
///
/// # Errors
/// The error's kind and message.
pub fn call(program: &Program, function: &str, arguments: Vec<Value>) -> Result<Value, String> {
    // The program's own names take precedence, as in the language.
    let is_own = program.executable().functions.iter().any(|own| &*own.name == function);
    let mut thread = match Builtin::from_name(function) {
        Some(builtin) if !is_own => Thread::new(Value::Builtin(builtin), arguments),
        _ => thread(program, function, arguments),
    };
    match thread.run(program, u32::MAX, &mut Gather::default()) {
        Effect::Finished(value) => Ok(value),
        other => Err(shown(&other, program)),
    }
}

/// The integers of a list.
pub fn integers(list: &Value) -> Vec<i64> {
    let integer = |item: &Value| match item {
        Value::Integer(integer) => *integer,
        other => panic!("{other:?} is no integer"),
    };
    list.as_list().expect("it is a list").iter().map(integer).collect()
}
