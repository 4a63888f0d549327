//! `hark timeline -o`: which file is written, and that no text of a session gets out of its place in it. What the page
//! does in a browser is tested there: `tests/browser.py`.

use serde_json::{Value, json};

use crate::harness::Folder;

const PROGRAM: &str = "fn main(a) { b = async echo(a); await b; error(a) }\nfn echo(a) { a }\n";

const HOSTILE: &str = "</script><script>alert(1)</script><!-- {{script}} \" ' & \u{2028}\u{202e}שלום";

/// A folder with a session that broke, whose texts are hostile.
fn folder(test: &str) -> Folder {
    let folder = Folder::with(test, PROGRAM);
    assert_eq!(folder.run(["run", "-q", "-s", "sqlite", "x.hk", HOSTILE]).status, 1);
    folder
}

/// What a page has for its script.
fn data_of(page: &str) -> (&str, Value) {
    let (_, rest) = page.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    (data, serde_json::from_str(data).unwrap())
}

#[test]
fn a_page_holds_any_text_in_its_place() {
    let folder = folder("a_page_holds_any_text");
    folder.hark("timeline -o page.html").is(0, "", "");
    let page = folder.read("page.html");
    let (text, data) = data_of(&page);
    assert!(!text.contains('<') && !text.contains('\u{2028}') && !text.contains('\u{202e}'), "{text}");
    assert_eq!((page.matches("<script").count(), page.matches("<style").count()), (2, 1));
    let shown = "echo(\"</script><script>alert(1)</script><!-- {{script}} \\\" ' & \\u{2028}\\u{202e}שלום\")";
    let threads = data["threads"].as_array().unwrap();
    assert_eq!((threads.len(), &threads[1]["call"], &threads[1]["end"]), (2, &json!(shown), &json!("finished")));
    assert_eq!(threads[1]["result"], shown.strip_prefix("echo(").and_then(|rest| rest.strip_suffix(')')).unwrap());
    assert_eq!((&threads[0]["end"], &data["state"]), (&json!("broken"), &json!("broken")));
    assert!(threads[0]["error"].as_str().unwrap().contains("</script>"), "{data}");
    let waits = |stretch: &&Value| stretch[0] == "wait";
    let wait = threads[0]["stretches"].as_array().unwrap().iter().find(waits).unwrap();
    assert_eq!((&wait[4], &wait[5]), (&json!([1]), &json!(0)));
}

#[test]
fn a_page_asks_for_nothing_and_runs_only_its_own_script() {
    let folder = folder("a_page_asks_for_nothing");
    let page = folder.hark("timeline -o -").stdout;
    let (head, _) = page.split_once("<style>").unwrap();
    let policy = head.split_once("Content-Security-Policy\" content=\"").unwrap().1.split_once('"').unwrap().0;
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("://") && !outside.contains("@import") && !outside.contains(" src="), "{outside}");
}

#[test]
fn the_file_is_the_one_that_was_named() {
    let folder = folder("the_file_that_was_named");
    folder.write("page.html", "a".repeat(1_000_000));
    folder.hark("timeline -o page.html").is(0, "", "");
    let page = folder.read("page.html");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    folder.hark("timeline --output -").is(0, &page, "");
    folder.hark("timeline -o .").is(
        2,
        "",
        "error: cannot write `.`: it is a folder\nhint: give the name of a file, such as `timeline.html`\n",
    );
    let missing = "error: cannot write `none/page.html`: No such file or directory (os error 2)\n";
    folder.hark("timeline -o none/page.html").is(1, "", missing);
    let full = folder.hark("timeline -o /dev/full");
    assert!(full.status == 1 && full.stderr.starts_with("error: cannot write `/dev/full`: "), "{full:?}");
    for other in ["--json", "--follow"] {
        assert_eq!(folder.hark(&format!("timeline -o page.html {other}")).status, 2);
    }
    // The threads that have not ended come first, here none; the rest is counted.
    let one = folder.hark("timeline -o - --limit 1").stdout;
    let (_, data) = data_of(&one);
    assert_eq!((data["threads"].as_array().unwrap().len(), &data["omitted"]), (1, &json!(1)));
}
