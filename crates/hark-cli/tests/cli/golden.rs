//! Data written by any version stays readable: see `tests/golden`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hark_bytecode::Executable;
use hark_machine::{Effect, Host, Program, Thread, Value, text_of};
use serde_json::{Value as Json, json};

use crate::harness::Folder;

const VERSIONS: [&str; 1] = ["v1"];

/// The result of the program's `kinds()`, as text.
const KINDS: &str = r#"[null, true, false, 0, -1, 9223372036854775807, 1267650600228229401496703205376, -1000000000000000000000000000000, 0.1, -1.5e+300, "", "text", "Grüße, 世界, 🦀, \x00\n\t\"", [1, 2], [[1, 2], [[1, 2]]], [], {}, {"b": 1, "a": {"deep": [null]}, 1: "one", true: "yes", 2.5: "half"}, "#;

pub fn golden(version: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version).join(file)
}

/// A folder with a copy of a version's sessions.
fn copy(test: &str, version: &str) -> Folder {
    let folder = Folder::new(&format!("{test}_{version}"));
    folder.write(".hark/hark.db", fs::read(golden(version, "hark.db")).unwrap());
    folder.write("src/lib.py", fs::read(golden(version, "src/lib.py")).unwrap());
    folder
}

/// The sessions' ids, by their functions.
fn ids(folder: &Folder) -> BTreeMap<String, String> {
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let sessions = folder.hark("sessions --json").json();
    sessions.as_array().unwrap().iter().map(|each| (text(&each["function"]), text(&each["session"]))).collect()
}

fn shown(folder: &Folder, id: &str) -> Json {
    folder.hark(&format!("show --json {id}")).json()
}

/// The sorted output of a session.
fn printed(folder: &Folder, id: &str) -> Vec<String> {
    let lines = folder.hark(&format!("stdout --json {id}")).json();
    let text = |line: &Json| line["text"].as_str().unwrap().trim_end().to_owned();
    let mut lines: Vec<String> = lines.as_array().unwrap().iter().map(text).collect();
    lines.sort();
    lines
}

#[test]
fn sessions_are_listed() {
    for version in VERSIONS {
        let folder = copy("sessions_are_listed", version);
        let sessions = folder.hark("sessions --json").json();
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        let sessions = sessions.as_array().unwrap().iter();
        let listed: Vec<(String, String, u64)> = sessions
            .map(|each| (text(&each["function"]), text(&each["state"]), each["threads"].as_u64().unwrap()))
            .collect();
        let expected = [
            ("fresh", "suspended", 1),
            ("halfway", "suspended", 61),
            ("moved", "moved", 1),
            ("cancelling", "cancelling", 2),
            ("alone", "suspended", 2),
            ("follows", "suspended", 2),
            ("large", "suspended", 1),
            ("calls", "suspended", 1),
            ("asleep", "suspended", 2),
            ("woken", "suspended", 21),
            ("crowd", "suspended", 21),
            ("named", "suspended", 1),
            ("promised", "suspended", 1),
            ("cancelled", "cancelled", 1),
            ("broken", "broken", 2),
            ("finished", "finished", 1),
        ];
        assert_eq!(listed, expected.map(|(function, state, threads)| (function.to_owned(), state.to_owned(), threads)));
    }
}

#[test]
fn sessions_look_as_they_did() {
    for version in VERSIONS {
        let folder = copy("sessions_look_as_they_did", version);
        let looks = fs::read_to_string(golden(version, "looks.txt")).unwrap();
        for look in looks.split("$ hark ").skip(1) {
            let (line, expected) = look.split_once('\n').unwrap();
            assert_eq!(folder.hark(line).stdout, expected, "{line}");
        }
        let result = shown(&folder, &ids(&folder)["finished"])["result"].clone();
        assert_eq!((&result[5], &result[12]), (&json!(i64::MAX), &json!("Grüße, 世界, 🦀, \0\n\t\"")));
    }
}

#[test]
fn sessions_go_on_to_their_ends() {
    for version in VERSIONS {
        let folder = copy("sessions_go_on_to_their_ends", version);
        let ids = ids(&folder);
        let looks = folder.hark(&format!("show {}", ids["promised"])).stdout;
        let promise = looks.split('`').nth(1).unwrap();
        let resolve = |function: &str, future: &str, value: &str| {
            folder.run(["resolve", &format!("{}/{future}", ids[function]), value]).succeeds();
        };
        resolve("promised", promise, r#"{"from": ["outside"]}"#);
        resolve("named", "door/front", "41");
        resolve("crowd", "bell/1", "1");
        resolve("large", "size/1", "\"big\"");
        resolve("follows", "passed/on", "[1]");
        resolve("alone", "comfort/1", "2");
        resolve("cancelling", "cleaner/1", "\"clean\"");
        let again = folder.hark(&format!("resolve {}/bell/1 2", ids["woken"]));
        assert!(again.status != 0 && again.stderr.contains("100"), "it is resolved: {again:?}");
        let run = folder.hark("resume --json");
        assert_eq!(run.status, 1, "one of them breaks");

        let results = [
            ("named", json!(42)),
            ("crowd", json!(230)),
            ("woken", json!(2_210)),
            ("asleep", json!(42)),
            ("calls", json!(["held", 2])),
            ("large", json!([1_400, 980_700, "big"])),
            ("follows", json!([1])),
            ("halfway", json!(1_830)),
            ("fresh", json!(7)),
        ];
        for (function, result) in results {
            let shown = shown(&folder, &ids[function]);
            assert_eq!((&shown["status"], &shown["result"]), (&json!("finished"), &result), "{function}: {shown}");
        }
        let promised = folder.hark(&format!("show {}", ids["promised"])).stdout;
        assert!(
            promised.contains(&format!(r#"result   [{{"from": ["outside"]}}, [42, 2, 1, 7], {KINDS}"#)),
            "{promised}"
        );
        let alone = shown(&folder, &ids["alone"]);
        assert_eq!((&alone["status"], &alone["errors"][0]["message"]), (&json!("broken"), &json!("badness")));

        assert_eq!(shown(&folder, &ids["cancelling"])["state"], "cancelled");
        assert_eq!(printed(&folder, &ids["cancelling"]), ["clean", "cleaning up", "until it is cancelled"]);

        // Earlier output is not printed again.
        assert_eq!(printed(&folder, &ids["named"]), ["[\"opened\", 41]", "at the door"]);
        assert_eq!(printed(&folder, &ids["asleep"]), ["asleep", "rested"]);
        let mut numbers: Vec<u64> =
            printed(&folder, &ids["halfway"]).iter().map(|line| line.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    }
}

#[test]
fn a_broken_session_is_retried() {
    for version in VERSIONS {
        let folder = copy("a_broken_session_is_retried", version);
        let id = &ids(&folder)["broken"];
        let run = folder.hark(&format!("retry {id}"));
        assert!(run.status == 1 && run.stderr.contains("FileNotFoundError"), "{run:?}");
        folder.write("shelf/book", "");
        folder.hark(&format!("retry {id}")).is(0, "[\"listed\", [\"book\"]]\n1\n", &format!("session {id} finished\n"));
        assert_eq!(printed(&folder, id), ["[\"listed\", [\"book\"]]", "before"]);
    }
}

#[test]
fn an_exported_session_goes_on_elsewhere() {
    for version in VERSIONS {
        let folder = Folder::new(&format!("an_exported_session_goes_on_elsewhere_{version}"));
        folder.write("session.hark", fs::read(golden(version, "session.hark")).unwrap());
        let id = folder.hark("import session.hark -s sqlite").stdout.trim_end().to_owned();
        folder.hark(&format!("resolve {id}/arrival/1 5")).succeeds();
        folder.hark("resume").is(0, "unpacked\n[5, 5050, [42, 2, 1, 7]]\n", &format!("session {id} finished\n"));
        assert_eq!(printed(&folder, &id), ["packed", "unpacked"]);
        // It may also be imported again.
        let back = copy("an_exported_session_comes_back", version);
        back.write("session.hark", fs::read(golden(version, "session.hark")).unwrap());
        let calls = format!(
            "session {id} calls these Python functions, with arguments that it chooses itself:\n  lib: held\n  os: listdir\n"
        );
        back.hark("import session.hark").is(0, &format!("{id}\n"), &calls);
        assert_eq!(shown(&back, &id)["status"], "suspended");
    }
}

/// A thread that has no effects.
struct Nowhere;

impl Host for Nowhere {
    fn spawn(&mut self, _: Thread) -> u64 {
        1
    }

    fn print(&mut self, _: String) {}

    fn thread(&self) -> u64 {
        0
    }

    fn session(&self) -> &'static str {
        ""
    }

    fn now(&mut self) -> u64 {
        0
    }

    fn random(&mut self) -> u64 {
        0
    }
}

#[test]
fn the_machine_reads_a_program_and_a_thread() {
    for version in VERSIONS {
        let executable = Executable::decode(&fs::read(golden(version, "program.executable")).unwrap()).unwrap();
        assert_eq!(
            &*executable.sources.files()[0].source.text,
            fs::read_to_string(golden(version, "golden.hk")).unwrap()
        );
        let program = Program::new(executable).unwrap();
        let snapshot = fs::read(golden(version, "thread.snapshot")).unwrap();
        let mut thread = Thread::restore(&snapshot, &program).unwrap();
        thread.resume(Value::string("an answer"));
        let effect = thread.run(&program, u32::MAX, &mut Nowhere);
        let Effect::Finished(value) = effect else { panic!("{effect:?}") };
        let text = text_of(&value, program.executable());
        assert!(text.starts_with(&format!("[\"an answer\", [42, 2, 1, 7], {KINDS}")), "{text}");
    }
}
