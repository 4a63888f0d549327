//! Programs of several files on disk.

use std::fs;
use std::os::unix::fs::symlink;

use crate::harness::Folder;

#[test]
fn every_message_names_the_file_as_the_user_would_write_it() {
    let folder = Folder::new("modules_shown");
    folder.write("app/main.hk", "import \"lib/text.hk\";\nfn main() { text.shout(1) }\n");
    folder.write("app/lib/text.hk", "import \"../../common/util.hk\";\n\nfn shout(x) {\n  util.fail(x)\n}\n");
    folder.write("common/util.hk", "fn fail(x) { nth([x], 9) }\n");
    let trace = "  thread 0, app/main.hk:2, in main\n      fn main() { text.shout(1) }\n  thread 0, app/lib/text.hk:4, in \
                 lib/text.shout\n      util.fail(x)\n  thread 0, common/util.hk:1, in ../common/util.fail\n";
    let run = folder.hark("app/main.hk");
    assert!(run.stderr.contains(trace), "{}", run.stderr);
    assert!(run.stderr.contains("  --> common/util.hk:1:14\n 1 | fn fail(x) { nth([x], 9) }"), "{}", run.stderr);
    // From within the project, and through a symbolic link.
    let within = folder.command(["main.hk"]).current_dir(folder.path().join("app")).output().unwrap();
    let stderr = String::from_utf8(within.stderr).unwrap();
    assert!(stderr.contains("thread 0, lib/text.hk:4, in lib/text.shout"), "{stderr}");
    assert!(stderr.contains("thread 0, ../common/util.hk:1, in ../common/util.fail"), "{stderr}");
    symlink(folder.path().join("app"), folder.path().join("link")).unwrap();
    let linked = folder.hark("link/main.hk");
    assert!(linked.stderr.contains("thread 0, link/lib/text.hk:4, in lib/text.shout"), "{}", linked.stderr);
    let report = folder.hark("run app/main.hk --json").json();
    let files: Vec<&str> =
        report["errors"][0]["trace"].as_array().unwrap().iter().map(|frame| frame["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["app/main.hk", "app/lib/text.hk", "common/util.hk"]);
}

#[test]
fn links_lead_to_the_file_itself() {
    let folder = Folder::new("modules_links");
    folder.write(
        "main.hk",
        "import \"a.hk\";\nimport(\"./lib/../b.hk\", b);\nfn main() { [a.f(), b.f(), a.f == b.f] }\n",
    );
    folder.write("real/a.hk", "import \"near.hk\";\nfn f() { near.g() }\n");
    folder.write("real/near.hk", "fn g() { 7 }\n");
    folder.write("lib/x.hk", "");
    symlink("real/a.hk", folder.path().join("a.hk")).unwrap();
    symlink("a.hk", folder.path().join("b.hk")).unwrap();
    let run = folder.hark("main.hk");
    assert_eq!((run.status, run.stdout.as_str()), (0, "[7, 7, true]\n"), "{}", run.stderr);
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Folder::new("modules_unreadable");
    folder.write("folder.hk/x.hk", "");
    folder.write("latin.hk", b"fn f() {\n \"\xe9\" }");
    symlink("self.hk", folder.path().join("self.hk")).unwrap();
    symlink("gone", folder.path().join("dangling.hk")).unwrap();
    let cases = [
        ("folder.hk", "is a folder, not a file"),
        ("folder.hk/", "is a folder, not a file"),
        ("latin.hk", "is not UTF-8: line 2 has the byte 0xe9, at offset 11"),
        ("self.hk", "is a symbolic link that leads to itself"),
        ("dangling.hk", "does not exist"),
        ("latin.hk/x.hk", "does not exist"),
        (".", "is a folder, not a file"),
        ("/dev/null", "cannot be read: it is not a regular file"),
    ];
    for (path, why) in cases {
        folder.write("main.hk", format!("import(\"{path}\", x);\nfn main() {{ x.f(1) }}\n"));
        let run = folder.hark("check main.hk");
        assert_eq!(run.status, 2, "{path}");
        assert!(run.stderr.contains(why) && run.stderr.contains("(main.hk -> "), "{path}: {}", run.stderr);
        assert!(
            run.stderr.contains("main.hk:1:8") && run.stderr.ends_with("main.hk: 1 error\n"),
            "{path}: {}",
            run.stderr
        );
    }
}

#[test]
fn check_looks_into_modules() {
    let folder = Folder::new("modules_checked");
    folder.write("main.hk", "import \"lib/m.hk\";\nfn main() { m.f() }\n");
    folder.write("lib/m.hk", "import(dumps, json, 9);\nimport(lods, json, 1);\nfn f() { spare = 1; lods(dumps()) }\n");
    let run = folder.hark("check main.hk");
    assert_eq!(run.status, 0);
    for part in ["`spare` is never read", "--> lib/m.hk:3:10", "has no `lods`", "--> lib/m.hk:2:1"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    folder.write("lib/m.hk", "fn f() { [ }\n");
    let report = folder.hark("check main.hk --json").json();
    assert_eq!(report["diagnostics"][0]["file"], "lib/m.hk");
    assert_eq!(report["status"], "rejected");
}

#[test]
fn a_session_has_its_modules_with_it() {
    let folder = Folder::new("modules_kept");
    folder.write("main.hk", "import \"m.hk\";\nfn main() { m.fail_later(0) }\n");
    folder.write("m.hk", "fn fail_later(x) {\n  sleep(0.01);\n  nth([], x)\n}\n");
    let id = folder.hark("run -s sqlite --detach main.hk").stdout.trim().to_owned();
    fs::remove_file(folder.path().join("m.hk")).unwrap();
    let run = folder.hark("resume");
    assert!(run.stderr.contains("thread 0, m.hk:3, in m.fail_later\n      nth([], x)\n"), "{run:?}");
    let shown = folder.hark(&format!("show {id}"));
    assert!(shown.stdout.contains(" --> m.hk:3:3\n 3 |   nth([], x)\n"), "{shown:?}");
}

#[test]
fn only_the_main_programs_functions_are_offered_to_the_command_line() {
    let folder = Folder::new("modules_entry");
    folder.write("main.hk", "import \"m.hk\";\nfn begin() { m.f() }\n");
    folder.write("m.hk", "fn f() { 1 }\n");
    assert!(folder.hark("main.hk").stderr.contains("hint: the functions are: begin\n"));
}
