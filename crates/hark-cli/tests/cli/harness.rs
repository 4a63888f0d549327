//! Test folders, and running `hark` in them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A folder for a single test.
pub struct Folder {
    path: PathBuf,
}

/// The outcome of a run of `hark`.
#[derive(Debug)]
pub struct Run {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Folder {
    /// An empty folder for the test of this name.
    pub fn new(test: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder { path: path.canonicalize().unwrap() }
    }

    /// A folder with one program, `x.hk`.
    pub fn with(test: &str, program: &str) -> Folder {
        let folder = Folder::new(test);
        folder.write("x.hk", program);
        folder
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes an executable file, through another process. If this process wrote it, a child started by another test
    /// might inherit the open file, which then could not be executed.
    pub fn write_script(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let write = r#"printf '%s' "$1" > "$2" && chmod +x "$2""#;
        assert!(Command::new("sh").args(["-c", write, "sh", text]).arg(path).status().unwrap().success());
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path.join(name)).unwrap()
    }

    /// A command that runs `hark` in this folder.
    pub fn command(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hark"));
        command.current_dir(&self.path).args(words).env_remove("VIRTUAL_ENV").stdin(Stdio::null());
        command
    }

    /// Runs `hark` with the words in a line.
    #[track_caller]
    pub fn hark(&self, line: &str) -> Run {
        self.run(line.split_whitespace())
    }

    /// Runs `hark` with these words.
    #[track_caller]
    pub fn run(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
        self.filtered(self.command(words).output().unwrap())
    }

    /// Like `run`, with this text on standard input.
    #[track_caller]
    pub fn run_with_input(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>, input: &str) -> Run {
        self.write("input", input);
        let input = std::fs::File::open(self.path.join("input")).unwrap();
        self.filtered(self.command(words).stdin(input).output().unwrap())
    }

    /// Replaces the elapsed time and this folder's name in the output.
    pub fn filtered(&self, output: Output) -> Run {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(&self.path.display().to_string(), "[FOLDER]");
            text.split_inclusive('\n').map(without_time).collect()
        };
        Run {
            status: output.status.code().expect("hark was killed by a signal"),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

fn without_time(line: &str) -> &str {
    if line.starts_with("-- ") && line.ends_with(" s\n") { "-- [TIME]\n" } else { line }
}

impl Run {
    /// Checks that the run succeeded.
    #[track_caller]
    pub fn succeeds(&self) {
        assert_eq!(self.status, 0, "{self:?}");
    }

    /// Checks the exit status, standard output and standard error.
    #[track_caller]
    pub fn is(&self, status: i32, stdout: &str, stderr: &str) {
        assert_eq!(self.stdout, stdout, "standard output; {self:#?}");
        assert_eq!(self.stderr, stderr, "standard error; {self:#?}");
        assert_eq!(self.status, status, "exit status");
    }

    /// The JSON object on standard output.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }
}

/// Long enough for any step on any machine.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A `hark` that runs concurrently with the test, and is killed with it.
pub struct Beside(Option<Child>);

impl Beside {
    pub fn start(folder: &Folder, line: &str) -> Beside {
        Beside::start_command(folder.command(line.split_whitespace()))
    }

    pub fn start_command(mut command: Command) -> Beside {
        Beside(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()))
    }

    pub fn signal(&self, name: &str) {
        assert!(signal(name, self.id()));
    }

    pub fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    /// Waits until the process handles an interrupt: before that, an interrupt would kill it.
    #[track_caller]
    pub fn wait_for_handler(&self) {
        const INTERRUPT: u64 = 1 << 1;
        let path = format!("/proc/{}/status", self.id());
        wait_until("a handler of SIGINT", || {
            let status = fs::read_to_string(&path).unwrap_or_default();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
            caught.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & INTERRUPT != 0)
        });
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// The processes that it has started, for example the workers of a supervisor.
    pub fn children(&self) -> Vec<u32> {
        let parent = format!("PPid:\t{}", self.id());
        let is_child = |id: &u32| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            status.lines().any(|line| line == parent)
        };
        let entries = fs::read_dir("/proc").unwrap();
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(is_child).collect()
    }

    pub fn ended(mut self, folder: &Folder) -> Run {
        folder.filtered(self.0.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Stops processes at a moment when none of them is committing: the file would stay locked while they are stopped.
pub fn stop_between_commits(folder: &Folder, processes: &[u32]) {
    let file = rusqlite::Connection::open(folder.path().join(".hark/hark.db")).unwrap();
    file.busy_timeout(Duration::from_millis(100)).unwrap();
    // A process that was stopped for long may have been replaced.
    let signal = |name: &str| {
        for process in processes {
            let _ = signal(name, *process);
        }
    };
    wait_until("a moment between commits", || {
        signal("STOP");
        wait_until("their stop", || processes.iter().all(|process| is_still(*process)));
        let is_free = file.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok();
        if !is_free {
            signal("CONT");
        }
        is_free
    });
}

/// Whether all threads of a process are stopped or have ended.
fn is_still(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let mut stats = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    stats.all(|stat| [") T ", ") Z ", ") X "].iter().any(|state| stat.contains(state)))
}

/// Sends a signal. Returns whether the process exists.
fn signal(name: &str, process: u32) -> bool {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{name}"), &process.to_string()]).stderr(Stdio::null()).status().unwrap().success()
}

/// Whether a process with this id is running.
pub fn is_running(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| ![") Z ", ") X "].iter().any(|ended| stat.contains(ended)))
}

/// Polls until the condition holds.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what} never came");
        thread::sleep(Duration::from_millis(10));
    }
}
