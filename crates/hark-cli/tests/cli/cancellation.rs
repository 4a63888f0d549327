//! Cancelled threads, in cases that need time, Python, a setting or a stored session.

use std::time::Instant;

use serde_json::json;

use crate::harness::{Folder, PATIENCE};

/// Both ways to run a program: in memory, and stored.
const WAYS: [&str; 2] = ["run -q x.hk", "run -q -s sqlite x.hk"];

/// The result of each way. Both must end soon.
fn results(folder: &Folder, function: &str) -> Vec<serde_json::Value> {
    let results = WAYS.iter().map(|way| {
        let begun = Instant::now();
        let report = folder.hark(&format!("{way} --json -f {function}")).json();
        assert!(begun.elapsed() < PATIENCE, "{report}");
        assert_eq!(report["status"], "finished", "{report}");
        report["result"].clone()
    });
    results.collect()
}

#[test]
fn what_goes_on_for_too_long_is_stopped() {
    let program = "fn loops(n) { loops(n + 1) }\nfn naps(n) { try { sleep(3600) } catch { naps(n + 1) } }\n\
        fn catches_and(f, p) { try { cancel(p); sleep(3600) } catch { f(0) } }\n\
        fn ended(f) { p = promise(); g = async catches_and(f, p); try { await p } catch { null }; cancel(g); try { await g } catch e { [get(e, \"kind\"), get(e, \"message\")] } }\n\
        fn in_a_loop() { ended(loops) }\nfn in_a_wait() { ended(naps) }\n";
    let folder = Folder::with("what_goes_on_for_too_long", program);
    folder.write("hark.toml", "[sessions]\ncancel_grace = 1\n");
    let stopped = json!(["cancelled", "the thread was cancelled, and stopped as it went on for 1 second"]);
    for function in ["in_a_loop", "in_a_wait"] {
        assert_eq!(results(&folder, function), [stopped.clone(), stopped.clone()], "{function}");
    }
    let shown = folder.hark("show --json").json();
    assert_eq!(shown["threads"][1]["state"], "cancelled", "{shown}");
    let events = folder.hark("events --json").json();
    let of_thread = events.as_array().unwrap().iter().filter(|event| event["thread"] == 1);
    let names: Vec<&str> = of_thread.filter_map(|event| event["event"].as_str()).collect();
    // The thread may have been cancelled just before its sleep, or, on a busy machine, may not have run within its
    // second.
    let others: Vec<&str> = names.into_iter().filter(|name| *name != "slept").collect();
    assert_eq!(others, ["started", "cancelled", "stopped", "broke"], "{events}");
}

#[test]
fn a_call_of_python_is_stopped() {
    let program = "import(sleep, time, 1, nap);\nimport(touch, lib, 1);\nimport(wait_for, lib, 1);\n\
        fn naps() { try { touch(\"begun\"); nap(3600) } catch e { touch(\"cleaned up\"); error(e) } }\n\
        fn main() { f = async naps(); wait_for(\"begun\"); sleep(0.3); cancel(f); try { await f } catch e { get(e, \"kind\") } }\n";
    for way in WAYS {
        let folder = Folder::with("a_call_of_python_is_stopped", program);
        folder.write(
            "lib.py",
            "import os, time\ndef touch(name):\n    open(name, 'w').close()\n\
             def wait_for(name):\n    while not os.path.exists(name):\n        time.sleep(0.01)\n",
        );
        let begun = Instant::now();
        folder.hark(way).is(0, "cancelled\n", "");
        assert!(begun.elapsed() < PATIENCE && folder.path().join("cleaned up").exists());
    }
}

#[test]
fn a_timeout_ends_a_loop() {
    let program = "fn loops(n) { loops(n + 1) }\n#[timeout(0.2)]\nfn endless() { loops(0) }\n\
        fn main() { try { endless() } catch e { get(e, \"message\") } }\n";
    let folder = Folder::with("a_timeout_ends_a_loop", program);
    let message = json!("`endless` did not end within 0.2 seconds");
    assert_eq!(results(&folder, "main"), [message.clone(), message]);
}

#[test]
fn a_retried_session_begins_cancelled_elements_anew() {
    let program = "import(flaky, lib, 1);\n\
        fn element(x) { print(x); if x == 2 { sleep(1); flaky(x) } else if x == 1 { x } else { sleep(if known() { 0 } else { 3600 }); x } }\n\
        import(known, lib, 0);\n\
        fn main() { sum(map_async([1, 2, 3], element)) }\nfn limited() { sum(map_async([1, 2, 3], element, 2)) }\n";
    for function in ["main", "limited"] {
        let folder = Folder::with(&format!("a_retried_session_begins_{function}"), program);
        folder.write(
            "lib.py",
            "import os\ndef known():\n    return os.path.exists('marker')\n\
             def flaky(x):\n    if not known():\n        raise ValueError('not yet')\n    return x\n",
        );
        let run = folder.hark(&format!("run -s sqlite -q x.hk -f {function}"));
        assert!(run.status == 1 && run.stderr.contains("ValueError: not yet"), "{run:?}");
        let states: Vec<String> = folder.hark("show --json").json()["threads"]
            .as_array()
            .unwrap()
            .iter()
            .map(|thread| thread["state"].as_str().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(states[0], "broken", "{states:?}");
        folder.write("marker", "");
        let run = folder.hark("retry");
        assert!(run.status == 0 && run.stdout.ends_with("\n6\n"), "{run:?}");
        assert!(!run.stdout.contains("1\n2"), "what had a value is not begun anew: {run:?}");
    }
}

/// In virtual time, so that the ten seconds granted to a cancelled thread pass at once.
#[test]
fn what_a_thread_starts_to_clean_up_is_cancelled_when_it_is_stopped() {
    let program = r#"//! main() => "cancelled"
//! main() prints "child cancelled\n"
fn child() { try { sleep(60); print("went on") } catch e { print("child " + get(e, "kind")) } }
fn parent() { try { sleep(60) } catch { await async child() } }
fn main() { p = async parent(); sleep(1); cancel(p); try { await p } catch e { get(e, "kind") } }
"#;
    let folder = Folder::with("cancelled_cleaning_up", program);
    folder.hark("test -q x.hk").is(0, "1 passed, 0 failed\n", "");
}
