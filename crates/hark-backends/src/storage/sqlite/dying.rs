//! Detects processes that were killed but have not ended yet.
//!
//! A process with much memory takes a while to end, and holds its locks until then: it seems alive but does nothing any
//! more. Linux shows this in `/proc`; on other systems no process is considered dying.

use std::fs;

/// The flag of a process that has begun to exit.
const EXITING: u64 = 0x4;

/// The bit of SIGKILL in a set of signals.
const KILL: u64 = 1 << 8;

/// Whether this process was killed or is exiting.
pub(super) fn is_dying(process: u32) -> bool {
    // In this order: the signal is no longer pending once the process exits.
    is_killed(process) || is_exiting(process)
}

fn is_killed(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| {
        let set = line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:"));
        set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & KILL != 0)
    })
}

fn is_exiting(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The second field, the name, is in parentheses and may contain any character. The state is the third field, the
    // flags are the ninth.
    let mut fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
    let is_gone = matches!(fields.next(), Some("Z" | "X"));
    let flags = fields.nth(5).and_then(|flags| flags.parse::<u64>().ok());
    is_gone || flags.is_some_and(|flags| flags & EXITING != 0)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, id};

    use super::*;

    #[test]
    fn a_process_that_was_killed_is_dying_until_someone_asks_for_its_end() {
        assert!(!is_dying(id()));
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(!is_dying(child.id()));
        child.kill().unwrap();
        // Between receiving the signal and beginning to exit, it may be descheduled.
        let mut looks = 0..60_000;
        while cfg!(target_os = "linux") && !is_dying(child.id()) {
            assert!(looks.next().is_some(), "it was never dying");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.wait().unwrap();
        assert!(!is_dying(child.id()));
    }
}
