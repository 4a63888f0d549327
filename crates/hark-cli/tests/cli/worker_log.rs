//! What a worker logs about the sessions it serves.

use crate::harness::{Beside, wait_until};
use crate::sessions::{detach, folder, printed, state};

/// A worker's log lines about a session, without times and ids.
pub fn logged(stderr: &str, id: &str) -> Vec<String> {
    let of_session = stderr.lines().filter_map(|line| line.split_once(&format!("Z {id} ")));
    let without_duration = |(time, text): (&str, &str)| {
        assert_eq!((time.len(), &time[4..5], &time[10..11]), (19, "-", "T"), "{time}");
        let Some((before, after)) = text.split_once(" after ") else { return text.to_owned() };
        let error = after.find(": ").map_or("", |at| &after[at..]);
        format!("{before} after [TIME]{error}")
    };
    of_session.map(without_duration).collect()
}

/// With `--quiet`, for a session left by another process, and for threads shared by workers.
#[test]
fn a_worker_logs_what_matters() {
    let folder = folder("a_worker_logs_what_matters");
    let left = detach(&folder, "-f named");
    let run = Beside::start(&folder, &format!("resume -q {left}"));
    wait_until("the first line", || printed(&folder) == ["ready"]);
    run.signal("KILL");
    drop(run);
    folder.write("x.hk", format!("{}// changed\n", folder.read("x.hk")));
    let worker = Beside::start(&folder, "worker");
    wait_until("the worker", || state(&folder) == "running");
    folder.run(["resolve", &format!("{left}/door/1"), "7"]).succeeds();
    wait_until("the end", || state(&folder) == "finished");
    worker.signal("TERM");
    let note = "x.hk has changed since the session was started; the session keeps its original program";
    let expected = [&format!("resumed named(); {note}"), "finished named() after [TIME]"];
    assert_eq!(logged(&worker.ended(&folder).stderr, &left), expected);
    for tenure in ["sessions", "threads"] {
        folder.write("hark.toml", format!("[sessions]\ntenure = \"{tenure}\"\n"));
        let (worker, quiet) = (Beside::start(&folder, "worker"), "worker -q");
        let good = detach(&folder, "-f named");
        wait_until("the line", || printed(&folder) == ["ready"]);
        folder.run(["resolve", &format!("{good}/door/1"), "7"]).succeeds();
        wait_until("the end", || state(&folder) == "finished");
        worker.signal("TERM");
        let said = worker.ended(&folder).stderr;
        assert_eq!(logged(&said, &good), ["started named()", "finished named() after [TIME]"], "{said}");
        let worker = Beside::start(&folder, quiet);
        let fine = detach(&folder, "-f add 1 2");
        wait_until("the end", || state(&folder) == "finished");
        let bad = detach(&folder, "-f bad");
        wait_until("the end", || state(&folder) == "broken");
        worker.signal("TERM");
        let said = worker.ended(&folder).stderr;
        assert_eq!((logged(&said, &fine).len(), logged(&said, &bad).len()), (0, 1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// Each change that another command makes to a session has its line, whichever process commits it.
#[test]
fn a_worker_logs_cancellations_and_retries() {
    let modes =
        ["sessions", "threads"].into_iter().flat_map(|tenure| ["threads", "processes"].map(|kind| (tenure, kind)));
    for (tenure, concurrency) in modes {
        let folder = folder("a_worker_logs_cancellations");
        folder.write("hark.toml", format!("[sessions]\ntenure = \"{tenure}\"\n"));
        let worker = Beside::start(&folder, &format!("worker -c {concurrency}"));
        let ids = ["waits", "outer", "named", "inner"].map(|name| detach(&folder, &format!("-f {name}")));
        let [waiting, parent, cleaned, failing] = &ids;
        let states = || ids.each_ref().map(|id| folder.hark(&format!("show --json {id}")).json()["status"].clone());
        wait_until("all of them", || states() == ["running", "broken", "running", "broken"]);
        let events = |id: &str| folder.hark(&format!("events {id}")).stdout;
        wait_until("the waits", || [waiting, cleaned].iter().all(|id| events(id).contains("waits for")));
        folder.hark(&format!("cancel --now {waiting}")).succeeds();
        folder.hark(&format!("cancel {cleaned}")).succeeds();
        folder.write("marker", "");
        folder.hark(&format!("retry -q {parent}")).succeeds();
        folder.hark(&format!("retry -q {failing}")).succeeds();
        wait_until("all ends", || states() == ["cancelled", "finished", "cancelled", "finished"]);
        // The line of an end from outside comes when the worker notices it.
        std::thread::sleep(std::time::Duration::from_secs(2));
        worker.signal("TERM");
        let said = worker.ended(&folder).stderr;
        let of = |id: &str| logged(&said, id);
        let mode = format!("{tenure}, {concurrency}: {said}");
        assert_eq!(of(waiting), ["started waits()", "cancelled waits() after [TIME]"], "{mode}");
        assert_eq!(of(cleaned), ["started named()", "cancelled named() after [TIME]"], "{mode}");
        for (id, call) in [(parent, "outer()"), (failing, "inner()")] {
            let error = "python: `lib.flaky` raised ValueError: not yet";
            let expected = [
                format!("started {call}"),
                format!("broken {call} after [TIME]: {error}"),
                format!("retried {call}"),
                format!("finished {call} after [TIME]"),
            ];
            assert_eq!(of(id), expected, "{mode}");
        }
    }
}

/// The pool's process tells the end, and the worker may have seen it in the session's record before.
#[test]
fn a_worker_logs_each_end_that_its_pool_commits() {
    let folder = folder("a_worker_logs_each_end");
    folder.write("hark.toml", "[sessions]\ntenure = \"threads\"\n");
    let worker = Beside::start(&folder, "worker -c processes");
    let ids: Vec<String> = (0..40).map(|n| detach(&folder, &format!("-f add {n} 2"))).collect();
    let is_over = |id: &String| folder.hark(&format!("show --json {id}")).json()["status"] == "finished";
    wait_until("the ends", || ids.iter().all(is_over));
    // The line comes when the process of the pool has told the worker.
    std::thread::sleep(std::time::Duration::from_secs(1));
    worker.signal("TERM");
    let said = worker.ended(&folder).stderr;
    for (n, id) in ids.iter().enumerate() {
        let call = format!("add(\"{n}\", \"2\")");
        assert_eq!(logged(&said, id), [format!("started {call}"), format!("finished {call} after [TIME]")], "{said}");
    }
}

/// A worker once knew of a retry only if it had seen the session break. In a pool that `hark retry` does not serve, since it
/// might run the session itself.
#[test]
fn a_worker_logs_the_retry_of_a_session_that_broke_in_another() {
    let folder = folder("a_worker_logs_the_retry");
    folder.write("hark.toml", "[sessions]\ntenure = \"threads\"\n");
    let text = folder.read("x.hk");
    let pooled = ["outer", "inner"]
        .iter()
        .fold(text, |text, name| text.replace(&format!("fn {name}("), &format!("#[pool(\"far\")]\nfn {name}(")));
    folder.write("x.hk", pooled);
    let first = Beside::start(&folder, "worker --pool far");
    let id = detach(&folder, "-f outer");
    wait_until("the failure", || state(&folder) == "broken");
    first.signal("TERM");
    assert_eq!(logged(&first.ended(&folder).stderr, &id).len(), 2);
    let others = ["worker --pool far", "worker --pool far -c processes"].map(|command| Beside::start(&folder, command));
    folder.write("marker", "");
    folder.hark(&format!("retry -q {id}")).succeeds();
    wait_until("the end", || state(&folder) == "finished");
    std::thread::sleep(std::time::Duration::from_secs(1));
    let said = others.map(|worker| {
        worker.signal("TERM");
        worker.ended(&folder).stderr
    });
    let mut lines: Vec<String> = said.iter().flat_map(|said| logged(said, &id)).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["finished outer() after [TIME]", "retried outer()"], "{said:?}");
}
