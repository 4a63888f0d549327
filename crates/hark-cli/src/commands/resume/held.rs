//! Sessions that another process seems to hold, where only a lease shows whether that process is alive.
//!
//! A live process renews its leases. So if a session is still held after a whole lease, its process continues it; if
//! its lease expires before, its process is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hark_backends::System;
use hark_engine::{Filter, SessionId, SessionState, Storage, StorageError, Surroundings};

use super::Ends;
use crate::failure::Failure;
use crate::storage::{self, Kept};

/// How many times a session is polled during a lease.
const LOOKS: u32 = 20;
/// How long the end of the command may go unnoticed.
const NAP: Duration = Duration::from_millis(50);

/// The sessions that other processes seem to hold.
pub(super) struct Held {
    pub sessions: Vec<SessionId>,
    lease: Duration,
}

impl Held {
    /// The held ones among all unfinished sessions, or only this one. None where it is known whether a process is
    /// alive.
    pub fn find(kept: &Kept, only: Option<&SessionId>) -> Result<Held, Failure> {
        let Some(lease) = kept.lease_of_the_lost() else {
            return Ok(Held { sessions: Vec::new(), lease: Duration::ZERO });
        };
        let prefix = only.map(|id| id.as_str().to_owned());
        let running = Filter { state: Some(SessionState::Running), prefix, ..Filter::default() };
        let catalog = kept.catalog().ok_or_else(|| Failure::usage("this storage does not keep sessions"))?;
        let listed = catalog.list(&running).map_err(storage::failure)?;
        let held = listed.into_iter().flatten().filter(|summary| summary.is_served);
        Ok(Held { sessions: held.map(|summary| summary.id).collect(), lease })
    }

    /// The message before waiting for them.
    pub fn note(&self) -> String {
        let (subject, they) = match &self.sessions[..] {
            [id] => (format!("session {id} is held by another process"), "it continues"),
            several => (format!("{} sessions are held by other processes", several.len()), "they continue"),
        };
        format!("{subject}: {they} here within {} s, unless that process is alive", self.lease.as_secs_f64().ceil())
    }

    /// Resumes each of them when its lease expires, until the command is `interrupted` or all are known. `resume`
    /// returns whether the session is unfinished.
    pub fn watch(
        self,
        storage: Arc<dyn Storage>,
        ends: Arc<Ends>,
        interrupted: Arc<AtomicBool>,
        resume: impl Fn(&SessionId) -> Result<bool, StorageError> + Send + 'static,
    ) -> Result<JoinHandle<()>, Failure> {
        let Held { sessions: mut left, lease } = self;
        let pause = lease / LOOKS;
        // Leases are renewed in thirds of their length, and machines' clocks differ a little.
        let patience = lease + lease / 3;
        let is_held = move |id: &SessionId| storage.tenure().is_served_elsewhere(id, System.steady_now());
        let watch = move || {
            let (begun, mut looked) = (Instant::now(), Instant::now());
            while !left.is_empty() && !interrupted.load(Ordering::Acquire) {
                thread::sleep(NAP);
                if looked.elapsed() < pause {
                    continue;
                }
                looked = Instant::now();
                let is_late = begun.elapsed() > patience;
                left.retain(|id| match is_held(id) {
                    Ok(true) if is_late => {
                        ends.leave(id);
                        false
                    }
                    Ok(false) => {
                        // If the storage does not answer now, it is asked once more.
                        match resume(id) {
                            Ok(true) => {}
                            Ok(false) => ends.expect_fewer(1),
                            Err(_) => return true,
                        }
                        false
                    }
                    Ok(true) | Err(_) => true,
                });
            }
            ends.expect_fewer(left.len());
        };
        thread::Builder::new()
            .name("held".to_owned())
            .spawn(watch)
            .map_err(|error| Failure::system("cannot start a thread", &error))
    }
}
