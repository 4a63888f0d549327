//! Clock changes while sessions are running. The library of `faketime` provides the fake clock.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Beside, Folder, wait_until};

const PROGRAM: &str = r#"fn nap(seconds) { print("asleep"); sleep(seconds); "over" }
fn main() { nap(2) }
fn short() { nap(0) }
fn long() { nap(600) }
fn cleans() {
  try { nap(600) } catch e { print("cleaning"); await future("cleaner", 1); print("clean"); error(e) }
}
"#;

const HOUR: i64 = 3_600;
/// Much less than an hour, and more than a short sleep takes on any machine.
const A_WHILE: Duration = Duration::from_secs(300);

/// A folder whose clock can be set.
struct Clock {
    folder: Folder,
    library: PathBuf,
}

impl Clock {
    /// None, with a message, if the library is missing.
    fn new(test: &str) -> Option<Clock> {
        let Some(library) = library() else {
            // Not `eprintln`, whose output is shown only if the test fails.
            let _ = writeln!(std::io::stderr(), "skipped: {test} needs the package `faketime`");
            return None;
        };
        let folder = Folder::with(test, PROGRAM);
        folder.write("hark.toml", "");
        let clock = Clock { folder, library };
        clock.set(0);
        Some(clock)
    }

    /// Sets the clock this many seconds ahead.
    fn set(&self, seconds: i64) {
        // Atomically, because a process may be reading the file.
        self.folder.write("clock.new", format!("{seconds:+}"));
        fs::rename(self.folder.path().join("clock.new"), self.folder.path().join("clock")).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.folder.command(line.split_whitespace());
        command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", self.folder.path().join("clock"));
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command
    }

    /// Starts a session. It is sleeping when this returns.
    fn start(&self, line: &str) -> Sleeper {
        let since = Instant::now();
        let mut child = self.command(line).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        stdout.read_line(&mut first).unwrap();
        assert_eq!(first, "asleep\n", "{line}");
        Sleeper { child, stdout, since }
    }
}

struct Sleeper {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    since: Instant,
}

impl Sleeper {
    /// Waits until it wakes. Returns the duration since its start.
    fn wakes(mut self) -> Duration {
        let mut last = String::new();
        self.stdout.read_line(&mut last).unwrap();
        let slept = self.since.elapsed();
        assert_eq!(last, "over\n");
        assert!(self.child.wait().unwrap().success());
        slept
    }

    fn dies(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let folders = folders.chain(["/usr/lib".into(), "/usr/lib64".into()]);
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

#[test]
fn a_sleep_is_as_long_as_it_is_wherever_the_clock_is_set() {
    let Some(first) = Clock::new("clock_set/0") else { return };
    let mut clocks = vec![first];
    clocks.extend((1..6).filter_map(|number| Clock::new(&format!("clock_set/{number}"))));
    let ways = ["run -q x.hk", "run -q -s sqlite x.hk", "run -q -s sqlite -c processes x.hk"];
    let sleepers: Vec<(String, Sleeper)> = clocks
        .iter()
        .enumerate()
        .map(|(index, clock)| {
            let (way, by) = (ways[index / 2], if index % 2 == 0 { HOUR } else { -HOUR });
            let sleeper = clock.start(way);
            clock.set(by);
            (format!("{way}, {by}"), sleeper)
        })
        .collect();
    for (way, sleeper) in sleepers {
        let slept = sleeper.wakes();
        assert!(slept >= Duration::from_secs(2) && slept < A_WHILE, "{way}: {slept:?}");
    }
}

#[test]
fn across_a_restart_the_clock_counts() {
    let Some(clock) = Clock::new("clock_across_a_restart") else { return };
    clock.start("run -q -s sqlite -f long x.hk").dies();
    clock.set(HOUR);
    let begun = Instant::now();
    let resumed = clock.folder.filtered(clock.command("resume -q").output().unwrap());
    resumed.is(0, "over\n", "");
    assert!(begun.elapsed() < A_WHILE);
}

/// The time in which no process runs the session does not count as cleanup time.
#[test]
fn who_cleans_up_has_time_when_the_session_is_resumed() {
    for lost in [true, false] {
        let Some(clock) = Clock::new(&format!("clock_while_cleaning_up_{lost}")) else { return };
        clock.folder.write("hark.toml", "[sessions]\ncancel_grace = 600\n");
        clock.start("run -q -s sqlite -f cleans x.hk").dies();
        let cancel = Beside::start_command(clock.command("cancel 0"));
        wait_until("the cleaning up", || clock.folder.hark("stdout --raw").stdout.ends_with("cleaning\n"));
        cancel.wait_for_handler();
        if lost {
            cancel.signal("KILL");
            drop(cancel);
        } else {
            cancel.signal("INT");
            assert_eq!(cancel.ended(&clock.folder).status, 130);
        }
        clock.set(HOUR);
        let id = clock.folder.hark("show --json").json()["session"].as_str().unwrap().to_owned();
        clock.folder.run(["resolve", &format!("{id}/cleaner/1"), "1"]).succeeds();
        let resumed = clock.folder.filtered(clock.command("resume -q").output().unwrap());
        assert_eq!((resumed.status, &*resumed.stdout), (1, "clean\n"), "{resumed:?}");
    }
}

/// A process that started with a wrong clock must not set timers by it after the clock was corrected, once it is idle.
#[test]
fn a_worker_that_has_nothing_to_do_follows_the_clock() {
    let Some(clock) = Clock::new("clock_of_a_worker") else { return };
    let mut worker = clock.command("worker -q").spawn().unwrap();
    // The duration of a sleep, from its start to its planned end in clock time, in whole seconds.
    let sleep = || {
        clock.folder.hark("run -s sqlite --detach -f long x.hk");
        let slept = || events(&clock.folder).into_iter().find(|event| event["event"] == "slept");
        wait_until("a sleep", || slept().is_some());
        clock.folder.hark("cancel 0");
        let slept = slept().unwrap();
        (second_of_day(slept["until"].as_str().unwrap()) - second_of_day(slept["time"].as_str().unwrap()))
            .rem_euclid(24 * HOUR)
    };
    let is_by_the_clock = |length: i64| (540..=660).contains(&length);
    assert!(is_by_the_clock(sleep()));
    clock.set(HOUR);
    // It adopts the new clock when it sweeps while idle, for which it needs time: on a busy machine more.
    let mut idle = Duration::from_secs(2);
    wait_until("a sleep by the new clock", || {
        thread::sleep(idle);
        idle *= 2;
        is_by_the_clock(sleep())
    });
    worker.kill().unwrap();
    worker.wait().unwrap();
}

fn events(folder: &Folder) -> Vec<serde_json::Value> {
    folder.hark("events --json").json().as_array().unwrap().clone()
}

/// The seconds since midnight, of a time as printed by `hark`.
fn second_of_day(time: &str) -> i64 {
    let part = |at: usize| time[at..at + 2].parse::<i64>().unwrap();
    part(11) * HOUR + part(14) * 60 + part(17)
}

#[test]
fn what_ended_in_the_future_can_be_pruned() {
    let Some(clock) = Clock::new("clock_was_ahead") else { return };
    clock.set(24 * HOUR);
    assert!(clock.command("run -q -s sqlite -f short x.hk").output().unwrap().status.success());
    clock.folder.hark("run -q -s sqlite -f short x.hk").is(0, "asleep\nover\n", "");
    clock.folder.hark("prune --older-than 2d").is(0, "removed 0 sessions\n", "");
    clock.folder.hark("prune --older-than 12h").is(0, "removed 1 session\n", "");
    clock.folder.hark("prune --older-than 0s").is(0, "removed 1 session\n", "");
}
