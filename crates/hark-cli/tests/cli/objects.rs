//! Python objects in stored sessions: where their pickles are stored, and when they are deleted.

use std::fs::{self, File};
use std::path::PathBuf;

use crate::harness::{Beside, Folder, is_running, wait_until};

const PROGRAM: &str = "import(make, lib, 1);\nimport(same, lib, 1);\nimport(waits, lib, 1);\nimport(total, lib, 1);\n\
    fn main() { total(same(same(make(3)))) }\n\
    fn keeps() { make(4) }\n\
    fn crashes() { total(waits(same(make(5)))) }\n\
    fn fails() { error([\"with\", make(6)]) }\n\
    fn cancelled() { waits(make(7)) }\n\
    fn many(n) { if n == 0 { 0 } else { total(make(n)) + many(n - 1) } }\n\
    fn thirty() { many(30) }\n";

const LIBRARY: &str = r#"
import os, pickle, time

class Table:
    """2 MB, as an array would have them."""

    def __init__(self, data):
        self.data = data

    def __reduce_ex__(self, protocol):
        return Table, (pickle.PickleBuffer(self.data),)

def make(number):
    return Table(bytearray([number]) * 2_000_000)

def same(table):
    return table

def waits(table):
    open("begun", "a").write("x")
    while not os.path.exists("go"):
        time.sleep(0.01)
    return table

def total(table):
    return sum(memoryview(table.data)[::1_000_000])
"#;

fn folder(test: &str) -> Folder {
    let folder = Folder::with(test, PROGRAM);
    folder.write("src/lib.py", LIBRARY);
    folder
}

/// The stored pickle files.
fn kept(folder: &Folder) -> Vec<PathBuf> {
    let found = fs::read_dir(folder.path().join(".hark/pickles"));
    found.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// The number of folders left by ended processes, empty or not.
fn left(folder: &Folder) -> usize {
    let entries = fs::read_dir(folder.path().join(".hark")).unwrap().map(|entry| entry.unwrap());
    entries.filter(|entry| entry.file_name().to_str().unwrap().starts_with("pickles-")).count()
}

#[test]
fn a_large_pickle_is_a_file_as_long_as_it_is_needed() {
    let folder = folder("objects_large");
    folder.hark("run -s sqlite -q x.hk").is(0, "6\n", "");
    folder.hark("run -s sqlite -q x.hk -f thirty").is(0, "930\n", "");
    assert_eq!((kept(&folder).len(), left(&folder)), (0, 0));
    let run = folder.hark("run -s sqlite -q x.hk -f keeps");
    assert_eq!((run.status, run.stdout.as_str()), (0, "<lib.Table 2.0 MB>\n"), "{run:?}");
    let files = kept(&folder);
    assert_eq!((files.len(), left(&folder)), (1, 0));
    assert!(fs::metadata(&files[0]).unwrap().len() > 2_000_000);
    assert!(fs::metadata(folder.path().join(".hark/hark.db")).unwrap().len() < 1_000_000);
    // A stray file of a process that died during a transaction.
    fs::write(folder.path().join(".hark/pickles/0123"), "stray").unwrap();
    assert_eq!(folder.hark("prune --older-than 0s").status, 0);
    assert!(kept(&folder).is_empty());
}

#[test]
fn a_call_that_is_made_again_after_a_crash_has_its_objects() {
    for options in ["run -s sqlite -q x.hk -f crashes", "run -s sqlite -c processes -q x.hk -f crashes"] {
        let folder = folder("objects_crash");
        let run = Beside::start(&folder, options);
        wait_until("the call", || folder.path().join("begun").exists());
        let children = run.children();
        run.signal("KILL");
        drop(run);
        // A worker process may outlive its supervisor for a moment, and would end the call.
        wait_until("their end", || !children.iter().any(|child| is_running(&child.to_string())));
        assert_eq!(kept(&folder).len(), 1);
        folder.write("go", "");
        folder.hark("resume -q").is(0, "10\n", "");
        assert!(kept(&folder).is_empty());
        assert_eq!(left(&folder), 0);
    }
}

#[test]
fn an_exported_session_has_its_objects_with_it() {
    let (folder, other) = (folder("objects_export"), folder("objects_import"));
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f crashes");
    wait_until("the call", || folder.path().join("begun").exists());
    run.wait_for_handler();
    run.signal("INT");
    run.ended(&folder);
    let file = File::create(other.path().join("x.session")).unwrap();
    assert!(folder.command(["export", "0"]).stdout(file).status().unwrap().success());
    other.write("go", "");
    // It is still retryable here.
    assert_eq!(kept(&folder).len(), 1);
    let run = other.hark("import --yes x.session");
    assert_eq!((run.status, kept(&other).len()), (0, 1), "{run:?}");
    other.hark("resume -q").is(0, "10\n", "");
}

#[test]
fn a_session_that_is_cancelled_keeps_no_objects() {
    let folder = folder("objects_cancelled");
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f cancelled");
    wait_until("the call", || folder.path().join("begun").exists());
    assert_eq!(kept(&folder).len(), 1);
    assert_eq!(folder.hark("cancel 0").status, 0);
    assert_eq!(run.ended(&folder).status, 1);
    assert_eq!((kept(&folder).len(), left(&folder)), (0, 0));
}

/// The error is stored completely, although it is never awaited.
#[test]
fn an_error_may_have_an_object() {
    let folder = folder("objects_error");
    let run = folder.hark("run -s sqlite -q x.hk -f fails");
    assert!(run.status == 1 && run.stderr.contains("error: [\"with\", <lib.Table 2.0 MB>]"), "{run:?}");
    assert_eq!(kept(&folder).len(), 1);
    assert!(folder.hark("show").stdout.contains("<lib.Table 2.0 MB>"));
}

#[test]
fn what_has_lost_its_file_is_damaged_and_stays_as_it_is() {
    let folder = folder("objects_lost");
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f crashes");
    wait_until("the call", || folder.path().join("begun").exists());
    run.signal("KILL");
    drop(run);
    let file = kept(&folder).pop().unwrap();
    let aside = folder.path().join("aside");
    fs::rename(&file, &aside).unwrap();
    folder.write("go", "");
    let run = folder.hark("resume -q");
    assert!(run.status == 1 && run.stderr.contains("an object whose bytes are missing"), "{run:?}");
    fs::write(&file, [fs::read(&aside).unwrap().as_slice(), b"!"].concat()).unwrap();
    assert_eq!(folder.hark("resume -q").status, 1);
    fs::rename(&aside, &file).unwrap();
    folder.hark("resume -q").is(0, "10\n", "");
}

#[test]
fn an_object_whose_class_is_gone_waits_for_it() {
    let folder = folder("objects_class");
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f crashes");
    wait_until("the call", || folder.path().join("begun").exists());
    run.signal("KILL");
    drop(run);
    folder.write("go", "");
    folder.write("src/lib.py", LIBRARY.replace("Table", "Frame"));
    let run = folder.hark("resume -q");
    let said = "`lib.waits` cannot be given its argument <lib.Table 2.0 MB>: it cannot be unpickled: \
                AttributeError: ";
    assert!(run.status == 1 && run.stderr.contains(said) && run.stderr.contains("--> x.hk:7:"), "{run:?}");
    folder.write("src/lib.py", LIBRARY);
    folder.hark("retry -q").is(0, "10\n", "");
}
