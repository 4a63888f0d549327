//! Shared by the tests: a pool over the folder `project`, and calls to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hark_engine::{CallError, CallEvent};
use hark_foreign::{Call, PicklePlace, PythonConfig, PythonPool};
use hark_machine::{Error, HashBody, Key, Value};
use triomphe::Arc;

/// Long enough for every wait here, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(300);

static SHARED: LazyLock<PythonPool> = LazyLock::new(|| PythonPool::new(config(4)));

pub fn config(workers: usize) -> PythonConfig {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let project = tests.join("project");
    let requirements = project.join("requirements.txt");
    let guard = env!("CARGO_BIN_EXE_hark-python-guard").into();
    let python_src = tests.join("src");
    let pickles = PicklePlace::Temporary;
    PythonConfig { interpreter: None, project, python_src, requirements, pickles, workers, guard, warn: |_| () }
}

pub fn call(target: &str, arguments: Vec<Value>) -> Call {
    // A nested attribute needs a colon before it: `calls:Class.method`.
    let (module, function) = target.split_once(':').or_else(|| target.rsplit_once('.')).unwrap();
    Call {
        module: module.into(),
        function: function.into(),
        name: function.into(),
        takes_keywords: false,
        arguments,
        id: "session/0/1".into(),
        progress: None,
        attempt: 1,
        timeout: None,
        ends_with_process: false,
        priority: 0,
        rate: None,
        unwanted: Default::default(),
    }
}

/// Makes a call in a shared pool. Returns its result and its output.
pub fn printed(target: &str, arguments: Vec<Value>) -> (Result<Value, Error>, String) {
    printed_in(&SHARED, target, arguments)
}

pub fn printed_in(pool: &PythonPool, target: &str, arguments: Vec<Value>) -> (Result<Value, Error>, String) {
    let mut output = String::new();
    let result = pool.call_blocking(&call(target, arguments), &mut |event| output.push_str(&printed_by(event)));
    (result.map_err(failed), output)
}

/// The text that an event says was printed.
pub fn printed_by(event: CallEvent) -> String {
    match event {
        CallEvent::Printed(text) => text,
        CallEvent::Progress { .. } => String::new(),
    }
}

/// The error of a call. A call that could not be made fails the test.
pub fn failed(error: CallError) -> Error {
    match error {
        CallError::Failed(error) => error,
        CallError::NotMade(why) => panic!("{why}"),
    }
}

/// Begins a call; its result arrives at the receiver.
pub fn begin(pool: &PythonPool, call: Call) -> mpsc::Receiver<Result<Value, Error>> {
    let (sender, receiver) = mpsc::channel();
    // The receiver may be gone.
    let done = Box::new(move |result: Result<Value, CallError>| drop(sender.send(result.map_err(failed))));
    pool.call(call, Box::new(|_| ()), done);
    receiver
}

pub fn value(target: &str, arguments: Vec<Value>) -> Value {
    printed(target, arguments).0.unwrap_or_else(|error| panic!("{}", error.message))
}

pub fn error(target: &str, arguments: Vec<Value>) -> Error {
    printed(target, arguments).0.expect_err("the call has a value")
}

/// The value as Hark shows it.
pub fn shown(target: &str, arguments: Vec<Value>) -> String {
    text(&value(target, arguments))
}

pub fn text(value: &Value) -> String {
    match value {
        Value::List(..) => {
            let items: Vec<String> = value.as_list().unwrap().iter().map(text).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Hash(body) => {
            let entries: Vec<String> =
                body.iter().map(|(key, value)| format!("{}: {}", text(key), text(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::String(text) => format!("{:?}", text.as_str()),
        Value::Object(object) => object.shown(),
        Value::Null => "null".into(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::BigInteger(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        other => format!("{other:?}"),
    }
}

pub fn traceback(error: &Error) -> String {
    let Value::Hash(data) = &error.data else { panic!("no data: {}", error.message) };
    data.get(&Value::string("traceback")).and_then(Value::as_str).unwrap().to_owned()
}

pub fn hash(entries: Vec<(Value, Value)>) -> Value {
    let mut body = HashBody::default();
    for (key, value) in entries {
        body.insert(Key::new(key).unwrap(), value);
    }
    Value::Hash(Arc::new(body))
}

pub fn string(text: &str) -> Vec<Value> {
    vec![Value::string(text)]
}

/// A new folder for this test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

pub fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| ![") Z ", ") X "].iter().any(|ended| stat.contains(ended)))
}

/// An executable script.
pub fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
    let path = folder.join(name);
    // Written by another process: a file that this one has open for writing may be inherited by a child that another
    // test starts at the same time, and then it cannot be executed.
    let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod +x "$2""#;
    let written = Command::new("sh").args(["-c", write, "sh", body]).arg(&path).status().unwrap();
    assert!(written.success());
    path
}
