//! Finding sessions by a key, by tags, and by their description.

use std::fs::File;

use serde_json::json;

use crate::harness::{Beside, Folder, wait_until};
use crate::terminal::{shown, without_color};

const PROGRAM: &str = r#"fn main(order) { print("order " + order); d = await future("door", 1); print("open"); d }
fn quick(order) { print("quick"); order }
fn bad() { first([]) }
"#;

fn ids(folder: &Folder, line: &str) -> Vec<String> {
    let run = folder.hark(line);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout.lines().map(str::to_owned).collect()
}

fn state(folder: &Folder, id: &str) -> String {
    folder.run(["show", "--json", id]).json()["state"].as_str().unwrap().to_owned()
}

/// No matter how many processes start it at once, and which are killed.
#[test]
fn a_key_starts_one_session() {
    let folder = Folder::with("a_key_starts_one_session", PROGRAM);
    let start = || Beside::start(&folder, "run -q -s sqlite --key order-17 x.hk 17");
    let runs: Vec<Beside> = (0..4).map(|_| start()).collect();
    wait_until("the session", || ids(&folder, "sessions -q").len() == 1 && state(&folder, "order-17") == "running");
    wait_until("its line", || folder.hark("stdout --raw order-17").stdout == "order 17\n");
    // The serving process is among the killed ones, and another one takes over. All print the same.
    let (killed, left) = runs.split_at(2);
    killed.iter().for_each(|run| run.signal("KILL"));
    folder.run(["resolve", "order-17/door/1", "\"in\""]).succeeds();
    let left = left.len();
    let mut runs = runs;
    for run in runs.drain(..).skip(4 - left) {
        run.ended(&folder).is(0, "order 17\nopen\nin\n", "");
    }
    let session = ids(&folder, "sessions -q");
    assert_eq!(session.len(), 1);
    // Once the session is over, its result is printed.
    let before = format!("session {} was already started under this key\n-- [TIME]\n", session[0]);
    folder.hark("run -s sqlite --key order-17 x.hk 17").is(0, "order 17\nopen\nin\n", &before);
    let report = folder.hark("run -s sqlite --json --key order-17 x.hk 17").json();
    assert_eq!((&report["session"], &report["result"]), (&json!(session[0]), &json!("in")));
    assert_eq!(report["output"][1]["text"], "open\n");
    assert_eq!(ids(&folder, "run -s sqlite --detach --key order-17 x.hk 17"), session);
    // A key can be used in place of an id.
    for line in ["show", "stdout", "events", "export --copy"] {
        folder.hark(&format!("{line} order-17")).succeeds();
    }
    let said = format!("error: session {} is finished\nhint: only a suspended session can be resumed\n", session[0]);
    folder.hark("resume order-17").is(2, "", &said);
    assert_eq!(folder.hark("sessions --json").json()[0]["key"], "order-17");
    assert!(folder.hark("show order-17").stdout.contains("\nkey      order-17\n"));
}

#[test]
fn a_key_is_of_one_call() {
    let folder = Folder::with("a_key_is_of_one_call", PROGRAM);
    folder.hark("run -q -s sqlite --key k x.hk -f quick 1").is(0, "quick\n1\n", "");
    let hint = "hint: `hark show k` shows that session; a new session needs a different key\n";
    for (line, own) in [("-f quick 2", "quick(\"2\")"), ("1", "main(\"1\")"), ("-f quick --args [1]", "quick(1)")] {
        for how in ["", "--detach"] {
            let said = format!(
                "error: the key `k` belongs to a session that was started with `quick(\"1\")`, not `{own}`\n{hint}"
            );
            folder.hark(&format!("run -s sqlite {how} --key k x.hk {line}")).is(2, "", &said);
        }
    }
    // A program with a different text is a different program.
    folder.write("x.hk", format!("{PROGRAM}// more\n"));
    let said = format!("error: the key `k` belongs to a session of `x.hk`; `x.hk` has changed since\n{hint}");
    folder.hark("run -s sqlite --key k x.hk -f quick 1").is(2, "", &said);
    folder.write("x.hk", PROGRAM);
    // A broken session stays broken until it is retried.
    let broken = folder.hark("run -q -s sqlite --key b x.hk -f bad");
    let again = folder.hark("run -q -s sqlite --key b x.hk -f bad");
    assert_eq!((broken.status, &broken.stderr), (1, &again.stderr));
    assert_eq!(ids(&folder, "sessions -q").len(), 2);
}

/// A key shares the fate of its session: it is deleted and moved with it.
#[test]
fn a_key_goes_with_its_session() {
    let folder = Folder::with("a_key_goes_with_its_session", PROGRAM);
    let first = ids(&folder, "run -q -s sqlite --detach --key k x.hk -f quick 1");
    folder.hark("run -q -s sqlite --key k x.hk -f quick 1").is(0, "quick\n1\n", "");
    folder.hark("prune --older-than 0s").is(0, "removed 1 session\n", "");
    folder.hark("show k").is(
        2,
        "",
        "error: there is no session `k` in `.hark/hark.db`\nhint: `hark sessions` lists the existing ones\n",
    );
    let second = ids(&folder, "run -s sqlite --detach --key k x.hk -f quick 2");
    assert_ne!(first, second);
    let other = Folder::with("a_key_goes_with_its_session_elsewhere", PROGRAM);
    let taken = ids(&other, "run -s sqlite --detach --key k x.hk -f quick 3");
    let file = File::create(other.path().join("session")).unwrap();
    assert!(folder.command(["export", "k"]).stdout(file).status().unwrap().success());
    let moved = "error: the session with the key `k` was moved to another storage\n";
    folder.hark("run -s sqlite --key k x.hk -f quick 2").is(2, "", moved);
    let said = format!(
        "error: the key `k` belongs to session {} here\nhint: `hark prune` deletes sessions that are over, with their keys\n",
        taken[0]
    );
    other.hark("import session").is(2, "", &said);
    assert_eq!(ids(&other, "sessions -q"), taken);
    other.hark("resume -q").is(0, "quick\n3\n", "");
    other.hark("prune --older-than 0s").succeeds();
    other.hark("import session").is(0, &format!("{}\n", second[0]), "");
    other.hark("run -q -s sqlite --key k x.hk -f quick 2").is(0, "quick\n2\n", "");
}

#[test]
fn labels_that_are_none() {
    let folder = Folder::with("labels_that_are_none", PROGRAM);
    let try_help = "\n\nFor more information, try '--help'.\n";
    let wrong = |line: &str, said: &str| folder.hark(line).is(2, "", &format!("error: {said}{try_help}"));
    wrong(
        "run --tag x x.hk",
        "invalid value 'x' for '--tag <NAME=VALUE>': a tag has a name and a value: `--tag x=VALUE`",
    );
    wrong("run --tag =x x.hk", "invalid value '=x' for '--tag <NAME=VALUE>': a tag is `NAME=VALUE`");
    wrong("run --key a/b x.hk", "invalid value 'a/b' for '--key <KEY>': a key has no spaces and no slashes");
    let memory = "error: `--key` and `--tag` need a storage that keeps sessions: one in memory cannot be found again\n\
                  hint: `hark run -s sqlite FILE` keeps the session in a file\n";
    folder.hark("run --tag a=b x.hk 1").is(2, "", memory);
    let twice = "error: the tag `a` is given twice\n";
    folder.hark("run -s sqlite -q --tag a=1 --tag a=2 x.hk 1").is(2, "", twice);
    folder.hark("run --key a x.hk 1").is(2, "", memory);
    folder.hark("run -s sqlite --detach x.hk -f quick 1").succeeds();
    folder.hark("sessions --since soon").is(
        2,
        "",
        "error: `soon` is not a valid age\nhint: an age is a number and s, m, h or d: `7d`\n",
    );
}

#[test]
fn sessions_are_found_by_what_they_are_about() {
    let folder = Folder::with("sessions_are_found", PROGRAM);
    let start = |line: &str| ids(&folder, &format!("run -s sqlite --detach {line}")).remove(0);
    let acme = start("--tag customer=acme --tag urgent= x.hk 4711");
    let globe = start("--tag customer=globe x.hk -f quick 4711");
    folder.run(["run", "-q", "-s", "sqlite", "x.hk", "-f", "quick", "--args", "[{\"order\": 4711}]"]).succeeds();
    let nested = ids(&folder, "sessions -q --limit 1").remove(0);
    let found = |line: &str| {
        let mut found = ids(&folder, &format!("sessions -q {line}"));
        found.sort_unstable();
        found
    };
    let all = |wanted: &[&String]| {
        let mut wanted: Vec<String> = wanted.iter().map(|id| (*id).clone()).collect();
        wanted.sort_unstable();
        wanted
    };
    assert_eq!(found("--function quick"), all(&[&globe, &nested]));
    assert_eq!(found("-f quick --state suspended"), all(&[&globe]));
    assert_eq!(found("--argument 4711"), all(&[&acme, &globe, &nested]));
    assert_eq!(found("--argument order"), all(&[&nested]));
    assert_eq!(found("--tag customer"), all(&[&acme, &globe]));
    assert_eq!(found("--tag customer=acme"), all(&[&acme]));
    assert_eq!(found("--tag customer --tag urgent"), all(&[&acme]));
    assert_eq!(found("--since 1d --limit 5"), all(&[&acme, &globe, &nested]));
    assert_eq!(found("--since 0s"), all(&[]));
    assert_eq!(found("--older-than 0s"), all(&[&acme, &globe, &nested]));
    assert_eq!(found("--older-than 1d"), all(&[]));
    assert_eq!(folder.hark("sessions -q --argument 4711 --limit 2").stdout.lines().count(), 2);
    folder.hark("sessions --tag nobody").is(0, "no such sessions in .hark/hark.db\n", "");
    let listed = folder.hark("sessions --json --tag urgent").json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["session"]), (1, &json!(acme)));
    assert_eq!((&listed[0]["key"], &listed[0]["tags"]), (&json!(null), &json!({ "customer": "acme", "urgent": "" })));
    assert!(folder.hark(&format!("show {acme}")).stdout.contains("\ntags     customer=acme urgent=\n"));
}

/// At most as wide as the terminal, and complete in a pipe.
#[test]
fn the_table_fits_the_terminal() {
    let folder = Folder::with("the_table_fits", PROGRAM);
    let long = "an-argument-that-is-longer-than-what-is-left-of-any-line-of-a-terminal-".repeat(3);
    for line in [&format!("x.hk -f quick {long}"), "--key order-17 x.hk 17", "x.hk -f bad"] {
        folder.hark(&format!("run -s sqlite --detach {line}")).succeeds();
    }
    for columns in [60_u16, 80, 200] {
        let plain = shown(&folder, "sessions", columns, false);
        // The widths of the columns depend on how long the sessions have been running.
        let heads_of = |text: &str| -> Vec<String> {
            text.lines().next().unwrap().split_whitespace().map(str::to_owned).collect()
        };
        let colored = without_color(&shown(&folder, "sessions", columns, true));
        assert_eq!(heads_of(&colored), heads_of(&plain));
        assert!(plain.lines().all(|line| line.chars().count() <= usize::from(columns)), "{columns}\n{plain}");
        let heads = heads_of(&plain);
        let wanted: &[&str] = match columns {
            60 => &["ID", "KEY", "STATE", "CALL"],
            80 => &["ID", "KEY", "STATE", "STARTED", "TOOK", "CALL"],
            _ => &["ID", "KEY", "STATE", "STARTED", "TOOK", "THREADS", "CALL"],
        };
        assert_eq!((heads, plain.lines().count()), (wanted.iter().map(ToString::to_string).collect(), 4), "{plain}");
        assert!(plain.lines().any(|line| line.ends_with('…')) && plain.contains("order-17"), "{plain}");
    }
    let whole = folder.hark("sessions").stdout;
    assert!(whole.contains(&format!("quick(\"{}", &long[..100])) && !whole.contains("quick(\"an-argument…"), "{whole}");
}
