//! Properties of any text given to the compiler, and of any bytes given to the decoders of executables and snapshots.
//!
//! A checksum would reject nearly all damaged documents. So each body decodes its bytes twice: unchanged, and with a
//! corrected checksum.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use hark_bytecode::{Executable, FunctionIndex};
use hark_machine::{Effect, Form, Host, ObjectBody, Pickle, Program, Thread, Value};

/// The number of instructions to run after decoding. It is so small that no value can grow to a gigabyte by doubling.
const INSTRUCTIONS: u64 = 40;

/// The program whose thread snapshots are damaged. It uses everything that a snapshot may contain.
const PROGRAM: &str = include_str!("snapshot.hk");

/// Compiles any text: this does not panic, and the result is sound.
pub fn compile(text: &str) {
    let compilation = hark_compiler::compile("test.hk", text);
    for label in compilation.diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels) {
        let (start, end) = (label.span.start as usize, label.span.end as usize);
        assert!(text.get(start..end).is_some(), "{label:?} is not within the text");
    }
    let errors = compilation.diagnostics.iter().filter(|each| each.severity == hark_compiler::Severity::Error);
    assert_eq!(compilation.executable.is_none(), errors.count() > 0, "it compiles or has an error");
    if let Some(executable) = compilation.executable {
        executable.verify().expect("what compiles is sound");
        check_encoding(&executable);
        run_each_function(&executable);
    }
}

/// Decodes any bytes as an executable: neither the decoder nor the machine running the result panics.
pub fn executable(bytes: &[u8]) {
    for bytes in [bytes, &mend(bytes)] {
        if let Ok(executable) = Executable::decode(bytes) {
            check_encoding(&executable);
            run_each_function(&executable);
        }
    }
}

/// Decodes any bytes as a snapshot: this does not panic, and the result can be encoded again and run.
pub fn snapshot(bytes: &[u8]) {
    for bytes in [bytes, &mend(bytes)] {
        let Ok(mut thread) = Thread::restore(bytes, program()) else { continue };
        let written = thread.snapshot(program());
        let again = Thread::restore(&written, program()).expect("what was written can be read");
        assert_eq!(again.snapshot(program()), written, "what was read is written the same");
        let mut host = Nowhere { threads: 0 };
        thread.stack(program(), 0);
        let effect = thread.run_instructions(program(), INSTRUCTIONS, &mut host);
        if !matches!(effect, Effect::Finished(_) | Effect::Failed(_)) {
            let written = thread.snapshot(program());
            Thread::restore(&written, program()).expect("what has run can be written and read");
        }
        if matches!(effect, Effect::Await(_) | Effect::Call(_) | Effect::Sleep(_) | Effect::Cancel(_)) {
            thread.resume(Value::list(vec![Value::Integer(1)]));
            thread.run_instructions(program(), INSTRUCTIONS, &mut host);
        }
    }
}

/// A decoded executable has a stable encoding. (The executables themselves cannot be compared, because nan is not equal
/// to itself.)
fn check_encoding(executable: &Executable) {
    let bytes = executable.encode();
    let again = Executable::decode(&bytes).expect("what was encoded can be decoded");
    assert_eq!(again.encode(), bytes);
}

/// Runs each function briefly, in both forms of its code; this lowers the code, which checks its safety.
fn run_each_function(executable: &Executable) {
    for form in [Form::Fused, Form::Plain] {
        let Ok(program) = Program::with_form(executable.clone(), form) else { return };
        for (index, function) in executable.functions.iter().enumerate().take(64) {
            let callee = Value::Function(FunctionIndex(index as u32));
            let arguments = (0..function.parameters.len()).map(|number| Value::Integer(number as i64));
            let mut thread = Thread::new(callee, arguments.collect());
            let effect = thread.run_instructions(&program, INSTRUCTIONS, &mut Nowhere { threads: 0 });
            if !matches!(effect, Effect::Finished(_) | Effect::Failed(_)) {
                let written = thread.snapshot(&program);
                Thread::restore(&written, &program).expect("what has run can be written and read");
            }
        }
    }
}

/// The document with a correct checksum.
pub fn mend(bytes: &[u8]) -> Vec<u8> {
    let content = bytes.len().saturating_sub(4);
    let mut mended = bytes[..content].to_vec();
    mended.extend_from_slice(&crc32fast::hash(&bytes[..content]).to_le_bytes());
    mended
}

/// The program of the snapshots.
pub fn program() -> &'static Program {
    static KNOWN: OnceLock<Program> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let compilation = hark_compiler::compile("snapshot.hk", PROGRAM);
        let executable = compilation.executable.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics));
        Program::new(executable).expect("what compiles is sound")
    })
}

/// The seeds of each target: the programs of `tests/programs`, their executables, and snapshots of a thread at each of
/// its instructions.
pub fn seeds() -> [(&'static str, Vec<Vec<u8>>); 3] {
    let texts: Vec<String> = programs().iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    let compiled = texts.iter().filter_map(|text| hark_compiler::compile("test.hk", text).executable);
    let mut executables: Vec<Vec<u8>> = compiled.map(|executable| executable.encode()).collect();
    executables.push(program().executable().encode());
    let texts = texts.into_iter().map(String::into_bytes).collect();
    [("compile", texts), ("executable", executables), ("snapshot", snapshots())]
}

/// The distinct snapshots of one run of the program.
fn snapshots() -> Vec<Vec<u8>> {
    let Some(main) = program().executable().functions.iter().position(|function| &*function.name == "main") else {
        return Vec::new();
    };
    let mut thread = Thread::new(Value::Function(FunctionIndex(main as u32)), Vec::new());
    let mut host = Nowhere { threads: 0 };
    let mut snapshots = vec![thread.snapshot(program())];
    loop {
        match thread.run_instructions(program(), 1, &mut host) {
            Effect::Finished(_) => break,
            Effect::Failed(error) => panic!("{}", error.message),
            Effect::OutOfFuel => {}
            Effect::Await(_) | Effect::Call(_) | Effect::Sleep(_) | Effect::Cancel(_) | Effect::Take(_) => {
                let object = ObjectBody::new("datetime.date", Some("2026-11-26"), Arc::new(Pickle::new(vec![1; 40])));
                thread.resume(Value::list(vec![
                    Value::string("answer"),
                    Value::Float(0.5),
                    Value::Object(object.into()),
                ]));
            }
        }
        let snapshot = thread.snapshot(program());
        thread = Thread::restore(&snapshot, program()).expect("what was written can be read");
        snapshots.push(snapshot);
    }
    snapshots.sort();
    snapshots.dedup();
    snapshots
}

/// The programs of `tests/programs`, valid and rejected, sorted by name.
fn programs() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("tests/programs").is_dir());
    let folder = root.expect("the repository has programs").join("tests/programs");
    let folders = [folder.clone(), folder.join("rejected")];
    let mut paths: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()))
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "hk"));
    paths.sort();
    paths
}

/// A host without storage.
pub struct Nowhere {
    /// The number of threads started.
    pub threads: u64,
}

impl Host for Nowhere {
    fn spawn(&mut self, _: Thread) -> u64 {
        self.threads += 1;
        self.threads
    }

    fn print(&mut self, _: String) {}

    fn thread(&self) -> u64 {
        0
    }

    fn session(&self) -> &str {
        "fuzz"
    }

    fn now(&mut self) -> u64 {
        0
    }

    fn random(&mut self) -> u64 {
        7
    }
}
