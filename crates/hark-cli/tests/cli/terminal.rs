//! `hark` on a pseudo-terminal.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::harness::{Folder, wait_until};

/// A command on a terminal.
pub struct OnTerminal {
    child: Child,
    sent: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl OnTerminal {
    /// Starts a command on a terminal of this width.
    pub fn start(mut command: Command, columns: u16) -> OnTerminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = File::from(rustix::fs::open(&name, flags, Mode::empty()).unwrap());
        if !command.get_envs().any(|(name, _)| name == "TERM") {
            command.env("TERM", "xterm");
        }
        command.stdin(Stdio::null()).stderr(slave.try_clone().unwrap());
        command.stdout(slave);
        let child = command.spawn().unwrap();
        // The command holds this side of the terminal.
        drop(command);
        let mut master = File::from(master);
        let sent = Arc::<Mutex<Vec<u8>>>::default();
        let to = sent.clone();
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            // Reading from a terminal whose other side is closed fails instead of returning an end of file.
            while let Ok(count @ 1..) = master.read(&mut piece) {
                to.lock().unwrap().extend(&piece[..count]);
            }
        });
        OnTerminal { child, sent, reader }
    }

    /// Everything written to the terminal so far.
    pub fn sent(&self) -> String {
        let sent = self.sent.lock().unwrap();
        // The last character, or the last line end, may be there in part only.
        let whole = sent.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        whole.strip_suffix('\r').unwrap_or(whole).replace("\r\n", "\n")
    }

    /// Waits until `text` was written to the terminal, after its first `behind` bytes. Returns how many bytes were written by then.
    #[track_caller]
    pub fn wait_for(&self, text: &str, behind: usize) -> usize {
        let mut sent = String::new();
        wait_until(text, || {
            sent = self.sent();
            sent.get(behind..).is_some_and(|sent| sent.contains(text))
        });
        sent.len()
    }

    /// Sends the command a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The exit status, and everything written to the terminal.
    pub fn ended(mut self) -> (i32, String) {
        let status = self.child.wait().unwrap().code().unwrap();
        let sent = self.sent.clone();
        self.reader.join().unwrap();
        let text = String::from_utf8(sent.lock().unwrap().clone()).unwrap();
        (status, text.replace("\r\n", "\n"))
    }
}

/// The output of a successful `hark` on a terminal of this width.
#[track_caller]
pub fn shown(folder: &Folder, line: &str, columns: u16, is_colored: bool) -> String {
    let mut command = folder.command(line.split_whitespace());
    command.env_remove("NO_COLOR");
    if !is_colored {
        command.env("NO_COLOR", "1");
    }
    let (status, text) = OnTerminal::start(command, columns).ended();
    assert_eq!(status, 0, "{text}");
    text
}

/// The text without color codes.
pub fn without_color(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('m').unwrap_or_else(|| panic!("no color: {part:?}"));
        assert!(code.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'), "no color: {part:?}");
        out.push_str(rest);
    }
    out
}

/// The lines that a terminal shows in the end, without what was overwritten or erased. Nothing may wrap.
pub fn screen(sent: &str) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    let mut column = 0;
    let mut rest = sent.chars();
    while let Some(character) = rest.next() {
        let line = lines.last_mut().unwrap();
        match character {
            '\n' => {
                lines.push(Vec::new());
                column = 0;
            }
            '\r' => column = 0,
            '\x1b' => {
                let mut code = String::new();
                while !code.ends_with(|last: char| last.is_ascii_alphabetic()) {
                    code.push(rest.next().unwrap());
                }
                match code.as_str() {
                    "[K" => line.truncate(column),
                    color => assert!(color.ends_with('m'), "no color: {color:?}"),
                }
            }
            other => {
                line.resize(line.len().max(column + 1), ' ');
                line[column] = other;
                column += 1;
            }
        }
    }
    lines.into_iter().map(|line: Vec<char>| line.into_iter().collect()).collect()
}
