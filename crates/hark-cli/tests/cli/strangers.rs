//! Foreign or damaged data does not harm the data beside it.

use rusqlite::{Connection, params};

use crate::harness::Folder;

const PROGRAM: &str = "fn main(x) { print(x); await future(\"go\", x) }\n";

/// A folder with two suspended sessions, and their ids, oldest first.
fn two_sessions(test: &str) -> (Folder, [String; 2]) {
    let folder = Folder::with(test, PROGRAM);
    let ids = ["a", "b"].map(|argument| folder.hark(&format!("run -s sqlite --detach x.hk {argument}")).stdout);
    (folder, ids.map(|id| id.trim_end().to_owned()))
}

fn database(folder: &Folder) -> Connection {
    Connection::open(folder.path().join(".hark/hark.db")).unwrap()
}

#[test]
fn a_damaged_session_hides_no_other() {
    let (folder, [old, new]) = two_sessions("a_damaged_session_hides_no_other");
    let change = "UPDATE session SET summary = replace(summary, 'main', 'mean') WHERE id = ?1";
    assert_eq!(database(&folder).execute(change, [&new]), Ok(1));
    let said = format!(
        "error: the storage failed: `[FOLDER]/.hark/hark.db`: the summary of session {new}: \
         a record cannot be read: its checksum does not match: it was damaged\n"
    );
    let list = folder.hark("sessions --json");
    assert_eq!((list.status, list.stderr.as_str()), (1, said.as_str()));
    let list = list.json();
    assert_eq!((&list[0]["session"], &list[0]["state"]), (&new.as_str().into(), &"damaged".into()));
    assert_eq!((&list[1]["session"], &list[1]["state"]), (&old.as_str().into(), &"suspended".into()));
    let list = folder.hark("sessions");
    assert_eq!((list.status, list.stderr.as_str()), (1, said.as_str()));
    assert!(list.stdout.contains(&format!("{new}  damaged ")), "{list:?}");
    // It does not affect other sessions either.
    folder.hark("show").is(1, "", &said);
    assert_eq!(folder.hark(&format!("show {old}")).status, 0);
    folder.run(["resolve", &format!("{old}/go/a"), "1"]).succeeds();
    let resumed = folder.hark("resume");
    assert_eq!((resumed.status, resumed.stdout.as_str()), (1, "a\n1\n"), "{resumed:?}");
    assert!(resumed.stderr.contains(&format!("session {old} finished")), "{resumed:?}");
    assert!(resumed.stderr.contains("its checksum does not match"), "{resumed:?}");
    assert_eq!(folder.hark("prune --older-than 0s").stdout, "removed 1 session\n");
}

/// A greater number cannot be stored in SQLite.
#[test]
fn a_thread_with_the_greatest_number_breaks_its_own_session_only() {
    let (folder, [old, new]) = two_sessions("a_thread_with_the_greatest_number");
    let change = "UPDATE thread SET number = ?2 WHERE session = (SELECT number FROM session WHERE id = ?1)";
    assert_eq!(database(&folder).execute(change, params![new, i64::MAX]), Ok(1));
    let list = folder.hark("sessions --json");
    assert_eq!((list.status, list.stderr.as_str()), (0, ""), "{list:?}");
    assert_eq!(list.json().as_array().unwrap().len(), 2);
    let shown = folder.hark("show");
    assert!(shown.status == 1 && shown.stderr.contains(&format!("a record of session {new}")), "{shown:?}");
    folder.run(["resolve", &format!("{old}/go/a"), "1"]).succeeds();
    let resumed = folder.hark("resume");
    assert_eq!((resumed.status, resumed.stdout.as_str()), (1, "a\n1\n"), "{resumed:?}");
}

/// A program stored under the hash of another program is not run, and the right one replaces it.
#[test]
fn a_program_that_is_another_one_is_not_run() {
    let (folder, [old, _]) = two_sessions("a_program_that_is_another_one");
    folder.write("y.hk", "fn main(x) { print(\"robbed\"); null }\n");
    folder.hark("run -q -s sqlite y.hk y").is(0, "robbed\n", "");
    let change = "UPDATE program SET content = (SELECT content FROM program AS other WHERE other.hash != program.hash)";
    assert_eq!(database(&folder).execute(change, []), Ok(2));
    let resumed = folder.hark("resume");
    assert!(resumed.status == 1 && resumed.stdout.is_empty(), "{resumed:?}");
    assert!(resumed.stderr.contains("has a different content"), "{resumed:?}");
    // Starting the original program stores it again.
    let id = folder.hark("run -s sqlite --detach x.hk c").stdout.trim_end().to_owned();
    for (id, argument) in [(&old, "a"), (&id, "c")] {
        folder.run(["resolve", &format!("{id}/go/{argument}"), "1"]).succeeds();
        folder.hark(&format!("resume -q {id}")).is(0, &format!("{argument}\n1\n"), "");
    }
}
