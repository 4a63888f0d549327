//! `hark sync`: a virtual environment from the requirements file, without a network.

use std::fs;
use std::process::Command;

use crate::harness::{Beside, Folder, Run, wait_until};

const PROGRAM: &str = "import(who, lib, 0);\nfn main() { who() }\n";

/// Creates a wheel by hand: building one would need packages from the network.
const MAKE_WHEEL: &str = "
import sys, zipfile
name, version, text = sys.argv[1:]
info = '%s-%s.dist-info/' % (name, version)
with zipfile.ZipFile('%s-%s-py3-none-any.whl' % (name, version), 'w') as wheel:
    wheel.writestr(name + '.py', text)
    wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: %s\\nVersion: %s\\n' % (name, version))
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: by hand\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    wheel.writestr(info + 'RECORD', '')
";

/// A project with a program that needs the package `greeting`, and a `PATH` with only `python3`.
fn project(test: &str) -> Folder {
    let folder = Folder::with(test, PROGRAM);
    folder.write("src/lib.py", "def who():\n    import greeting, sys\n    return [greeting.WHO, sys.prefix]\n");
    let python = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap().stdout;
    let python = String::from_utf8(python).unwrap();
    folder.write_script("path/python3", &format!("#!/bin/sh\nexec {} \"$@\"\n", python.trim()));
    folder
}

fn make_wheel(folder: &Folder, version: &str, who: &str) {
    let text = format!("WHO = '{who}'\n");
    let mut make = Command::new("python3");
    make.args(["-c", MAKE_WHEEL, "greeting", version, &text]).current_dir(folder.path());
    assert!(make.status().unwrap().success());
}

fn command(folder: &Folder, line: &str) -> Command {
    let mut command = folder.command(line.split_whitespace());
    command.env("PATH", folder.path().join("path")).env("PIP_CONFIG_FILE", "/dev/null").env("PIP_RETRIES", "1");
    for name in ["PIP_NO_INDEX", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_USER"] {
        command.env_remove(name);
    }
    command
}

#[track_caller]
fn hark(folder: &Folder, line: &str) -> Run {
    folder.filtered(command(folder, line).output().unwrap())
}

#[test]
fn an_environment_is_made_and_used() {
    let folder = project("an_environment_is_made_and_used");
    make_wheel(&folder, "1.0", "one");
    make_wheel(&folder, "2.0", "two");
    folder.write("requirements.txt", "--no-index\n--find-links .\ngreeting==1.0\n");
    let missing = hark(&folder, "-q x.hk");
    let told = "; `requirements.txt` lists `greeting`, and `hark sync` installs it\n";
    assert!(missing.status == 1 && missing.stderr.contains(told), "{missing:?}");

    let first = hark(&folder, "sync");
    assert_eq!(first.status, 0, "{first:?}");
    let lines: Vec<&str> = first.stdout.lines().collect();
    assert!(lines[0].starts_with("creating .venv with Python 3.") && lines[0].ends_with(" (`python3` on `PATH`)"));
    let rest = ["installing the packages of requirements.txt with pip", ".venv is up to date; `hark` uses it"];
    assert_eq!(lines[1..], rest);
    let used = "[\"one\", \"[FOLDER]/.venv\"]\n";
    hark(&folder, "-q x.hk").is(0, used, "");
    // It takes precedence over an active environment.
    let active = command(&folder, "-q x.hk").env("VIRTUAL_ENV", folder.path().join("nowhere")).output().unwrap();
    folder.filtered(active).is(0, used, "");

    // A second run has nothing to do.
    let again = hark(&folder, "sync");
    assert_eq!((again.status, again.stdout.lines().collect::<Vec<_>>()), (0, rest.to_vec()), "{again:?}");
    folder.write("requirements.txt", "--no-index\n--find-links .\ngreeting>1\n");
    hark(&folder, "sync -q").is(0, "", "");
    hark(&folder, "-q x.hk").is(0, &used.replace("one", "two"), "");

    // A failed installation leaves the environment unchanged.
    for (text, gist, hint) in [
        ("--no-index\ngreeting==9", "No matching distribution found for greeting==9", "there is no such package, or "),
        ("no such thing", "Invalid requirement", "a line of `requirements.txt` must name a package: "),
        (
            "--index-url http://127.0.0.1:1/simple\nnothing_like_it",
            "No matching distribution found for nothing_like_it",
            "the package index cannot be reached",
        ),
    ] {
        folder.write("requirements.txt", format!("{text}\n"));
        let failed = hark(&folder, "sync -q");
        let told = format!("error: the packages of `requirements.txt` cannot be installed: {gist}");
        assert!(failed.status == 1 && failed.stderr.starts_with(&told), "{text}: {failed:?}");
        assert!(failed.stderr.contains(&format!("\nhint: {hint}")), "{text}: {failed:?}");
    }
    hark(&folder, "-q x.hk").is(0, &used.replace("one", "two"), "");
}

/// The requirements file written by `hark init` lists no packages.
#[test]
fn a_new_project_can_be_synced() {
    let folder = project("a_new_project_can_be_synced");
    assert_eq!(hark(&folder, "init -q new").status, 0);
    let run = folder.filtered(command(&folder, "sync -q").current_dir(folder.path().join("new")).output().unwrap());
    run.is(0, "", "");
    assert!(folder.path().join("new/.venv/bin/python").exists());
}

#[test]
fn what_is_needed_first_is_said() {
    let folder = project("what_is_needed_first_is_said");
    let no_file = "error: there is no `requirements.txt` in [FOLDER]\n\
                   hint: list the packages in it, one per line; `python_requirements` in hark.toml names another file\n";
    hark(&folder, "sync").is(2, "", no_file);
    folder.write("needs.txt", "");
    folder.write_script("old", "#!/bin/sh\necho 3.7.9\n");
    let hint = "hint: set `python` in hark.toml to a Python of version 3.8 or later\n";
    for (python, problem) in [
        ("./old", "`[FOLDER]/./old` (from `python` in hark.toml) is Python 3.7.9"),
        ("nowhere", "`nowhere` (from `python` in hark.toml) does not exist"),
        ("/bin/true", "`/bin/true` (from `python` in hark.toml) is not a working Python"),
    ] {
        folder.write("hark.toml", format!("[project]\npython = '{python}'\npython_requirements = 'needs.txt'\n"));
        hark(&folder, "sync").is(2, "", &format!("error: the Python interpreter {problem}\n{hint}"));
    }
    assert!(!folder.path().join(".venv").exists());
    // An environment that `hark sync` did not create is not deleted.
    folder.write("hark.toml", "[project]\npython_requirements = 'needs.txt'\n");
    folder.write_script(".venv/bin/python", "#!/bin/sh\necho 3.7.9\n");
    let run = hark(&folder, "sync");
    assert!(run.status == 2 && run.stderr.starts_with("error: `.venv` has Python 3.7.9, but the project needs 3."));
    assert!(run.stderr.ends_with("\nhint: `hark sync --clear` creates it again\n"), "{run:?}");
}

/// A stand-in for `uv` that records its arguments, and creates a minimal environment.
const UV: &str = "#!/bin/sh
echo \"$PWD: $*\" >> \"${0%/*}/../told\"
case \"$1\" in
venv) /bin/mkdir -p .venv/bin; echo '#!/bin/sh' > .venv/bin/python; echo 'exec python3 \"$@\"' >> .venv/bin/python
  /bin/chmod +x .venv/bin/python;;
pip) if [ -f wait ]; then : > waiting; exec /bin/sleep 60; fi;;
esac
";

#[test]
fn uv_is_used_if_it_is_there() {
    let folder = project("uv_is_used_if_it_is_there");
    folder.write_script("path/uv", UV);
    folder.write("requirements.txt", "");
    folder.write("hark.toml", "[project]\npython = 'python3'\n");
    let run = hark(&folder, "sync");
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("\ninstalling the packages of requirements.txt with uv\n"), "{run:?}");
    let told = folder.read("told").replace(&folder.path().display().to_string(), "[FOLDER]");
    let expected = [
        "--version",
        "venv --clear --python python3 [FOLDER]/.venv",
        "pip install --python [FOLDER]/.venv/bin/python -r requirements.txt",
    ];
    assert_eq!(told, expected.map(|line| format!("[FOLDER]: {line}\n")).concat());
    folder.write("src/lib.py", "import os\ndef who(): return 1\n");
    hark(&folder, "-q x.hk").is(0, "1\n", "");
    // The environment created for a setting of `python` is used with that setting only.
    assert_eq!(folder.read(".venv/.hark-sync"), "python3");
    folder.write("hark.toml", "[project]\npython = 'nowhere'\n");
    assert!(hark(&folder, "-q x.hk").stderr.contains("the Python interpreter `nowhere` does not exist"));
}

#[test]
fn a_signal_ends_the_tool_too() {
    let folder = project("a_signal_ends_the_tool_too");
    folder.write_script("path/uv", UV);
    folder.write("requirements.txt", "");
    folder.write("wait", "");
    let beside = Beside::start_command(command(&folder, "sync"));
    wait_until("the installation", || folder.path().join("waiting").exists());
    beside.signal("TERM");
    // Its pipes are closed when the tool has ended, too.
    let run = beside.ended(&folder);
    assert_eq!((run.status, run.stderr.as_str()), (143, ""), "{run:?}");
    assert!(!folder.path().join(".venv/.hark-sync").exists());
    fs::remove_file(folder.path().join("wait")).unwrap();
    assert_eq!(hark(&folder, "sync -q").status, 0);
}
