//! `--json`

use serde_json::json;

use crate::harness::Folder;

#[test]
fn a_finished_session() {
    let folder = Folder::with("a_finished_session", "fn main() { print(\"hi\"); [1, 2.0, null] }");
    let run = folder.hark("x.hk --json");
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let report = run.json();
    let names: Vec<&String> = report.as_object().unwrap().keys().collect();
    assert_eq!(names, ["session", "status", "result", "output", "errors", "diagnostics"]);
    assert_eq!(report["session"].as_str().unwrap().len(), 36);
    assert_eq!(report["status"], "finished");
    assert_eq!(report["result"], json!([1, 2.0, null]));
    assert_eq!(report["output"][0]["thread"], 0);
    assert_eq!(report["output"][0]["text"], "hi\n");
    let time = report["output"][0]["time"].as_str().unwrap();
    assert_eq!((time.len(), &time[10..11], &time[26..]), (27, "T", "Z"));
    assert_eq!((&report["errors"], &report["diagnostics"]), (&json!([]), &json!([])));
}

#[test]
fn a_broken_session() {
    let folder = Folder::with("a_broken_session", "fn main() { await async bad(1) }\nfn bad(x) {\n  first([])\n}\n");
    let run = folder.hark("x.hk --json");
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    let report = run.json();
    assert_eq!((&report["status"], &report["result"]), (&"broken".into(), &json!(null)));
    let error = &report["errors"][0];
    assert_eq!(error["thread"], 1);
    let frame = |index: usize| {
        let frame = &error["trace"][index];
        (frame["thread"].as_u64(), frame["function"].as_str(), frame["file"].as_str(), frame["line"].as_u64())
    };
    assert_eq!(frame(0), (Some(0), Some("main"), Some("x.hk"), Some(1)));
    assert_eq!(frame(1), (Some(1), Some("bad"), Some("x.hk"), Some(3)));
}

#[test]
fn a_rejected_program() {
    let folder = Folder::with("a_rejected_program", "fn main() {\n  y\n}\n");
    let run = folder.hark("x.hk --json");
    assert_eq!(run.status, 2);
    let report = run.json();
    assert_eq!((&report["status"], &report["session"]), (&"rejected".into(), &json!(null)));
    assert_eq!((&report["output"], &report["errors"]), (&json!([]), &json!([])));
    let diagnostic = &report["diagnostics"][0];
    assert_eq!((&diagnostic["line"], &diagnostic["column"]), (&json!(2), &json!(3)));
    assert!(diagnostic["code"].as_str().unwrap().starts_with("HK"));
}

#[test]
fn warnings_stand_among_the_diagnostics() {
    let folder = Folder::with("warnings_stand", "fn main() { x = 1; 2 }");
    let run = folder.hark("x.hk --json");
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert_eq!(run.json()["diagnostics"][0]["severity"], "warning");
    let text = folder.hark("x.hk");
    assert_eq!((text.status, text.stdout.as_str()), (0, "2\n"));
    assert!(text.stderr.starts_with("warning[") && text.stderr.ends_with("\n1 warning\n-- [TIME]\n"), "{text:?}");
    folder.hark("-q x.hk").is(0, "2\n", "");
}

/// The result in the report of `fn main() { value }`.
fn result_of(folder: &Folder, value: &str) -> String {
    folder.write("x.hk", format!("fn main() {{ {value} }}\nfn seven() {{ 7 }}\n"));
    let run = folder.hark("x.hk --json");
    assert_eq!(run.status, 0, "{run:?}");
    let start = run.stdout.find("\"result\": ").unwrap() + "\"result\": ".len();
    run.stdout[start..run.stdout.find(", \"output\": ").unwrap()].to_owned()
}

#[test]
fn every_value_has_a_form() {
    let folder = Folder::new("every_value_has_a_form");
    let check = |value: &str, form: &str| assert_eq!(result_of(&folder, value), form, "{value}");
    check("1e308 * 10", "Infinity");
    check("[1e308 * -10, 1e308 * 10 - 1e308 * 10]", "[-Infinity, NaN]");
    check("100000000000000000000 * 100000000000000000000", "10000000000000000000000000000000000000000");
    check("1e16", "1e+16");
    check("[main, first, lambda (x) { x }]", "[\"<fn main>\", \"<fn first>\", \"<fn lambda>\"]");
    check("[async seven()]", "[\"<future 1>\"]");
    check("{\"a\": {1: [], \"b\": 2}, \"c\": {}}", "{\"a\": [[1, []], [\"b\", 2]], \"c\": {}}");
    check("\"\\x00\\\"é\"", "\"\\u0000\\\"é\"");
}

#[test]
fn depth_has_no_limit() {
    let program = "fn deep(n, acc) { if n == 0 { acc } else { deep(n - 1, [acc, {\"k\": acc}]) } }\n\
                   fn nest(n, acc) { if n == 0 { acc } else { nest(n - 1, {\"k\": [acc]}) } }\nfn main() { nest(500000, 1) }\n";
    let folder = Folder::with("depth_has_no_limit", program);
    let run = folder.hark("x.hk --json");
    assert_eq!(run.status, 0);
    assert!(run.stdout.len() > 4_000_000);
    assert_eq!(folder.hark("-q x.hk").stdout.len(), 500_000 * 9 + 2);
}

#[test]
fn threads_are_written_down_and_read_back_on_the_way() {
    let program = "fn grow(n) { if n == 0 { 1 } else { a = async grow(n - 1); b = async grow(n - 1); await a + await b } }\n\
                   fn main() { print(\"x\"); sleep(0.01); grow(5) }";
    let folder = Folder::with("threads_are_written_down", program);
    for mode in ["effects", "instructions", "instructions --seed 7"] {
        folder.hark(&format!("-q x.hk --suspend-at {mode}")).is(0, "x\n32\n", "");
    }
    assert_eq!(folder.hark("x.hk --suspend-at nowhere").status, 2);
}
