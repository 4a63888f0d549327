//! Runs complete sessions on the real engine in a simulated world that is controlled by a seed: the order of work,
//! deaths of processes, lost answers, the clock. A session must end with the same result as without disturbances.
//!
//! Everything runs on one OS thread, so that a seed always produces the same run. Concurrent events happen *inside* a
//! request: before and after each request to the storage, other workers of the same server, other servers and outside
//! processes may do any number of things, up to taking over the session, before the request continues. So a writer is
//! paused there, and finds the world changed when it continues.
//!
//! The possible disturbances:
//!
//! - **A server dies**, before or after a request: that request and all later ones fail and have no further effect. Its
//!   hints, its timers and the results of its calls are lost. *This is the only way to lose a hint*: a live process
//!   loses none, and the process that takes over the sessions of a dead one finds everything it needs in the storage.
//! - **A server is wrongly suspected** of being dead: others take its sessions, while it continues for some time.
//! - **The answer of a commit is lost**, whether or not it happened. Where threads are leased, it may still happen
//!   after a number of further requests.
//! - **A request is refused** temporarily, and can be retried.
//! - **A scan shows a part** of a commit that has not returned.
//! - **Threads are leased** in some worlds, so that one session runs on several servers at once: leases expire while
//!   the holders of the threads are alive, whose further work must then have no effect.
//! - **Extra hints**: the agenda names threads with nothing to do.
//! - **The clock jumps**, forward and back.
//! - **Calls are slow**: their results come in any order, or never, if the server dies.
//! - **Outside processes** resolve, cancel and retry at any time, and may die while doing it.
//!
//! Finally all disturbances stop, and then the sessions must end by themselves.

mod chance;
mod check;
mod client;
mod command;
mod disk;
mod foreign;
mod late;
mod leases;
mod pairs;
mod pools;
mod slot;
mod storage;
mod universe;
mod world;

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use hark_bytecode::Executable;

pub use check::Ended;
pub use client::Act;
pub use command::{COMMANDS, Command};
pub use pairs::{Meeting, SETUPS, Setup, check_pair};
use universe::Universe;
pub use world::Count;
use world::Disturbances;

/// A program, and the actions on its sessions from outside.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The program. A session calls its `main()`. Its imports can be `echo`, `solo` (never called concurrently), `say`
    /// and `chat` (which print), `fail`, `unready` (which fails until [`Act::Retry`]) and `poison` (which kills its
    /// server).
    pub executable: Executable,
    /// The outside actions on each session, each done once.
    pub acts: Vec<Act>,
    /// How often a call is made if its worker is lost. Only small in tests of this limit.
    pub max_tries: u32,
    /// How long a cancelled thread may continue.
    pub cancel_grace: Duration,
}

/// Runs a scenario without disturbances.
///
/// # Errors
/// If its session does not end.
pub fn undisturbed(scenario: &Scenario) -> Result<Ended, String> {
    run(scenario, 0, Disturbances::none(), None, false).map(|(ended, _)| ended)
}

/// Runs a scenario with this seed, and compares the outcome with the undisturbed run.
///
/// # Errors
/// A description of the fault.
pub fn simulate(scenario: &Scenario, seed: u64, expected: &Ended) -> Result<Count, String> {
    run(scenario, seed, Disturbances::of_seed(seed), Some(expected), false).map(|(_, count)| count)
}

/// Whether threads are leased in the world of this seed.
pub fn is_leased(seed: u64) -> bool {
    Disturbances::of_seed(seed).is_by_thread
}

/// Whether many commits happen long after their answers are lost, in the world of this seed.
pub fn is_late(seed: u64) -> bool {
    let Disturbances { unknown, late, .. } = Disturbances::of_seed(seed);
    unknown >= 100 && late >= 20
}

/// Like `simulate`, but logs to standard error.
///
/// # Errors
/// A description of the fault.
pub fn replay(scenario: &Scenario, seed: u64, expected: &Ended) -> Result<Count, String> {
    run(scenario, seed, Disturbances::of_seed(seed), Some(expected), true).map(|(_, count)| count)
}

fn run(
    scenario: &Scenario,
    seed: u64,
    disturbances: Disturbances,
    expected: Option<&Ended>,
    is_told: bool,
) -> Result<(Ended, Count), String> {
    let universe = Universe::new(scenario, seed, disturbances, is_told);
    let ran = panic::catch_unwind(AssertUnwindSafe(|| {
        universe.run()?;
        universe.check(expected)
    }));
    // After a panic, locks may be held, so the universe is leaked.
    if ran.is_ok() {
        universe.close();
    }
    ran.unwrap_or_else(|panic| Err(format!("a panic: {}", panic_text(&*panic))))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// The state shared by all parts of a simulation.
type Shared = Arc<Universe>;
