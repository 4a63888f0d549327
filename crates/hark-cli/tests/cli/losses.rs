//! Processes that are lost or unresponsive: others take over, and calls that repeatedly kill their process are given
//! up.

use std::fs;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use crate::harness::{Beside, Folder, stop_between_commits, wait_until};

const PROGRAM: &str = r#"fn count(n) { if n == 0 { 0 } else { count(n - 1) } }
fn busy() { print("busy"); await async sleeper(); count(100000000000) }
fn sleeper() { sleep(0.001) }
fn naps(n) { print(n); sleep(0.05); if n == 0 { await future("bed", 1) } else { naps(n - 1) } }
fn main() { naps(40) }
"#;

fn folder(test: &str, settings: &str) -> Folder {
    let folder = Folder::with(test, PROGRAM);
    folder.write("hark.toml", format!("[sessions]\n{settings}\n"));
    folder
}

fn printed(folder: &Folder) -> Vec<String> {
    let run = folder.hark("stdout --json");
    if run.status != 0 {
        return Vec::new();
    }
    run.json().as_array().unwrap().iter().map(|each| each["text"].as_str().unwrap().trim_end().to_owned()).collect()
}

fn count_down() -> Vec<String> {
    (0..=40).rev().map(|n| n.to_string()).collect()
}

fn is_finished(folder: &Folder) -> bool {
    folder.hark("show --json").json()["status"] == "finished"
}

/// Lets the session end. It does not end before that, so it is running however slow the machine is.
fn get_up(folder: &Folder) {
    let session = folder.hark("show --json").json()["session"].as_str().unwrap().to_owned();
    folder.run(["resolve", &format!("{session}/bed/1"), "\"rested\""]).succeeds();
}

#[test]
fn who_is_still_for_too_long_loses_its_sessions() {
    let folder = folder("who_is_still_for_too_long", "lease = 1");
    let still = Beside::start(&folder, "run -s sqlite -q x.hk");
    wait_until("some lines", || printed(&folder).len() > 3);
    stop_between_commits(&folder, &[still.id()]);
    get_up(&folder);
    let worker = Beside::start(&folder, "worker -q");
    wait_until("the end", || is_finished(&folder));
    worker.signal("TERM");
    worker.ended(&folder).is(0, "", "");
    // It continues unaware, but does no harm.
    still.signal("CONT");
    let run = still.ended(&folder);
    let said = "another process has taken it over; `hark stdout ";
    assert!(run.stderr.contains(said) || run.stderr.contains("another process has taken the session over"), "{run:?}");
    assert_eq!(printed(&folder), count_down());
}

#[test]
fn a_worker_process_that_is_still_for_too_long_is_replaced() {
    let folder = folder("a_worker_process_that_is_still", "lease = 1");
    let run = Beside::start(&folder, "run -s sqlite -c processes -q x.hk");
    wait_until("some lines", || printed(&folder).len() > 3);
    let workers: Vec<u32> = run.children();
    assert!(!workers.is_empty());
    stop_between_commits(&folder, &workers);
    get_up(&folder);
    let lines: String = count_down().iter().map(|line| format!("{line}\n")).collect();
    run.ended(&folder).is(0, &format!("{lines}rested\n"), "");
    assert_eq!(printed(&folder), count_down());
}

#[test]
fn a_step_whose_process_is_lost_each_time_is_given_up() {
    let folder = folder("a_step_whose_process_is_lost", "max_tries = 3");
    // Progress is saved every two seconds, and counts as progress.
    let killed_within = Duration::from_millis(500);
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f busy");
    wait_until("the first line", || printed(&folder) == ["busy"]);
    let file = Connection::open(folder.path().join(".hark/hark.db")).unwrap();
    let session = || -> (String, Option<i64>) {
        file.query_row("SELECT state, server FROM session", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    };
    thread::sleep(killed_within);
    run.signal("KILL");
    drop(run);
    let mut kills = 1;
    while session().0 == "running" {
        let (_, last_server) = session();
        let mut resumed = Beside::start(&folder, "resume -q");
        // On a busy machine the process takes a while to begin and to end.
        wait_until("the session is taken up", || resumed.has_ended() || session().1 != last_server);
        thread::sleep(killed_within);
        kills += u32::from(!resumed.has_ended());
        assert!(kills < 60, "it is tried for ever");
    }
    assert!(kills >= 3, "only {kills} times");
    let shown = folder.hark("show --json").json();
    let error = &shown["errors"][0];
    assert_eq!((&shown["status"], &error["kind"]), (&json!("broken"), &json!("worker_lost")), "{shown}");
    assert_eq!(error["message"], "the thread was given up: the worker that ran it was lost 3 times");
}

/// The history has no events of a thread that only computes, so its loss is an event of its own.
#[test]
fn the_loss_of_a_worker_that_computed_is_shown() {
    let folder = folder("the_loss_of_a_worker_that_computed", "max_tries = 3");
    let saved = || -> Option<i64> {
        let file = Connection::open(folder.path().join(".hark/hark.db")).unwrap();
        let sql = "SELECT json_extract(summary, '$.saved') FROM thread WHERE number = 0";
        file.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let taken_over = || -> Vec<serde_json::Value> {
        let events = folder.hark("events --json").json();
        events.as_array().unwrap().iter().filter(|event| event["event"] == "taken over").cloned().collect()
    };
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f busy");
    wait_until("the first line", || printed(&folder) == ["busy"]);
    // A computation is saved soon after it has printed.
    wait_until("a time in the thread's record", || saved().is_some());
    run.signal("KILL");
    drop(run);
    assert_eq!(taken_over(), Vec::<serde_json::Value>::new());
    let resumed = Beside::start(&folder, "resume -q");
    wait_until("the takeover", || !taken_over().is_empty());
    resumed.signal("KILL");
    drop(resumed);
    let events = taken_over();
    assert_eq!((events.len(), &events[0]["thread"]), (1, &json!(0)), "{events:?}");
    let (time, saved) = (events[0]["time"].as_str().unwrap(), events[0]["saved"].as_str().unwrap());
    assert!(saved < time, "{events:?}");
    let lines = folder.hark("events").stdout;
    assert!(lines.contains(&format!("taken over, as saved at {saved}: its worker was lost\n")), "{lines}");

    let lane = folder.hark("timeline --json").json()[0].clone();
    let stretches = lane["stretches"].as_array().unwrap();
    let [before, after] = [&stretches[stretches.len() - 2], &stretches[stretches.len() - 1]];
    assert_eq!((&before["kind"], &after["kind"]), (&json!("run"), &json!("run")), "{lane}");
    let lost = before["to"].as_str().unwrap();
    assert!(saved <= lost && lost < time && after["from"] == time, "{lane}");
    assert_eq!(lane["losses"], json!([lost]), "{lane}");
    assert_eq!(after["what"], "taken over from a lost worker");
    let chart = folder.hark("timeline").stdout;
    assert!(chart.lines().nth(1).unwrap().contains('!') && chart.contains("! its worker was lost"), "{chart}");
    let page = folder.hark("timeline -o -").stdout;
    assert!(page.contains("\"losses\": [") && page.contains("taken over from a lost worker"));
}

#[test]
fn whoever_leaves_a_session_has_not_lost_it() {
    let program = "import(slow, lib, 0);\nfn main() { slow() }\n";
    let folder = Folder::with("whoever_leaves_a_session", program);
    folder.write("hark.toml", "[sessions]\nmax_tries = 2\n");
    folder.write(
        "src/lib.py",
        "import os, time\n\
         def slow():\n    open('called', 'w').close()\n    while not os.path.exists('go'): time.sleep(0.01)\n    return 5\n",
    );
    for line in ["run -s sqlite -q x.hk", "resume -q", "resume -q", "resume -q"] {
        let run = Beside::start(&folder, line);
        wait_until("the call", || fs::remove_file(folder.path().join("called")).is_ok());
        run.signal("INT");
        assert_eq!(run.ended(&folder).status, 130);
    }
    folder.write("go", "");
    let run = folder.hark("resume -q");
    assert_eq!((run.status, run.stdout.as_str()), (0, "5\n"), "{run:?}");
}

#[test]
fn calls_that_wait_for_a_python_process_are_not_given_up() {
    let program = "import(deadly, lib, 1);\nimport(mild, lib, 1);\n\
        fn start(n, all) { if n == 0 { all } else { start(n - 1, append(all, async mild(n))) } }\n\
        fn sum(all, n) { if n == length(all) { 0 } else { (await nth(all, n)) + sum(all, n + 1) } }\n\
        fn main() { first = async deadly(1); await future(\"begun\", 1); rest = start(5, []); sum(rest, 0) + await first }\n";
    let folder = Folder::with("calls_that_wait", program);
    folder.write("hark.toml", "[sessions]\nmax_tries = 2\n[python]\nworkers = 1\n");
    folder.write(
        "src/lib.py",
        "import time\n\
         def note(name):\n    with open('begun', 'a') as file: print(name, file=file)\n\
         def deadly(n):\n    note('deadly')\n    time.sleep(600)\n\
         def mild(n):\n    note('mild')\n    return n\n",
    );
    let begun = || fs::read_to_string(folder.path().join("begun")).unwrap_or_default();
    let run = Beside::start(&folder, "run -s sqlite -q x.hk");
    wait_until("the first call", || begun() == "deadly\n");
    let session = folder.hark("show --json").json()["session"].as_str().unwrap().to_owned();
    folder.run(["resolve", &format!("{session}/begun/1"), "null"]).succeeds();
    wait_until("all calls", || folder.hark("events --unified").stdout.matches("called").count() == 6);
    run.signal("KILL");
    // Two threads make the calls again, so some others may overtake this one. Calls that only waited have not begun, so
    // their losses do not count; this one's do.
    let resumed = Beside::start(&folder, "resume -q");
    wait_until("the second try", || begun().matches("deadly").count() == 2);
    let answered = begun().matches("mild").count();
    wait_until("the others' answers", || {
        folder.hark("events --unified").stdout.matches("returned").count() == answered
    });
    resumed.signal("KILL");
    let last = folder.hark("resume -q");
    let said = "error[worker_lost]: the call of `deadly` was given up: the worker that made it was lost 2 times\n";
    assert!(last.status == 1 && last.stderr.ends_with(said), "{last:?}");
    assert_eq!(last.stderr.matches("worker_lost").count(), 1, "{last:?}");
    assert_eq!(begun().matches("deadly").count(), 2);
    assert_eq!(begun().matches("mild").count(), 5);
}

#[test]
fn a_retry_is_no_loss() {
    let folder = Folder::with("a_retry_is_no_loss", "import(flaky, lib, 0);\nfn main() { flaky() }\n");
    folder.write("hark.toml", "[sessions]\nmax_tries = 1\n");
    folder.write("src/lib.py", "def flaky(): return open('marker').read()\n");
    assert_eq!(folder.hark("run -s sqlite -q x.hk").status, 1);
    folder.write("marker", "there");
    folder.hark("retry -q").is(0, "there\n", "");
}

/// The output of a call is stored while it runs, and the output of a lost attempt is discarded.
#[test]
fn what_a_call_prints_is_kept_in_pieces() {
    const LINES: usize = 8_000;
    let folder =
        Folder::with("what_a_call_prints_is_kept_in_pieces", "import(shout, lib, 1);\nfn main() { shout(8000) }");
    folder.write(
        "src/lib.py",
        "import os, time\ndef shout(n):\n    for i in range(int(n)):\n        print(i, 'x' * 200)\n    \
         while not os.path.exists('go'):\n        time.sleep(0.01)\n    print('end')\n    return int(n)\n",
    );
    let all: String = (0..LINES).map(|number| format!("{number} {}\n", "x".repeat(200))).collect();
    for concurrency in ["threads", "processes"] {
        let run = Beside::start(&folder, &format!("run -s sqlite -q -c {concurrency} x.hk"));
        wait_until("the call has printed all but its end", || {
            folder.hark("stdout --raw").stdout.len() + 400_000 > all.len()
        });
        let kept = folder.hark("stdout --raw").stdout;
        assert!(all.starts_with(&kept), "what is kept is the beginning");
        // Killed.
        drop(run);
        folder.write("go", "");
        assert_eq!(folder.hark("resume -q").status, 0);
        let printed = folder.hark("stdout --raw").stdout;
        assert!(printed == format!("{all}end\n"), "{} bytes, not {}", printed.len(), all.len() + 4);
        assert!(folder.hark("events").stdout.contains("called shout(8000) (try 2)"));
        fs::remove_file(folder.path().join("go")).unwrap();
        fs::remove_dir_all(folder.path().join(".hark")).unwrap();
    }
}

/// An interrupted attempt has not failed: it is repeated, and does not count as one of the `attempts`.
#[test]
fn a_try_that_is_cut_off_is_made_again() {
    let program = "#[retry(attempts: 3, backoff: 0)]\nimport(flaky, lib, 0);\n\
        fn main() { try { flaky() } catch e { map(get(e, \"tries\"), lambda (m) { last(split(m)) }) } }\n";
    let folder = Folder::with("a_try_that_is_cut_off", program);
    folder.write(
        "lib.py",
        "import hark, time\n\
         def flaky():\n    attempt = hark.attempt()\n    open('begun-%d' % attempt, 'w').close()\n    \
         if attempt == 2: time.sleep(3600)\n    raise ValueError(attempt)\n",
    );
    let run = Beside::start(&folder, "run -s sqlite -q x.hk");
    wait_until("the second try", || folder.path().join("begun-2").exists());
    assert_eq!(folder.hark("show --json").json()["threads"][0]["detail"], "flaky, try 2");
    run.signal("KILL");
    drop(run);
    folder.hark("resume -q").is(0, "[\"1\", \"3\", \"4\"]\n", "");
    let events = folder.hark("events --json").json();
    let of_calls = events.as_array().unwrap().iter().filter(|event| event["function"] == "flaky");
    let calls: Vec<(&str, u64)> =
        of_calls.map(|event| (event["event"].as_str().unwrap(), event["attempt"].as_u64().unwrap())).collect();
    let (called, again) = ("called", "tries again");
    assert_eq!(calls, [(called, 1), (again, 2), (called, 2), (called, 3), (again, 3), (called, 4)]);
}
