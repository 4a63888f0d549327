//! Finding modules, and reloading them when their files change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use hark_foreign::{PythonConfig, PythonPool};
use hark_machine::Value;

use crate::errors::without_python;
use crate::fixture::{PATIENCE, config, folder, printed_in, shown, text, wait_for};

/// A project with these files, whose `python_src` is `src`.
struct Project {
    folder: PathBuf,
    pool: PythonPool,
}

impl Project {
    fn new(name: &str, files: &[(&str, &str)]) -> Project {
        let folder = folder(name);
        let wanted = PythonConfig { project: folder.clone(), python_src: folder.join("src"), ..config(1) };
        let project = Project { folder, pool: PythonPool::new(wanted) };
        files.iter().for_each(|(file, content)| project.write(file, content));
        project
    }

    fn write(&self, file: &str, content: &str) {
        let path = self.folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn said(&self, target: &str) -> String {
        match printed_in(&self.pool, target, vec![]).0 {
            Ok(value) => text(&value),
            Err(error) => error.message.to_string(),
        }
    }

    /// Calls until the result is this one.
    fn comes_to_say(&self, target: &str, awaited: &str) {
        let end = Instant::now() + PATIENCE;
        while self.said(target) != awaited {
            assert!(Instant::now() < end, "the result is {}", self.said(target));
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn modules_of_the_project_do_not_stand_for_those_of_the_standard_library() {
    let own = "def own(): return __name__\n";
    let names = ["email", "json", "logging", "random", "token", "types", "traceback", "asyncio", "difflib"];
    let mut files: Vec<_> = names.iter().map(|name| (format!("src/{name}.py"), own)).collect();
    files.push((
        "src/uses.py".into(),
        concat!(
            "import asyncio, email.utils, json, logging, random, smtplib, token, types\n",
            "def standard(): return [smtplib.SMTP_PORT, json.dumps([1]), logging.INFO, hasattr(token, 'NAME')]\n",
            "async def coroutine(): return await asyncio.sleep(0, 'awaited')\n",
            "def fails(): raise ValueError('the real cause')\n",
        ),
    ));
    files.push(("src/plain.py".into(), "async def coroutine(): return 2\n"));
    let files: Vec<_> = files.iter().map(|(file, content)| (file.as_str(), *content)).collect();
    let project = Project::new("shadows", &files);
    assert_eq!(project.said("src.plain.coroutine"), "2");
    assert_eq!(project.said("src.uses.standard"), r#"[25, "[1]", 20, true]"#);
    assert_eq!(project.said("src.uses.coroutine"), r#""awaited""#);
    for name in names {
        assert_eq!(project.said(&format!("src.{name}.own")), format!("\"src.{name}\""));
    }
    let Err(error) = printed_in(&project.pool, "src.uses.fails", vec![]).0 else { panic!("it returned") };
    assert!(crate::fixture::traceback(&error).contains("in fails"), "{error:?}");
    assert_eq!(
        without_python(&project.said("src.plain.corotine")),
        "cannot call `src.plain.corotine`: the Python module `src.plain` has no \
        `corotine`; did you mean `coroutine`?"
    );
}

#[test]
fn what_the_standard_library_hides_is_told() {
    let project = Project::new(
        "hidden",
        &[
            ("src/token.py", "def issue(): return 1\n"),
            ("src/asks.py", "import token\ndef ask(): return token.issue()\n"),
            ("src/wants.py", "from token import issue\n"),
            ("code.py", "def issue(): return 1\n"),
        ],
    );
    let remedy = format!(
        "; `token` is not `{}/src/token.py`, which has the same name: import it as `src.token`",
        project.folder.display()
    );
    let told = project.said("token.issue");
    assert_eq!(
        without_python(&told),
        format!("cannot call `token.issue`: the Python module `token` has no `issue`{remedy}")
    );
    let told = project.said("src.wants.f");
    assert!(told.contains("ImportError: cannot import name 'issue' from 'token'") && told.ends_with(&remedy), "{told}");
    // Older releases do not name the module.
    let version = project.said("platform.python_version");
    if !version.starts_with("\"3.8") && !version.starts_with("\"3.9") {
        let told = project.said("src.asks.ask");
        assert!(told.ends_with(&remedy), "{told}");
    }
    assert!(project.said("code.issue").ends_with("/code.py`, which has the same name: rename it"));
}

#[test]
fn modules_of_the_project_import_each_other_in_any_of_the_usual_ways() {
    let project = Project::new(
        "siblings",
        &[
            ("src/helper.py", "word = 'helped'\n"),
            ("src/absolute.py", "from src import helper\ndef f(): return helper.word\n"),
            (
                "src/relative.py",
                "from . import helper\nfrom .deep.inner import word\ndef f(): return [helper.word, word]\n",
            ),
            ("src/direct.py", "import helper\ndef f(): return helper.word\n"),
            ("src/deep/inner.py", "word = 'inner'\n"),
            ("top.py", "import src.helper\ndef f(): return src.helper.word\n"),
        ],
    );
    for (target, said) in [
        ("src.absolute.f", r#""helped""#),
        ("src.relative.f", r#"["helped", "inner"]"#),
        ("direct.f", r#""helped""#),
        ("top.f", r#""helped""#),
    ] {
        assert_eq!(project.said(target), said, "{target}");
    }
}

#[test]
fn src_is_the_projects_whatever_else_has_that_name() {
    let project = Project::new(
        "other-src",
        &[
            ("src/own.py", "def f(): return 'own'\n"),
            ("packages/src/__init__.py", ""),
            ("packages/src/other.py", "def f(): return 'other'\n"),
            ("src/adds.py", "import sys\ndef f(path): sys.path.append(path)\n"),
        ],
    );
    let packages = Value::string(project.folder.join("packages").to_str().unwrap());
    printed_in(&project.pool, "adds.f", vec![packages]).0.unwrap();
    assert_eq!(project.said("src.own.f"), r#""own""#);
    assert!(project.said("src.other.f").contains("there is no Python module `src.other`"));
}

#[test]
fn the_module_hark_is_one_like_any_other() {
    let found = shown("importing.hark_can_be_found", vec![]);
    assert_eq!(found, "[true, true, true]");
    for method in ["fork", "spawn", "forkserver"] {
        assert_eq!(shown("importing.in_children", vec![Value::string(method)]), "[0, 1, 4]", "{method}");
    }
}

#[test]
fn the_code_of_workers_is_kept_and_mended() {
    let kept = || {
        let files = printed_in(&PythonPool::new(config(1)), "importing.kept_code", vec![]).0.unwrap();
        files.as_list().unwrap().iter().map(|file| PathBuf::from(file.as_str().unwrap())).collect::<Vec<_>>()
    };
    for damage in [&b"no code"[..], b""] {
        let files = kept();
        assert!(!files.is_empty());
        files.iter().for_each(|file| fs::write(file, damage).unwrap());
        // Concurrent tests in other processes share the folder and may damage it at the same time.
        wait_for("a file is mended", || {
            assert_eq!(kept().len(), files.len());
            files.iter().any(|file| fs::read(file).unwrap() != damage)
        });
    }
}

#[test]
fn a_module_that_was_edited_within_its_second_is_loaded_anew() {
    let project = Project::new(
        "edited",
        &[
            ("src/a.py", "def value(): return 1\n"),
            ("src/uses.py", "from src.package.inner import value\n"),
            ("src/package/__init__.py", ""),
            ("src/package/inner.py", "def value(): return 1\n"),
        ],
    );
    // All texts have the same length and are written as fast as possible: two of them may have the same modification
    // time.
    for number in 2..6 {
        project.write("src/a.py", &format!("def value(): return {number}\n"));
        project.comes_to_say("src.a.value", &number.to_string());
        project.write("src/package/inner.py", &format!("def value(): return {number}\n"));
        project.comes_to_say("src.uses.value", &number.to_string());
    }
}

/// Python itself compares only the modification time in whole seconds and the size.
#[test]
fn compiled_code_of_another_text_is_not_used() {
    let writes = "import sys\nsys.dont_write_bytecode = False\ndef f(): return 0\n";
    let project = Project::new("compiled", &[("src/a.py", "def value(): return 1\n"), ("writes.py", writes)]);
    assert_eq!(project.said("writes.f"), "0");
    assert_eq!(project.said("src.a.value"), "1");
    let path = project.folder.join("src/a.py");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(fs::read_dir(project.folder.join("src/__pycache__")).unwrap().count(), 1);
    project.write("src/a.py", "def value(): return 2\n");
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    project.comes_to_say("src.a.value", "2");
    // Code compiled by other programs is not used either.
    let script = "import os, py_compile, sys; p = sys.argv[1]; py_compile.compile(p, doraise=True); \
                  t = os.stat(p).st_mtime_ns; s = open(p).read().replace('2', '3'); open(p, 'w').write(s); \
                  os.utime(p, ns=(t, t))";
    assert!(std::process::Command::new("python3").args(["-c", script]).arg(&path).status().unwrap().success());
    project.comes_to_say("src.a.value", "3");
}

#[test]
fn a_module_that_is_younger_than_its_worker_is_found() {
    let project = Project::new("young", &[("src/a.py", "def value(): return 1\n")]);
    assert_eq!(project.said("src.a.value"), "1");
    for number in 0..5 {
        assert!(project.said(&format!("src.new{number}.f")).contains("there is no Python module"));
        project.write(&format!("src/new{number}.py"), "def f(): return 'found'\n");
        assert_eq!(project.said(&format!("src.new{number}.f")), r#""found""#);
    }
}

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[test]
fn a_file_that_is_loaded_under_two_names_is_warned_of_once() {
    let folder = folder("two-names");
    let file = folder.join("src/m.py");
    fs::create_dir_all(folder.join("src")).unwrap();
    fs::write(&file, "def f(): return __name__\n").unwrap();
    let warn = |text: &str| WARNINGS.lock().unwrap().push(text.to_owned());
    let wanted = PythonConfig { project: folder.clone(), python_src: folder.join("src"), warn, ..config(1) };
    for _ in 0..2 {
        let pool = PythonPool::new(wanted.clone());
        for (target, name) in [("m.f", r#""m""#), ("src.m.f", r#""src.m""#), ("m.f", r#""m""#)] {
            assert_eq!(text(&printed_in(&pool, target, vec![]).0.unwrap()), name);
        }
        let told = WARNINGS.lock().unwrap().split_off(0);
        let [told] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(*told, warning(&file));
    }
    fs::remove_dir_all(folder).unwrap();
}

fn warning(file: &Path) -> String {
    let file = file.display();
    format!(
        "the file `{file}` is loaded twice, as `m` and as `src.m`, and each has its own variables; import it under one name"
    )
}
