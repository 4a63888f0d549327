//! Python functions, called through the complete `hark`.

use std::process::Command;

use crate::harness::{Beside, Folder, wait_until};

#[test]
fn python_functions_are_called() {
    let folder = Folder::with("python_functions_are_called", "import(twice, lib, 1);\nfn main() { twice([1, \"a\"]) }");
    folder.write("src/lib.py", "def twice(x):\n    print('called')\n    return (x, x)\n");
    folder.hark("-q x.hk").is(0, "called\n[[1, \"a\"], [1, \"a\"]]\n", "");
    folder.hark("-q x.hk -f twice 3").is(0, "called\n[\"3\", \"3\"]\n", "");
}

#[test]
fn an_exception_comes_with_pythons_traceback() {
    let folder = Folder::with("an_exception", "import(fails, lib, 1);\nfn main() {\n  fails(\"no such thing\")\n}");
    folder.write("src/lib.py", "def fails(x):\n    raise ValueError(x)\n");
    let run = folder.hark("-q x.hk");
    assert_eq!((run.status, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("  thread 0, x.hk:3, in main\n      fails(\"no such thing\")\n"), "{}", run.stderr);
    assert!(run.stderr.contains("  --> x.hk:3:3\n"), "{}", run.stderr);
    let message = run.stderr.find("\nerror[python]: ").unwrap_or_else(|| panic!("{}", run.stderr));
    let rest = &run.stderr[message..];
    assert!(rest.contains("fails") && rest.contains("ValueError") && rest.contains("no such thing"), "{rest}");
    assert!(rest.contains("\n  Traceback (most recent call last):\n") && rest.contains("lib.py\", line 2"), "{rest}");
}

#[test]
fn what_cannot_be_imported_is_an_error_of_the_call() {
    let folder = Folder::with("what_cannot_be_imported", "import(f, nowhere, 0);\nimport(g, lib, 0);\nfn main() { 1 }");
    folder.write("src/lib.py", "raise RuntimeError('at import')\n");
    folder.hark("-q x.hk").is(0, "1\n", "");
    folder.write("requirements.txt", "nowhere==1\n");
    folder.write_script(".venv/bin/python", "#!/bin/sh\nexec python3 \"$@\"\n");
    for (settings, origin) in [("", "from the project's `.venv`"), ("python = 'python3'", "from `python` in hark.toml")]
    {
        folder.write("hark.toml", format!("[project]\n{settings}\n"));
        let missing = folder.hark("-q x.hk -f f");
        let told = "error[python]: cannot call `nowhere.f`: there is no Python module `nowhere` in Python 3.";
        let (_, rest) = missing.stderr.split_once(told).unwrap_or_else(|| panic!("{missing:?}"));
        let end = format!("`, {origin}); `requirements.txt` lists `nowhere`, and `hark sync` installs it\n");
        assert!(missing.status == 1 && rest.contains(&end), "{rest}");
    }
    let raising = folder.hark("-q x.hk -f g");
    assert_eq!(raising.status, 1);
    assert!(raising.stderr.contains("at import"), "{}", raising.stderr);
}

#[test]
fn an_import_may_name_an_attribute_of_an_attribute() {
    let program = "import(shop.price, lib, 1);\nimport(shop.prise, lib, 1, wrong);\n\
                   fn main() { shop.price(\"tea\") }\nfn bad() { wrong(1) }\n";
    let folder = Folder::with("an_import_may_name_an_attribute", program);
    folder.write(
        "src/lib.py",
        "class Shop:\n    @staticmethod\n    def price(what):\n        return [what, 3]\nshop = Shop()\n",
    );
    folder.hark("-q x.hk").is(0, "[\"tea\", 3]\n", "");
    let run = folder.hark("-q x.hk -f bad");
    let told = "cannot call `wrong` (`lib.shop.prise`): `lib.shop` has no `prise` in Python 3.";
    assert!(run.status == 1 && run.stderr.contains(told), "{}", run.stderr);
    assert!(run.stderr.contains("); did you mean `price`?\n"), "{}", run.stderr);
}

/// A file `struct.py` in the current folder prevented workers from starting.
#[test]
fn files_named_like_pythons_own_modules_do_no_harm() {
    let program = "import(twice, lib, 1);\nimport(nothing, lib, 0);\nimport(fails, lib, 0);\nfn main() { twice(2) }\n";
    let folder = Folder::with("files_named_like_pythons_own", program);
    for name in ["struct", "select", "signal", "atexit", "io", "time", "difflib", "traceback", "itertools"] {
        folder.write(&format!("{name}.py"), "raise RuntimeError('the wrong one')");
    }
    folder.write("src/lib.py", "def twice(x):\n    return 2 * x\ndef fails():\n    raise ValueError('why')\n");
    folder.hark("-q x.hk").is(0, "4\n", "");
    let missing = folder.hark("-q x.hk -f nothing").stderr;
    assert!(missing.contains("the Python module `lib` has no `nothing`"), "{missing}");
    let failed = folder.hark("-q x.hk -f fails").stderr;
    assert!(failed.contains("`lib.fails` raised ValueError: why"), "{failed}");
}

#[test]
fn an_interpreter_that_is_none_is_an_error_of_the_call() {
    let folder = Folder::with("an_interpreter_that_is_none", "import(cos, math, 1);\nfn main() { cos(0) }");
    for python in ["no-such-python", "./no/python", "/bin/true", "/bin/cat"] {
        folder.write("hark.toml", format!("[project]\npython = '{python}'\n"));
        let run = folder.hark("-q x.hk");
        assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{python}");
        assert!(run.stderr.contains(python.trim_start_matches('.')), "{python}: {}", run.stderr);
    }
}

#[test]
fn the_virtual_environment_of_the_project_is_used() {
    let folder = Folder::with("the_virtual_environment", "import(who, lib, 0);\nfn main() { who() }");
    folder.write("src/lib.py", "import os\ndef who(): return os.environ.get('WHO', 'nobody')\n");
    let fake = |who: &str| format!("#!/bin/sh\nWHO={who} exec python3 \"$@\"\n");
    folder.hark("-q x.hk").is(0, "nobody\n", "");
    for (path, who) in [(".venv/bin/python", "project"), ("active/bin/python", "active"), ("bin/mine", "setting")] {
        folder.write_script(path, &fake(who));
    }
    folder.hark("-q x.hk").is(0, "project\n", "");
    let active = folder.command(["-q", "x.hk"]).env("VIRTUAL_ENV", folder.path().join("active")).output().unwrap();
    assert_eq!(folder.filtered(active).stdout, "active\n");
    folder.write("hark.toml", "[project]\npython = 'bin/mine'\n");
    folder.hark("-q x.hk").is(0, "setting\n", "");
}

/// A parent that ignores SIGCHLD passes this on, and then child processes leave no exit status.
#[test]
fn it_does_not_matter_whether_children_were_ignored() {
    let folder = Folder::with("children_ignored", "import(dies, lib, 0);\nfn main() { dies() }\n");
    folder.write(
        "src/lib.py",
        "import os, subprocess\ndef dies(): os._exit(subprocess.run(['sh', '-c', 'exit 7']).returncode)\n",
    );
    let ignore =
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])";
    let mut command = Command::new("python3");
    command.args(["-c", ignore, env!("CARGO_BIN_EXE_hark"), "-q", "x.hk"]).current_dir(folder.path());
    let run = folder.filtered(command.output().unwrap());
    assert!(run.stderr.contains("`lib.dies` did not return: its Python process ended with exit status 7"), "{run:?}");
}

/// This does not depend on whether another import has loaded the module before.
#[test]
fn a_module_of_a_package_is_an_attribute_of_it() {
    let program = "import(t.f, src, 0, a);\nimport(g, src.u, 0, b);\nimport(missing.f, src, 0, c);\n\
                   import(needy.f, src, 0, d);\nfn main() { a() }\nfn after() { [b(), a()] }\nfn no() { c() }\n\
                   fn needs() { d() }\n";
    let folder = Folder::with("a_module_of_a_package", program);
    folder.write("src/__init__.py", "");
    folder.write("src/t.py", "def f():\n    return 1\n");
    folder.write("src/u.py", "import src.t\n\ndef g():\n    return 2\n");
    folder.write("src/needy.py", "import nowhere_at_all\n");
    folder.hark("-q x.hk").is(0, "1\n", "");
    folder.hark("-q x.hk -f after").is(0, "[2, 1]\n", "");
    let said = |function: &str| folder.hark(&format!("-q x.hk -f {function}")).stderr;
    assert!(said("no").contains("the Python module `src` has no `missing`"), "{}", said("no"));
    assert!(said("needs").contains("No module named 'nowhere_at_all'"), "{}", said("needs"));
}

/// Progress is durable while the call is running: `hark show` shows it, and the repeated call after a crash receives
/// it.
#[test]
fn how_far_a_call_is_survives_a_crash() {
    let folder = Folder::with("progress", "import(work, lib, 0);\nfn main() { work() }\n");
    folder.write(
        "src/lib.py",
        "import os, time\nimport hark\n\
         def work():\n    before = hark.last_progress()\n    if before: return before\n    hark.progress({'page': 3})\n    \
         while not os.path.exists('go'): time.sleep(0.01)\n    return 'no crash'\n",
    );
    let run = Beside::start(&folder, "run -s sqlite -q x.hk");
    let progress = || {
        let shown = folder.hark("show --json");
        if shown.status == 0 { shown.json()["threads"][0]["progress"].clone() } else { serde_json::Value::Null }
    };
    wait_until("progress", || progress()["page"] == 3);
    let shown = folder.hark("show").stdout;
    assert!(shown.contains("thread 0 main: calling work, for "), "{shown}");
    assert!(shown.contains(", progress {\"page\": 3}, in main at x.hk:2\n"), "{shown}");
    run.signal("KILL");
    drop(run);
    folder.hark("resume -q").is(0, "{\"page\": 3}\n", "");
    assert!(progress().is_null());
}

/// Its earlier output is stored, even if the call returns immediately.
#[test]
fn a_short_call_that_says_how_far_it_is_keeps_its_output() {
    let folder = Folder::with("progress_and_output", "import(work, lib, 0);\nfn main() { work() }\n");
    folder.write(
        "src/lib.py",
        "import hark\ndef work():\n    print('before')\n    hark.progress(1)\n    print('after')\n    return 2\n",
    );
    folder.hark("run -s sqlite -q x.hk").is(0, "before\nafter\n2\n", "");
    folder.hark("stdout --raw").is(0, "before\nafter\n", "");
}
