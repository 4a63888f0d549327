//! Finding a project, and its settings.

use std::fs;

use crate::harness::Folder;

#[test]
fn a_new_project_runs() {
    let folder = Folder::new("a_new_project_runs");
    let said = "created hark.toml\ncreated service.hk\ncreated src/__init__.py\ncreated requirements.txt\ncreated .gitignore\n";
    folder.hark("init").is(0, &format!("{said}\nnext: hark\n"), "");
    folder.hark("-q").is(0, "HELLO, WORLD!\nHELLO, HARK!\n", "");
    folder.hark("check").is(0, "", "service.hk: no errors\n");
    assert!(folder.read("hark.toml").contains("\n# hark_file = \"service.hk\"\n"));
    // A folder whose name looks like an option, or that is a file.
    let dashed = folder.run(["init", "--", "-x y"]);
    assert!(dashed.stdout.ends_with("\nnext: cd './-x y' && hark\n"), "{dashed:?}");
    folder.write("plain", "");
    folder.hark("init plain").is(2, "", "error: `plain` is not a folder\n");
    folder.hark("init one/two").is(0, &format!("{said}\nnext: cd one/two && hark\n"), "");
    assert!(folder.path().join("one/two/src/__init__.py").is_file());
}

#[test]
fn init_keeps_what_is_there() {
    let folder = Folder::new("init_keeps_what_is_there");
    folder.write("service.hk", "mine");
    folder.write("src/__init__.py", "mine too");
    let said = "created hark.toml\nkept    service.hk\nkept    src/__init__.py\ncreated requirements.txt\ncreated .gitignore\n";
    folder.hark("init").is(0, &format!("{said}\nnext: hark\n"), "");
    assert_eq!((folder.read("service.hk").as_str(), folder.read("src/__init__.py").as_str()), ("mine", "mine too"));
    folder.hark("init -q").is(0, "", "");
}

#[test]
fn the_nearest_settings_above_the_file_count() {
    let folder = Folder::new("the_nearest_settings");
    folder.write("hark.toml", "[project]\nhark_file = 'other.hk'\npython_src = 'py'\n");
    folder.write("other.hk", "fn main() { \"other\" }");
    folder.write("deep/er/x.hk", "import(who, where, 0);\nfn main() { who() }");
    folder.write("py/where.py", "def who(): return 'from py'");
    folder.write("deep/where.py", "def who(): return 'from deep'");
    folder.hark("-q").is(0, "other\n", "");
    folder.hark("-q deep/er/x.hk").is(0, "from py\n", "");

    let deep = folder.command(["-q", "x.hk"]).current_dir(folder.path().join("deep/er")).output().unwrap();
    assert_eq!(folder.filtered(deep).stdout, "from py\n");
    let deep = folder.command(["-q"]).current_dir(folder.path().join("deep/er")).output().unwrap();
    assert_eq!(folder.filtered(deep).stdout, "other\n");

    folder.write("deep/hark.toml", "[project]\npython_src = '.'\n");
    folder.hark("-q deep/er/x.hk").is(0, "from deep\n", "");
    folder.hark("-q --config hark.toml deep/er/x.hk").is(0, "from py\n", "");
}

#[test]
fn without_settings_the_files_folder_is_the_project() {
    let folder = Folder::new("without_settings");
    folder.write("a/x.hk", "import(who, where, 0);\nfn main() { who() }");
    folder.write("a/src/where.py", "def who(): return 'src'");
    folder.hark("-q a/x.hk").is(0, "src\n", "");
    fs::rename(folder.path().join("a/src/where.py"), folder.path().join("a/where.py")).unwrap();
    folder.hark("-q a/x.hk").is(0, "src\n", "");
}

#[test]
fn nothing_to_run_says_what_could_be_done() {
    let folder = Folder::new("nothing_to_run");
    folder.write("hark.toml", "");
    folder.hark("").is(
        2,
        "",
        "error: no FILE given, and there is no `service.hk` in [FOLDER]\n\
         hint: `hark FILE` runs a program, `hark init` creates a new project, `hark -h` shows all commands\n",
    );
}

#[test]
fn unknown_settings_are_warned_about() {
    let folder = Folder::with("unknown_settings", "fn main() { 1 }");
    folder.write("hark.toml", "[project]\nhark_fil = 'x.hk'\n[instance]\nlambda_memory = 128\n");
    let warning = "warning: unknown setting `hark_fil` in `[project]`\n  --> hark.toml:2:1\n 2 | hark_fil = 'x.hk'\n\
                   \x20  | ^^^^^^^^\nhint: did you mean `hark_file`?\n1 warning\n";
    folder.hark("x.hk").is(0, "1\n", &format!("{warning}-- [TIME]\n"));
    folder.hark("-q x.hk").is(0, "1\n", "");
    assert_eq!(folder.hark("--json x.hk").json()["status"], "finished");
}

#[test]
fn wrong_settings_are_errors() {
    let folder = Folder::with("wrong_settings", "fn main() { 1 }");
    folder.write("hark.toml", "[python]\nworkers = 'many'\n");
    let error = "error: `workers` must be an integer, not a string\n  --> hark.toml:2:11\n 2 | workers = 'many'\n\
                 \x20  |           ^^^^^^\n1 error\n";
    folder.hark("x.hk").is(2, "", error);
    assert_eq!(folder.hark("x.hk --json").json()["status"], "rejected");
    folder.hark("x.hk --config no.toml").is(2, "", "error: there is no file `no.toml`\n");
    folder.write("hark.toml", "[project\n");
    assert!(folder.hark("x.hk").stderr.contains("--> hark.toml:1:9\n"));
}
