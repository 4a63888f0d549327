//! Errors in Python and their messages.

use hark_bytecode::Executable;
use hark_foreign::{PythonConfig, PythonPool};
use hark_machine::{Value, literal_text};

use crate::fixture::{call, config, error, failed, folder, printed_in, shown, string, traceback};

#[test]
fn an_exception_has_its_type_its_text_and_a_traceback() {
    let error = error("calls.raises", string("some text"));
    assert_eq!((&*error.kind, &*error.message), ("python", "`calls.raises` raised ValueError: some text"));
    let traceback = traceback(&error);
    assert!(traceback.starts_with("Traceback (most recent call last):\n  File \""), "{traceback}");
    assert!(traceback.contains("calls.py\", line ") && traceback.contains(", in raises\n"), "{traceback}");
    assert!(traceback.ends_with("ValueError: some text\n") && !traceback.contains("hark>"), "{traceback}");
}

#[test]
fn the_arguments_of_an_exception_are_told_and_what_those_are_that_are_no_values() {
    let arguments = |which: &str| {
        let error = error("calls.raises_with", string(which));
        let Value::Hash(data) = &error.data else { panic!("{:?}", error.data) };
        let keys: Vec<_> = data.iter().filter_map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["type", "args", "traceback"]);
        literal_text(data.get(&Value::string("args")).unwrap(), &Executable::default())
    };
    assert_eq!(arguments("several"), "[\"no such order\", 17, [1, {\"a\": null}]]");
    assert_eq!(arguments("objects"), r#"[1, "<object>", "<datetime.date 2026-11-26>", "<set {'a'}>", "<list>", 2]"#);
    assert_eq!(arguments("none"), "[]");
    assert_eq!(arguments("rude"), "[]");
    assert!(arguments("huge").contains("characters left out") && arguments("huge").len() < 11_000);
    assert_eq!(arguments("many"), r#"["first", "<list>", "last"]"#);
}

#[test]
fn a_cause_is_told_too() {
    let error = error("calls.chained", vec![]);
    assert_eq!(&*error.message, "`calls.chained` raised calls.Custom: effect");
    let traceback = traceback(&error);
    let cause = traceback.find("KeyError: 'cause'").unwrap();
    assert!(cause < traceback.find("direct cause").unwrap() && !traceback.contains("hark>"), "{traceback}");
}

#[test]
fn no_exception_gets_by() {
    let raised = [
        ("interrupt", "raised KeyboardInterrupt"),
        ("exit", "raised SystemExit: 3"),
        ("rude", "raised calls.Rude: (no text: its `__str__` raised"),
        ("surrogate", "raised ValueError: \\ud800"),
        ("recursion", "raised RecursionError: maximum recursion depth"),
        ("signal", "raised KeyboardInterrupt"),
        ("stop", "raised StopIteration: 1"),
    ];
    for (what, told) in raised {
        let error = error("calls.raises", string(what));
        assert!(error.message.starts_with(&format!("`calls.raises` {told}")), "{}", error.message);
        assert_eq!(&*error.kind, "python");
    }
}

#[test]
fn huge_texts_are_shortened() {
    let error = error("calls.raises", string("huge"));
    assert!(error.message.len() < 11_000 && error.message.contains("characters left out"));
    assert!(traceback(&error).len() < 101_000);
}

#[test]
fn an_alias_is_named_with_what_it_means() {
    let mut aliased = call("calls.raises", string("text"));
    aliased.name = "other".into();
    let error = failed(PythonPool::new(config(1)).call_blocking(&aliased, &mut |_| ()).unwrap_err());
    assert_eq!(&*error.message, "`other` (`calls.raises`) raised ValueError: text");
}

/// The message without the interpreter.
#[track_caller]
pub fn without_python(message: &str) -> String {
    let (before, rest) = message.split_once(" in Python 3.").unwrap_or_else(|| panic!("{message}"));
    let (python, after) = rest.split_once(')').unwrap();
    let (version, place) = python.split_once(" (`/").unwrap();
    assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{message}");
    assert!(["`, `python3` on `PATH`", "`, from `VIRTUAL_ENV`"].iter().any(|end| place.ends_with(end)), "{message}");
    format!("{before}{after}")
}

#[test]
fn what_is_missing_is_named_with_the_interpreter() {
    let missing = [
        ("no_such_module.f", "cannot call `no_such_module.f`: there is no Python module `no_such_module`"),
        ("calls.part.f", "cannot call `calls.part.f`: there is no Python module `calls.part`"),
        ("calls:Counter.nome", "cannot call `calls.Counter.nome`: `calls.Counter` has no `nome`; did you mean `name`?"),
        (
            "calls:Count.name",
            "cannot call `calls.Count.name`: the Python module `calls` has no `Count`; did you mean `Counter`?",
        ),
        ("calls:not_callable.x.y", "cannot call `calls.not_callable.x.y`: `calls.not_callable` has no `x`"),
        ("calls.ecko", "cannot call `calls.ecko`: the Python module `calls` has no `ecko`; did you mean `echo`?"),
    ];
    for (target, told) in missing {
        let error = error(target, vec![]);
        assert_eq!((&*error.kind, &*without_python(&error.message)), ("python", told));
    }
    let error = error("calls.not_callable", vec![]);
    assert_eq!(&*error.message, "cannot call `calls.not_callable`: it is not callable, but a value of type int");
}

#[test]
fn the_package_of_a_missing_module_is_named_if_it_is_listed() {
    let folder = folder("requirements");
    std::fs::create_dir_all(folder.join("reqs")).unwrap();
    let requirements = folder.join("reqs/needs.txt");
    std::fs::write(&requirements, "No_Such-Module>=1\n").unwrap();
    let shared = config(1);
    let python_src = shared.project.clone();
    let pool = PythonPool::new(PythonConfig { requirements, project: folder.clone(), python_src, ..shared });
    for target in ["no_such_module.f", "no_such_module.part.f", "calls.imports_later"] {
        let (result, _) = printed_in(&pool, target, string("no_such_module"));
        let message = result.unwrap_err().message;
        assert!(
            message.ends_with("; `reqs/needs.txt` lists `No_Such-Module`, and `hark sync` installs it"),
            "{message}"
        );
    }
    let (result, _) = printed_in(&pool, "calls.imports_later", string("another_module"));
    let message = result.unwrap_err().message;
    let told = "`calls.imports_later` raised ModuleNotFoundError: No module named 'another_module'; this is Python 3.";
    assert!(message.starts_with(told) && message.ends_with("`)"), "{message}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_module_that_cannot_be_loaded_is_told_with_its_traceback() {
    let broken = error("broken.f", vec![]);
    let told = "`broken.f` cannot be loaded: its module raised LookupError: not while loading";
    assert_eq!(&*broken.message, told);
    let traceback = traceback(&broken);
    assert!(traceback.contains("in fail\n") && !traceback.contains("importlib"), "{traceback}");
    let misspelt = error("misspelt.f", vec![]);
    assert!(misspelt.message.contains("its module raised SyntaxError: "), "{}", misspelt.message);
    let leaving = error("leaving.f", vec![]);
    assert!(leaving.message.ends_with("its module raised SystemExit: no module"), "{}", leaving.message);
}

#[test]
fn wrong_arguments_are_an_exception_of_python() {
    let error = error("calls.add", vec![]);
    assert!(error.message.starts_with("`calls.add` raised TypeError: add() missing 1 "), "{}", error.message);
    assert_eq!(shown("calls.add", vec![Value::Integer(1)]), "11");
}

#[test]
fn a_death_is_an_error_of_its_call_and_the_next_one_works() {
    let pool = PythonPool::new(config(1));
    let deaths = [
        ("exit", "with exit status 3", "exit"),
        ("kill", "by signal 9 (SIGKILL)", "SIGKILL"),
        ("segfault", "by signal 11 (SIGSEGV)", "SIGSEGV"),
        ("child keeps output", "with exit status 3", "exit"),
    ];
    for (how, told, name) in deaths {
        let (result, output) = printed_in(&pool, "calls.dies", string(how));
        let error = result.unwrap_err();
        let expected = format!("`calls.dies` did not return: its Python process ended {told}");
        assert_eq!((&*error.kind, &*error.message, &*output), ("python", &*expected, "last words\n"));
        let data = format!(r#"{{"type": "{name}", "args": [], "traceback": ""}}"#);
        assert_eq!(literal_text(&error.data, &Executable::default()), data);
        assert!(matches!(printed_in(&pool, "calls.echo", vec![Value::Integer(1)]).0, Ok(Value::Integer(1))));
    }
}

#[test]
fn coroutines_are_run() {
    assert_eq!(shown("calls.coroutine", vec![Value::Integer(4)]), "5");
    let error = error("calls.failing_coroutine", vec![]);
    assert_eq!(&*error.message, "`calls.failing_coroutine` raised ValueError: in a coroutine");
    let traceback = traceback(&error);
    assert!(!traceback.contains("asyncio") && traceback.contains("in failing_coroutine"), "{traceback}");
}
