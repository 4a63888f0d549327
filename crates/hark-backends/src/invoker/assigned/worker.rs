//! The worker's side.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;

use hark_engine::{Assignment, Engine};
use tracing::warn;

/// Runs the threads that the pool at the other end of the socket assigns, one after another. When the pool is gone,
/// `on_closed` is called, even in the middle of a thread.
///
/// # Errors
/// If the operating system lacks a resource.
pub fn run_assigned(engine: &Engine, socket: UnixStream, on_closed: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (send, lines) = mpsc::channel();
    let reader = BufReader::new(socket.try_clone()?);
    thread::Builder::new().name("hark-pool".to_owned()).spawn(move || {
        for line in reader.lines() {
            if line.is_ok_and(|line| send.send(line).is_ok()) {
                continue;
            }
            break;
        }
        on_closed();
    })?;
    let mut socket = socket;
    for line in lines {
        let end = match line.parse::<Assignment>() {
            Ok(assignment) => {
                let end = engine.run_assigned(std::slice::from_ref(&assignment));
                // Other processes continue the rest.
                end.inspect_err(|error| warn!(session = %assignment.session, %error, "a thread is left to others")).ok()
            }
            Err(error) => {
                warn!(%error, line, "the pool sends what cannot be understood");
                None
            }
        };
        socket.write_all(format!("{}\n", serde_json::to_string(&end)?).as_bytes())?;
    }
    Ok(())
}
