//! Files that are not programs, and invalid programs. None may hang, panic or overflow a stack.

use crate::harness::{Folder, Run};

#[test]
fn files_that_cannot_be_read() {
    let folder = Folder::new("files_that_cannot_be_read");
    folder.hark("no.hk").is(2, "", "error: there is no file `no.hk`\n");
    folder.hark("chekc").is(2, "", "error: there is no file `chekc`\nhint: did you mean the command `hark check`?\n");
    folder.hark(".").is(2, "", "error: `.` is a folder, not a file\n");
    folder.write("hark.toml", "");
    folder.hark("Ada").is(
        2,
        "",
        "error: there is no file `Ada`\nhint: FILE comes before the arguments: `hark FILE Ada`\n",
    );
    folder.write("project/hark.toml", "");
    folder.hark("project").is(
        2,
        "",
        "error: `project` is a folder, not a file\nhint: `cd project && hark` runs that project\n",
    );
    folder.write("bad.hk", b"fn main() {\n  \"\xff\" }");
    folder.hark("bad.hk").is(
        2,
        "",
        "error: `bad.hk` is not UTF-8: line 2 has the byte 0xff, at offset 15\n\
         hint: save the file with the encoding UTF-8\n",
    );
    for command in ["run", "asm", "check"] {
        let report = folder.hark(&format!("{command} --json no.hk"));
        assert_eq!((report.status, &report.json()["status"]), (2, &"rejected".into()), "{command}");
        assert_eq!(report.json()["diagnostics"][0]["message"], "there is no file `no.hk`");
        assert_eq!(report.stderr, "error: there is no file `no.hk`\n");
    }
}

#[test]
fn an_empty_program_is_fine_but_cannot_run() {
    let folder = Folder::with("an_empty_program", "");
    folder.hark("check x.hk").is(0, "", "x.hk: no errors\n");
    assert_eq!(folder.hark("asm x.hk").status, 0);
    assert_eq!(folder.hark("x.hk").status, 2);
}

/// The program is rejected, and the drawing fits on a screen.
#[track_caller]
fn is_rejected(run: &Run) {
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("error[") && run.stderr.contains("--> x.hk:"), "{}", run.stderr);
    assert!(run.stderr.len() < 100_000, "{} bytes of diagnostics", run.stderr.len());
    assert!(run.stderr.lines().all(|line| line.chars().count() < 400), "a line is too long");
}

#[test]
fn ten_megabytes_of_parentheses_are_rejected() {
    let folder = Folder::with("ten_megabytes_of_parentheses", &"(".repeat(10_000_000));
    is_rejected(&folder.hark("x.hk"));
    folder.write("x.hk", format!("fn main() {{ {}", "(".repeat(10_000_000)));
    is_rejected(&folder.hark("x.hk"));
    folder.write("x.hk", format!("fn main() {{ {} 1 }}", "[".repeat(1_000_000)));
    is_rejected(&folder.hark("x.hk"));
}

#[test]
fn large_programs_run() {
    let functions: String = (0..100_000).map(|number| format!("fn f{number}(x) {{ x + {number} }}\n")).collect();
    let folder = Folder::with("large_programs_run", &format!("{functions}fn main() {{ f99999(1) }}\n"));
    folder.hark("x.hk -q").is(0, "100000\n", "");

    let parameters: Vec<String> = (0..10_000).map(|number| format!("p{number}")).collect();
    folder.write("x.hk", format!("fn f({}) {{ [{}] }}\n", parameters.join(", "), parameters.join(", ")));
    let run = folder.hark("x.hk -f f");
    assert!(run.stderr.contains("and 9980 more)` takes 10000 arguments, but 0 were given"), "{run:?}");
    let words: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    let run = folder.run(["x.hk", "-q", "-f", "f"].into_iter().chain(words.iter().map(String::as_str)));
    assert_eq!(run.status, 0);
    assert!(run.stdout.ends_with("\"9999\"]\n"));

    folder.write("x.hk", format!("fn main() {{ length(\"{}\") }}\n", "x".repeat(50_000_000)));
    folder.hark("x.hk -q").is(0, "50000000\n", "");
}

#[test]
fn a_mistake_in_a_line_of_fifty_megabytes_is_shown() {
    let text = "x".repeat(50_000_000);
    let folder = Folder::with("a_mistake_in_a_long_line", &format!("fn main() {{ nothing(\"{text}\"); nowhere }}\n"));
    is_rejected(&folder.hark("x.hk"));
}

#[test]
fn many_mistakes_are_all_shown() {
    let folder = Folder::with("many_mistakes_are_all_shown", &"fn f() { x } ".repeat(20_000));
    let run = folder.hark("check --json x.hk");
    assert_eq!(run.status, 2);
    // Every `x`, and every `f` except the first.
    assert_eq!(run.json()["diagnostics"].as_array().unwrap().len(), 39_999);
    let run = folder.hark("x.hk");
    assert_eq!(run.status, 2);
    assert!(run.stderr.ends_with("\n39999 errors\n"));
    assert!(run.stderr.len() < 39_999 * 500, "{} bytes of diagnostics", run.stderr.len());
}
