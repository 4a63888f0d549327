//! The warnings of `hark check` about imported Python functions.

use crate::harness::Folder;

const LIB: &str = "raise RuntimeError('it is only read')\ndef area(width, height): pass\ndef scale(x, *, by): pass\n\
                   def text(x, width=3): pass\ndef record(data, /): pass\nnumber = 3\n";

fn folder(test: &str, program: &str) -> Folder {
    let folder = Folder::with(test, program);
    folder.write("src/lib.py", LIB);
    folder
}

/// Each warning as `code line:column message (hint)`.
fn warnings(folder: &Folder, line: &str) -> Vec<String> {
    let run = folder.hark(line);
    assert_eq!(run.status, 0, "{run:?}");
    let report = run.json();
    assert_eq!(report["status"], "accepted");
    let told = report["diagnostics"].as_array().unwrap().iter().map(|each| {
        assert_eq!(each["severity"], "warning");
        let [code, message, hint] = ["code", "message", "hint"].map(|key| each[key].as_str().unwrap_or_default());
        let hint = hint.split(" and in the folders").next().unwrap();
        let text = format!("{code} {}:{} {message} ({hint})", each["line"], each["column"]);
        text.replace(&folder.path().display().to_string(), "[FOLDER]")
    });
    told.collect()
}

#[track_caller]
fn check(test: &str, program: &str, expected: &[&str]) {
    let folder = folder(test, program);
    assert_eq!(warnings(&folder, "check --json x.hk"), expected);
    assert_eq!(warnings(&folder, "check --json --no-python x.hk"), Vec::<String>::new());
}

#[test]
fn what_is_missing_is_warned_about() {
    let program = "import(area, lib, 2);\nimport(aera, lib, 2);\nimport(f, lob, 1);\nimport(number, lib, 0);\n\
                   import(load, yaml_of_old, 1);\nimport(g, src.lib.part, 0);\nfn main() { area(1, 2) }\n";
    let expected = [
        "HK0027 2:1 the Python module `lib` has no `aera` (did you mean `area`?)",
        "HK0027 3:1 there is no Python module `lob` (did you mean `lib`?)",
        "HK0027 4:1 `lib.number` is not callable, but a value of type int ()",
        "HK0027 5:1 there is no Python module `yaml_of_old` (`requirements.txt` lists `yaml-of-old`, and `hark sync` installs it)",
        "HK0027 6:1 there is no Python module `src.lib.part` (it was searched for in the project)",
    ];
    let test = folder("what_is_missing_is_warned_about", program);
    test.write("requirements.txt", "yaml-of-old\n");
    assert_eq!(warnings(&test, "check --json x.hk"), expected);
    test.write("src/lib.py", "def f(:\n");
    let found = warnings(&test, "check --json x.hk");
    assert_eq!(found[0], "HK0027 1:1 `lib` cannot be loaded: invalid syntax (see line 1 of src/lib.py)");
}

#[test]
fn arguments_are_held_against_the_definition() {
    let program = "import(area, lib, 3);\nimport(area, lib, 1, area1);\nimport(scale, lib, 2);\n\
                   #[kwargs] import(scale, lib, 2, scale2);\n#[kwargs] import(record, lib, 2);\nimport(text, lib, 2);\n\
                   import(area, lib, 2, area2);\n#[kwargs] import(area, lib, 3, area3);\n\
                   fn main(x) {\n  text(x); area2(1);\n  async area2(); area3({\"width\": 1});\n  scale2(1, {\"by\": 2})\n}\n\
                   fn other(area2) { area2(1) }\n";
    let defined = "it is `area(width, height)`, in line 2 of src/lib.py";
    let expected = [
        format!("HK0028 1:1 `lib.area` takes 2 arguments, but is imported with 3 ({defined})"),
        format!("HK0028 2:1 `lib.area` takes 2 arguments, but is imported with 1 ({defined})"),
        "HK0028 3:1 `lib.scale` needs the keyword argument `by` (write `#[kwargs]` before the import, and give it a hash as \
         the last argument)"
            .to_owned(),
        "HK0028 5:11 `lib.record` takes no keyword arguments (it is `record(data, /)`, in line 5 of src/lib.py)".to_owned(),
        format!("HK0028 10:12 `lib.area` takes 2 arguments, but is called with 1 ({defined})"),
        format!("HK0028 11:3 `lib.area` takes 2 arguments, but is called with 0 ({defined})"),
        format!("HK0028 11:18 `lib.area` needs the argument `height` ({defined})"),
    ];
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check("arguments_are_held_against_the_definition", program, &expected);
}

/// The keywords of a hash literal are known, those of any other value are not.
#[test]
fn keyword_arguments_are_held_against_the_definition() {
    let lib = "def opt(a, *, k): pass\ndef two(a, b): pass\ndef first(a, /, b=1, **more): pass\n";
    let program = "#[kwargs] import(opt, keys, 2);\n#[kwargs] import(two, keys, 3);\n#[kwargs] import(first, keys, 3);\n\
                   fn wrong(x) {\n opt();\n opt(1);\n async opt(1, {\"q\": 1});\n opt(1, {});\n two();\n two(1, {\"zz\": 2});\n \
                   two(1, {\"a\": 2});\n two({\"a\": [x + 1]});\n first({\"a\": 1});\n two(1, 2, 3);\n \
                   opt(x, {\"k\": 1});\n opt(x, {\"k\": first(x), \"l\": 1})\n}\n\
                   fn right(x, c) {\n opt({\"a\": 1, \"k\": x + 1}); opt(x); opt(1, x); opt(1, {x: 1}); opt(1, {\"k\": await x});\n \
                   opt(if (c) { x } else { 1 }); opt(1, if (c) { x } else { {} }); opt(1, hash(\"k\", 1)); two(x); two(1, {\"b\": 2});\n \
                   two({\"b\": 1}, 2, {}); opt(1, {\"k\": if (c) { 1 } else { 2 }}); first(1, {\"a\": 1, \"z\": 2})\n}\n\
                   fn shadowed(opt, hash) { opt(1); two(1, hash(\"zz\", 2)) }\nfn main() { 1 }\n";
    let folder = Folder::with("keyword_arguments_are_held", program);
    folder.write("src/keys.py", lib);
    let found: Vec<String> = warnings(&folder, "check --json x.hk")
        .iter()
        .map(|warning| warning.split_once(" (it is").unwrap().0.replace("HK0028 ", "").replace("`keys.", "`"))
        .collect();
    let expected = [
        "5:2 `opt` takes 1 argument, but is called with 0",
        "6:2 `opt` needs the keyword argument `k`",
        "7:2 `opt` takes no keyword argument `q`",
        "8:2 `opt` needs the keyword argument `k`",
        "9:2 `two` takes 2 arguments, but is called with 0",
        "10:2 `two` takes no keyword argument `zz`",
        "11:2 `two` gets the argument `a` twice",
        "12:2 `two` needs the argument `b`",
        "13:2 `first` needs the argument `a`",
        "14:2 `two` takes 2 arguments, but is called with 3",
        "16:2 `opt` takes no keyword argument `l`",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_warning_has_its_place_and_changes_no_status() {
    let folder = folder("a_warning_has_its_place", "import(area, lib, 2);\nfn main() {\n  area(1)\n}\n");
    let told = "warning[HK0028]: `lib.area` takes 2 arguments, but is called with 1\n  --> x.hk:3:3\n";
    let run = folder.hark("check x.hk");
    assert!(run.status == 0 && run.stderr.starts_with(told), "{run:?}");
    assert!(run.stderr.contains("\n   |   ^^^^^^^\n"), "{run:?}");
    assert!(run.stderr.ends_with("x.hk: 1 warning\n"), "{run:?}");
    // `hark run` does not check this, and a rejected program is not checked.
    assert!(!folder.hark("x.hk").stderr.contains("HK0028"));
    folder.write("x.hk", "import(aera, lib, 2);\nfn main() { nope }\n");
    assert!(!folder.hark("check x.hk").stderr.contains("HK0027"));
}

#[test]
fn without_an_interpreter_it_says_so_once() {
    let folder =
        folder("without_an_interpreter_it_says_so", "import(area, lib, 2);\nimport(f, lib, 1);\nfn main() { 1 }\n");
    folder.write("hark.toml", "[project]\npython = 'nowhere'\n");
    let expected = "HK0027 1:1 the imported functions were not checked: the Python interpreter `nowhere` (from `python` in \
                    hark.toml) does not exist (set `python` in hark.toml; `--no-python` skips this check)";
    assert_eq!(warnings(&folder, "check --json x.hk"), [expected]);
    assert_eq!(warnings(&folder, "check --json --no-python x.hk"), Vec::<String>::new());
}

/// The examples in the pages cause the warnings that the pages explain.
#[test]
fn the_pages_examples_are_warned_about() {
    let folder = Folder::new("the_pages_examples_are_warned_about");
    for code in ["HK0027", "HK0028"] {
        let page = folder.hark(&format!("explain {code}")).stdout;
        let (_, rest) = page.split_once("```hark\n").unwrap();
        folder.write("x.hk", rest.split_once("```").unwrap().0);
        let found = warnings(&folder, "check --json x.hk");
        assert!(found.len() == 1 && found[0].starts_with(code), "{found:?}");
    }
}
