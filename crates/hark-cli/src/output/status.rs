//! The status line: the last line of the terminal, below everything that is printed.
//!
//! Output must never mix with the status line, so the line is erased before other output and drawn again after it. This process
//! writes to standard output through [`beside`]. Standard error has many writers, including Python functions and their child
//! processes. While a status line is possible, file descriptor 2 is therefore a pseudo-terminal, whose output is forwarded to
//! the terminal by one thread (`relay`).
//!
//! The line is drawn only after a complete line of output, and only by a process in the foreground.

mod relay;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use self::relay::Relay;
use super::patient::Patient;
use crate::render::{Paint, Style, columns, terminal_is_dumb};

/// Moves the cursor to the start of the line and clears it.
const ERASE: &[u8] = b"\r\x1b[K";

/// Whether a status line is possible. If it is not, as in a pipe, output costs only this check.
static IS_ACTIVE: AtomicBool = AtomicBool::new(false);

static LINE: Mutex<Option<Line>> = Mutex::new(None);

/// The terminal and what is shown there.
struct Line {
    terminal: Patient<File>,
    style: Style,
    /// Whether standard output is a terminal as well.
    shares_output: bool,
    text: String,
    is_drawn: bool,
    /// Whether the output so far ends with a complete line.
    is_free: bool,
}

impl Line {
    fn erase(&mut self, out: &mut Vec<u8>) {
        if self.is_drawn {
            out.extend_from_slice(ERASE);
            self.is_drawn = false;
        }
    }

    fn draw(&mut self, out: &mut Vec<u8>) {
        if self.text.is_empty() || !self.is_free || !self.is_in_foreground() {
            return;
        }
        // A character in the last column could make the terminal wrap.
        let width = columns::of_terminal(&self.terminal.0).saturating_sub(1);
        out.extend_from_slice(self.style.paint(Paint::Dim, &columns::cut(&self.text, width)).as_bytes());
        self.is_drawn = true;
    }

    /// A background process would overwrite what the user types. The call fails for a terminal that does not control this
    /// process, which has no foreground group then.
    fn is_in_foreground(&self) -> bool {
        tcgetpgrp(&self.terminal.0).map_or(true, |group| group == getpgrp())
    }

    /// Writes to the terminal. If that fails, there is nowhere to report it.
    fn show(&mut self, bytes: &[u8]) {
        let _ = self.terminal.write_all(bytes).and_then(|()| self.terminal.flush());
    }

    /// Forwards what was written to standard error.
    fn pass_on(&mut self, bytes: &[u8]) {
        let mut out = Vec::with_capacity(bytes.len() + 256);
        self.erase(&mut out);
        out.extend_from_slice(bytes);
        self.note_printed(bytes);
        self.draw(&mut out);
        self.show(&out);
    }

    fn note_printed(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.is_free = *last == b'\n';
        }
    }
}

/// Calls `write`, which writes `bytes` to standard output, with the status line out of the way.
pub fn beside<T>(bytes: &[u8], write: impl FnOnce() -> T) -> T {
    if !IS_ACTIVE.load(Ordering::Acquire) {
        return write();
    }
    let mut line = lock();
    let Some(line) = line.as_mut().filter(|line| line.shares_output) else { return write() };
    let mut out = Vec::new();
    line.erase(&mut out);
    line.show(&out);
    let written = write();
    line.note_printed(bytes);
    out.clear();
    line.draw(&mut out);
    line.show(&out);
    written
}

/// Removes the line for good, for example at a signal. Standard error is still forwarded.
pub fn hide() {
    if let Some(line) = lock().as_mut() {
        line.text = String::new();
        let mut out = Vec::new();
        line.erase(&mut out);
        line.show(&out);
        IS_ACTIVE.store(false, Ordering::Release);
    }
}

/// Owns the status line. Dropping it erases the line and restores standard error.
pub struct StatusLine {
    _relay: Relay,
}

impl StatusLine {
    /// Prepares the terminal. None if standard error is not a terminal that can erase a line, or no pseudo-terminal is available.
    pub fn prepare() -> Option<StatusLine> {
        if !io::stderr().is_terminal() || terminal_is_dumb() {
            return None;
        }
        let terminal = File::from(io::stderr().as_fd().try_clone_to_owned().ok()?);
        *lock() = Some(Line {
            terminal: Patient(terminal),
            style: Style::for_stderr(),
            shares_output: io::stdout().is_terminal(),
            text: String::new(),
            is_drawn: false,
            is_free: true,
        });
        let relay = Relay::start();
        if relay.is_none() {
            *lock() = None;
        }
        let line = StatusLine { _relay: relay? };
        IS_ACTIVE.store(true, Ordering::Release);
        Some(line)
    }

    /// Shows this text from now on, or no line if it is empty.
    pub fn say(&self, text: String) {
        let mut line = lock();
        let Some(line) = line.as_mut().filter(|_| IS_ACTIVE.load(Ordering::Acquire)) else { return };
        line.text = text;
        let mut out = Vec::new();
        line.erase(&mut out);
        line.draw(&mut out);
        line.show(&out);
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        hide();
    }
}

fn lock() -> MutexGuard<'static, Option<Line>> {
    LINE.lock().unwrap_or_else(PoisonError::into_inner)
}
