//! Pools that no live process serves: what commands say of them, and which sessions they run themselves.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::harness::{Beside, Folder, wait_until};
use crate::leases::end;
use crate::pools::{SETTINGS, calls, folder, start, state, wait_for_end, worker};

const NO_GPU: &str = "no worker serves pool `gpu`; start one with `hark worker --pool gpu`\n";

/// A worker of the pool `gpu`, which has announced itself.
fn gpu_worker(folder: &Folder) -> Beside {
    let worker = worker(folder, "gpu", "--pool gpu");
    let servers = folder.path().join(".hark/servers");
    let has_announced = || {
        let files = fs::read_dir(&servers).into_iter().flatten().flatten();
        files.into_iter().any(|file| fs::read_to_string(file.path()).is_ok_and(|text| text.starts_with("gpu\n")))
    };
    wait_until("the worker", has_announced);
    worker
}

#[test]
fn what_runs_a_session_says_once_which_pool_nobody_serves() {
    let folder = folder("what_runs_a_session_says_once");
    let run = Beside::start(&folder, "run x.hk -f many 3");
    // Several looks.
    wait_until("the calls", || folder.hark("show").stdout.matches("of pool `gpu` to call").count() == 3);
    let note = format!("note     {}", NO_GPU);
    assert!(folder.hark("show").stdout.contains(&note), "{}", folder.hark("show").stdout);
    thread::sleep(Duration::from_secs(3));
    let gpu = gpu_worker(&folder);
    let run = run.ended(&folder);
    assert_eq!((run.status, run.stdout.as_str(), run.stderr.matches(NO_GPU).count()), (0, "30\n", 1), "{}", run.stderr);
    assert!(!folder.hark("show").stdout.contains("note"));
    // With that worker there is nothing to say.
    let run = folder.hark("run x.hk -f many 3");
    assert!(run.status == 0 && !run.stderr.contains("no worker"), "{}", run.stderr);
    end(&folder, vec![gpu]);
}

#[test]
fn a_worker_of_another_pool_does_not_keep_a_session_from_being_resumed() {
    let folder = folder("a_worker_of_another_pool_does_not_keep");
    let gpu = gpu_worker(&folder);
    let session = start(&folder, "-f many 2");
    let resumed = folder.hark("resume");
    assert!(resumed.status == 0 && resumed.stdout == "10\n", "{}{}", resumed.stdout, resumed.stderr);
    assert!(resumed.stderr.contains(&format!("session {session} finished")), "{}", resumed.stderr);
    let session = start(&folder, "-f many 2");
    assert_eq!(folder.hark(&format!("resume -q {session}")).stdout, "10\n");
    assert_eq!((state(&folder).as_str(), calls(&folder).get("infer gpu")), ("finished", Some(&4)));
    end(&folder, vec![gpu]);
    // A worker of the default pool does; but the pool that it needs is named.
    let workers = vec![worker(&folder, "default", "")];
    let session = start(&folder, "-f many 1");
    wait_until("the call of another pool", || folder.hark("show").stdout.contains("of pool `gpu`"));
    let resumed = folder.hark("resume");
    assert!(resumed.stdout.starts_with("no sessions to resume"), "{}", resumed.stdout);
    assert_eq!((resumed.status, resumed.stderr.as_str()), (0, NO_GPU));
    let refused = folder.hark(&format!("resume {session}"));
    assert!(refused.stderr.contains("another process serves it; no worker serves pool `gpu`"), "{}", refused.stderr);
    end(&folder, workers);
}

#[test]
fn a_retried_session_is_left_only_to_those_who_run_it() {
    let folder = folder("a_retried_session_is_left_only_to");
    let default = worker(&folder, "default", "");
    let broken = || {
        folder.write("bad", "");
        let session = start(&folder, "-f breaks");
        wait_until("the failure", || state(&folder) == "broken");
        fs::remove_file(folder.path().join("bad")).unwrap();
        session
    };
    let session = broken();
    let retried = folder.hark(&format!("retry {session}"));
    assert_eq!((retried.status, retried.stdout), (0, format!("a worker continues {session}\n")));
    let gpu = gpu_worker(&folder);
    wait_for_end(&folder);
    let session = broken();
    // It has told of the sessions that broke.
    default.signal("TERM");
    assert_eq!(default.ended(&folder).status, 0);
    let retried = folder.hark(&format!("retry {session}"));
    assert_eq!((retried.status, retried.stdout.as_str()), (0, "30\n"), "{}", retried.stderr);
    gpu.signal("TERM");
    assert_eq!(gpu.ended(&folder).status, 0);
}

/// Its threads of the default pool clean up in the process of the command, long before their time is up.
#[test]
fn a_session_is_cancelled_that_only_workers_of_another_pool_serve() {
    let folder = folder("a_session_is_cancelled_that_only_workers");
    let first = worker(&folder, "default", "");
    let session = start(&folder, "-f tidies");
    wait_until("the sleep", || folder.hark("show").stdout.contains("sleeping"));
    end(&folder, vec![first]);
    let gpu = gpu_worker(&folder);
    // Longer than this test may take.
    folder.write("hark.toml", SETTINGS.replace("lease = 1", "lease = 1\ncancel_grace = 1000"));
    let cancelled = folder.hark(&format!("cancel {session}"));
    cancelled.is(0, &format!("cancelled {session}\n"), "");
    assert_eq!(folder.hark("stdout --raw").stdout, "tidied up\n");
    end(&folder, vec![gpu]);
}

#[test]
fn who_is_interrupted_names_the_command_that_goes_on() {
    let folder = folder("who_is_interrupted_names_the_command");
    let gpu = gpu_worker(&folder);
    let run = Beside::start(&folder, "run x.hk -f tidies");
    wait_until("the sleep", || folder.hark("show").stdout.contains("sleeping"));
    run.signal("INT");
    let run = run.ended(&folder);
    assert!(run.stderr.contains("suspended; `hark resume "), "{}", run.stderr);
    end(&folder, vec![gpu]);
}

#[test]
fn a_worker_says_which_pools_it_serves() {
    let folder = folder("a_worker_says_which_pools_it_serves");
    let said = |line: &str| {
        let worker = Beside::start(&folder, line);
        worker.wait_for_handler();
        worker.signal("TERM");
        worker.ended(&folder).stderr
    };
    assert_eq!(said("worker"), "serving pool `default` of [FOLDER]/.hark; Ctrl-C stops it\n");
    let both = "serving pools `default`, `gpu` of [FOLDER]/.hark; Ctrl-C stops it\n";
    assert_eq!(said("worker --pool gpu --pool default"), both);
    // They have no effect where a process runs a whole session.
    folder.write("hark.toml", SETTINGS.replace("threads", "sessions"));
    fs::remove_dir_all(folder.path().join(".hark")).unwrap();
    let served = "serving [FOLDER]/.hark; Ctrl-C stops it\n";
    assert_eq!(said("worker"), served);
    let warned = said("worker --pool gpu");
    let hint = "hint: `tenure = \"threads\"` under `[sessions]` in hark.toml ";
    assert!(warned.starts_with(&format!("{served}warning: its pools have no effect here")), "{warned}");
    assert!(warned.contains(hint), "{warned}");
    let refused = folder.hark("worker --pool g:1");
    let why = "`g:1` is not a pool: its name has letters, digits, `-`, `_` and `.`, at most 64";
    assert!(refused.status == 2 && refused.stderr.contains(why), "{}", refused.stderr);
}

/// The note on an attribute without effect goes by the storage that is used, whatever hark.toml says.
#[test]
fn the_note_on_pools_goes_by_the_storage_in_use() {
    let folder = folder("the_note_on_pools_goes_by");
    let is_noted = |line: &str| folder.hark(line).stderr.contains("HK0039");
    assert!(!is_noted("run x.hk -f tidy"), "workers share threads");
    assert!(is_noted("run -s memory x.hk -f tidy"));
    folder.write("hark.toml", "");
    assert!(is_noted("run -s sqlite x.hk -f tidy"));
    if cfg!(feature = "dynamodb") {
        // The program is compiled before the options of the storage are looked at, which no table has.
        let refused = folder.hark("run -s dynamodb --data-dir kept x.hk -f tidy").stderr;
        assert!(refused.starts_with("error: `--data-dir` names the folder of a file"), "{refused}");
    }
}
