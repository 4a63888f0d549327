//! Limits shared by the processes of a storage: the queue and its order, the places of dead processes, and programs
//! that define them differently.

use std::fs::File;

use crate::harness::{Beside, Folder, wait_until};

const PROGRAM: &str = r#"
#[limit(1, name: "gate")]
fn hold(name) { print("in"); await future("door", 1); print("past"); await future("door", 2); print("out"); name }
"#;

/// Starts a session for other processes, and returns its id.
fn detached(folder: &Folder, name: &str) -> String {
    let run = folder.hark(&format!("run -s sqlite --detach x.hk -f hold {name}"));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    run.stdout.trim_end().to_owned()
}

/// Resumes a session in its own process.
fn served(folder: &Folder, id: &str) -> Beside {
    Beside::start(folder, &format!("resume {id}"))
}

fn opens_door(folder: &Folder, id: &str, number: u32) {
    folder.hark(&format!("resolve {id}/door/{number} 1")).succeeds();
}

fn printed(folder: &Folder, id: &str) -> String {
    let items = folder.hark(&format!("stdout --json {id}")).json();
    items.as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap()).collect()
}

/// The number of requests in the queues of limits.
fn queued(folder: &Folder) -> usize {
    records(folder, "lq")
}

/// The number of limit records whose keys have this prefix.
fn records(folder: &Folder, prefix: &str) -> usize {
    let file = rusqlite::Connection::open(folder.path().join(".hark/hark.db")).unwrap();
    let query = "SELECT count(*) FROM space WHERE substr(key, 1, 2) = CAST(? AS BLOB)";
    file.query_row(query, [prefix], |row| row.get(0)).unwrap()
}

#[test]
fn processes_of_a_storage_are_served_in_order_and_a_dead_one_gives_its_place_back() {
    let folder = Folder::with("processes_share_limits", PROGRAM);
    let [a, b, c] = ["a", "b", "c"].map(|name| detached(&folder, name));
    let first = served(&folder, &a);
    wait_until("the first one in", || printed(&folder, &a) == "in\n");
    let second = served(&folder, &b);
    wait_until("the second one in the queue", || queued(&folder) == 1);
    let third = served(&folder, &c);
    wait_until("the third one in the queue", || queued(&folder) == 2);
    let shown = folder.hark(&format!("show {c}")).stdout;
    assert!(shown.contains("thread 0 hold(\"c\"): waiting for a place of `gate`, in hold at x.hk:3\n"), "{shown}");

    first.signal("KILL");
    drop(first);
    wait_until("the second one in", || printed(&folder, &b) == "in\n");
    // The former holder needs its place to continue, so it comes before all others.
    let first = served(&folder, &a);
    opens_door(&folder, &a, 1);
    wait_until("the first one back in the queue", || queued(&folder) == 2);
    opens_door(&folder, &b, 1);
    opens_door(&folder, &b, 2);
    assert_eq!(second.ended(&folder).status, 0);
    wait_until("the first one in again", || printed(&folder, &a) == "in\npast\n");
    assert_eq!((printed(&folder, &c).as_str(), queued(&folder)), ("", 1));
    opens_door(&folder, &a, 2);
    assert_eq!(first.ended(&folder).status, 0);
    wait_until("the third one in", || printed(&folder, &c) == "in\n");
    opens_door(&folder, &c, 1);
    opens_door(&folder, &c, 2);
    assert_eq!(third.ended(&folder).status, 0);
    for id in [&a, &b, &c] {
        assert_eq!(printed(&folder, id), "in\npast\nout\n");
    }
}

/// Even if none of its calls requests a place.
#[test]
fn the_number_of_the_program_that_was_started_last_counts_from_its_start() {
    let folder = Folder::with("newest_number_counts", PROGRAM);
    let [a, b] = ["a", "b"].map(|name| detached(&folder, name));
    let first = served(&folder, &a);
    wait_until("the first one in", || printed(&folder, &a) == "in\n");
    let second = served(&folder, &b);
    wait_until("the second one in the queue", || queued(&folder) == 1);
    let roomier = PROGRAM.replace("limit(1", "limit(2") + "fn main() { 1 }";
    folder.write("y.hk", roomier);
    assert_eq!(folder.hark("run -s sqlite -q y.hk").stdout, "1\n");
    wait_until("the second one in", || printed(&folder, &b) == "in\n");
    // A detached session counts as started, too.
    let c = folder.hark("run -s sqlite --detach x.hk -f hold c").stdout.trim_end().to_owned();
    for id in [&a, &b] {
        opens_door(&folder, id, 1);
    }
    let third = served(&folder, &c);
    wait_until("the third one in the queue", || queued(&folder) == 1);
    opens_door(&folder, &a, 2);
    assert_eq!(first.ended(&folder).status, 0);
    assert_eq!((printed(&folder, &c).as_str(), queued(&folder)), ("", 1), "the other one has the only place");
    opens_door(&folder, &b, 2);
    assert_eq!(second.ended(&folder).status, 0);
    wait_until("the third one in", || printed(&folder, &c) == "in\n");
    for number in [1, 2] {
        opens_door(&folder, &c, number);
    }
    assert_eq!(third.ended(&folder).status, 0);
}

#[test]
fn worker_processes_have_no_more_python_workers_than_the_setting_says() {
    let folder = Folder::with(
        "workers_of_processes",
        "import(alone, src.alone, 1);\nfn main() { length(map_async(range(12), alone)) }\n",
    );
    folder.write("hark.toml", "[python]\nworkers = 1\n");
    // Two concurrent calls would find each other's folder.
    let alone = "import os, time\ndef alone(x):\n    os.mkdir('here')\n    time.sleep(0.05)\n    os.rmdir('here')\n";
    folder.write("src/alone.py", alone);
    for concurrency in ["threads", "processes"] {
        folder.hark(&format!("run -s sqlite -q -c {concurrency} x.hk")).is(0, "12\n", "");
    }
}

#[test]
fn programs_that_disagree_are_told() {
    let program = |count: u32| {
        format!(
            "#[limit({count}, name: \"gate\")]\nfn hold(x) {{ x }}\n#[rate(3, per: 60)] import(sleep, time, 1);\nfn main() {{ hold(1) }}\n"
        )
    };
    let folder = Folder::with("programs_that_disagree", &program(5));
    let starts = "#[rate(2, per: 60)]\nimport(sleep, time, 1);\nfn main() { sleep(0) }\n";
    folder.write("other.hk", format!("\n#[limit(10, name: \"gate\")]\nfn hold(x) {{ x }}\n{starts}"));
    folder.hark("run -s sqlite -q other.hk -f hold 1").is(0, "1\n", "");
    folder.hark("run -s sqlite -q other.hk").is(0, "", "");
    let told = folder.hark("run -s sqlite x.hk").stderr;
    let warnings = "warning[HK0034]: the limit `gate` is 5 here, but 10 at other.hk:2
  --> x.hk:1:3
 1 | #[limit(5, name: \"gate\")]
   |   ^^^^^
hint: the number given by the program that was started last applies to all of them

warning[HK0034]: the rate `time.sleep` is 3 per 60 s here, but 2 per 60 s at other.hk:4
  --> x.hk:3:3
";
    assert!(told.starts_with(warnings), "{told}");
    // From now on the limits are those of this program, and may be changed while no session uses them.
    folder.write("x.hk", program(6).replace("rate(3", "rate(2"));
    let told = folder.hark("run -s sqlite x.hk").stderr;
    assert!(told.starts_with("session "), "{told}");
    let report = folder.hark("run -s sqlite --json other.hk").json();
    assert_eq!(report["diagnostics"][0]["message"], "the limit `gate` is 10 here, but 6 at x.hk:1", "{report}");
    // The disagreement is reported even while a place is held.
    folder.write("x.hk", PROGRAM);
    let id = detached(&folder, "a");
    let holder = served(&folder, &id);
    wait_until("the place", || printed(&folder, &id) == "in\n");
    folder.write("x.hk", PROGRAM.replace("limit(1", "limit(2"));
    let told = folder.hark("run -s sqlite --detach x.hk -f hold b").stderr;
    assert!(told.starts_with("warning[HK0034]: the limit `gate` is 2 here, but 1 at x.hk:2\n"), "{told}");
    drop(holder);
}

/// Holders and waiters leave their places here, and queue again in the new storage.
#[test]
fn sessions_that_hold_and_wait_for_places_are_moved() {
    let folder = Folder::with("moved_with_places", PROGRAM);
    let [a, b] = ["a", "b"].map(|name| detached(&folder, name));
    let holder = served(&folder, &a);
    wait_until("the place", || printed(&folder, &a) == "in\n");
    let waiter = served(&folder, &b);
    wait_until("the queue", || queued(&folder) == 1);
    for process in [waiter, holder] {
        process.signal("INT");
        process.ended(&folder);
    }
    assert_eq!((printed(&folder, &b).as_str(), records(&folder, "lt")), ("", 2));
    let other = Folder::with("moved_with_places_to", PROGRAM);
    for id in [&a, &b] {
        let file = File::create(other.path().join("session")).unwrap();
        assert!(folder.command(["export", id]).stdout(file).status().unwrap().success());
        other.hark("import session").is(0, &format!("{id}\n"), "");
    }
    assert_eq!(["lt", "lq", "lh"].map(|prefix| records(&folder, prefix)), [0; 3]);
    // No session holds the place here until the first one is served.
    let waiter = served(&other, &b);
    wait_until("the place for who waited", || printed(&other, &b) == "in\n");
    let holder = served(&other, &a);
    opens_door(&other, &a, 1);
    wait_until("the queue for who had it", || queued(&other) == 1);
    assert_eq!(printed(&other, &a), "in\n");
    opens_door(&other, &b, 1);
    opens_door(&other, &b, 2);
    assert_eq!(waiter.ended(&other).status, 0);
    opens_door(&other, &a, 2);
    assert_eq!(holder.ended(&other).status, 0);
    assert_eq!(printed(&other, &a), "in\npast\nout\n");
    for folder in [&folder, &other] {
        folder.hark("prune --older-than 0s").is(0, "removed 2 sessions\n", "");
        assert_eq!(["lt", "lq", "lh"].map(|prefix| records(folder, prefix)), [0; 3]);
    }
}
