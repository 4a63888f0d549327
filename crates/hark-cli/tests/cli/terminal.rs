//! `hark` on a pseudo-terminal.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::harness::Folder;

/// A command on a terminal.
pub struct OnTerminal {
    child: Child,
    screen: JoinHandle<String>,
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
        command.env("TERM", "xterm").stdin(Stdio::null()).stderr(slave.try_clone().unwrap());
        command.stdout(slave);
        let child = command.spawn().unwrap();
        // The command holds this side of the terminal.
        drop(command);
        let mut master = File::from(master);
        let screen = thread::spawn(move || {
            let (mut text, mut piece) = (Vec::new(), [0; 4096]);
            // Reading from a terminal whose other side is closed fails instead of returning an end of file.
            while let Ok(count @ 1..) = master.read(&mut piece) {
                text.extend(&piece[..count]);
            }
            String::from_utf8(text).unwrap().replace("\r\n", "\n")
        });
        OnTerminal { child, screen }
    }

    /// The exit status, and everything written to the terminal.
    pub fn ended(mut self) -> (i32, String) {
        let status = self.child.wait().unwrap().code().unwrap();
        (status, self.screen.join().unwrap())
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
