//! Sending signals to the processes that a worker leaves.

use rustix::process::{Pid, Signal};

/// Sends a signal to each current child that has not received it, including those that became children of this process
/// when their parents ended. A pid cannot be reused before its process is reaped here.
#[cfg(target_os = "linux")]
pub fn signal_children(_python: Pid, signal: Signal, told: &mut Vec<Pid>) {
    for child in children() {
        if !told.contains(&child) {
            // An error means that the process belongs to another user or has ended.
            let _ = rustix::process::kill_process(child, signal);
            told.push(child);
        }
    }
}

#[cfg(target_os = "linux")]
fn children() -> Vec<Pid> {
    let me = std::process::id().to_string();
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let number = |name: std::ffi::OsString| name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
    let numbers = processes.filter_map(|entry| number(entry.ok()?.file_name()));
    numbers.filter(|process| parent(*process).is_some_and(|parent| parent == me)).collect()
}

/// The parent of a process: the second field after its name, which is in parentheses and may itself contain some.
#[cfg(target_os = "linux")]
fn parent(process: Pid) -> Option<String> {
    let status = std::fs::read(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    let status = String::from_utf8_lossy(&status);
    let (_, fields) = status.rsplit_once(')')?;
    fields.split_whitespace().nth(1).map(str::to_owned)
}

/// Without subreapers, the signal goes to the process group that Python leads.
#[cfg(not(target_os = "linux"))]
pub fn signal_children(python: Pid, signal: Signal, told: &mut Vec<Pid>) {
    if !told.contains(&python) {
        // An error means that the group is empty.
        let _ = rustix::process::kill_process_group(python, signal);
        told.push(python);
    }
}
