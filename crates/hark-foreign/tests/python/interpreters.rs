//! Interpreters that do not work.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hark_foreign::{PythonConfig, PythonPool};
use hark_machine::Value;

use crate::fixture::{PATIENCE, call, config, failed, folder, printed_in, script, text};

/// The problem with an interpreter that ends, however slowly.
fn problem(interpreter: &Path) -> String {
    problem_within(interpreter, PATIENCE)
}

fn problem_within(interpreter: &Path, time_max: Duration) -> String {
    let config = PythonConfig { interpreter: Some(interpreter.into()), ..config(1) };
    let pool = PythonPool::with_start_timeout(config, time_max);
    let error = failed(pool.call_blocking(&call("calls.pid", vec![]), &mut |_| ()).unwrap_err());
    assert_eq!(&*error.kind, "python");
    let (problem, remedy) = error.message.split_once("; ").unwrap();
    assert!(remedy.starts_with("set `python` in hark.toml"), "{remedy}");
    let about = format!("cannot call `calls.pid`: the Python interpreter `{}` ", interpreter.display());
    problem.strip_prefix(&about).unwrap_or_else(|| panic!("{problem}")).to_owned()
}

#[test]
fn what_is_no_interpreter_is_named() {
    assert_eq!(problem(Path::new("/no/such/python")), "does not exist");
    assert_eq!(problem(Path::new("no-such-python-3")), "does not exist");
    assert_eq!(problem(Path::new("/usr")), "is a folder");
    assert!(problem(Path::new("/etc/passwd")).starts_with("cannot be started: Permission denied"));
    let ended = "is not a working Python: it ended with exit status 0 before it answered";
    assert_eq!(problem(Path::new("/bin/true")), ended);
    assert_eq!(problem(Path::new("/bin/cat")), ended.replace("status 0", "status 1"));
}

#[test]
fn what_does_not_answer_is_given_up() {
    let folder = folder("interpreters");
    for (name, body) in [("silent", "exec sleep 600"), ("mute", "exec cat > /dev/null")] {
        let interpreter = script(&folder, name, body);
        let told = problem_within(&interpreter, Duration::from_millis(300));
        assert_eq!(told, "gave no valid answer within 0.3 seconds");
    }
    let echo = script(&folder, "echo", "exec cat <&0 >&0");
    assert!(problem(&echo).starts_with("is not a working Python: it ended "), "{}", problem(&echo));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_relative_interpreter_begins_at_the_project() {
    let folder = folder("relative");
    fs::create_dir_all(folder.join("bin")).unwrap();
    script(&folder.join("bin"), "python", "exec python3 \"$@\"");
    for interpreter in [Some(PathBuf::from("bin/python")), Some(PathBuf::from("python3"))] {
        let pool = PythonPool::new(PythonConfig { interpreter, project: folder.clone(), ..config(1) });
        let (back, _) = printed_in(&pool, "builtins.abs", vec![Value::Integer(-4)]);
        assert_eq!(text(&back.unwrap()), "4");
    }
    fs::remove_dir_all(folder).unwrap();
}
