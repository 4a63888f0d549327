//! Runs whole sessions on the real engine in a world that a seed decides: who works when, who dies, which answers are
//! lost, what the clock shows. A session must end there as it does where nothing happens.
//!
//! Everything runs on one OS thread, so that a seed always leads to the same run. Whatever else may happen at a point
//! happens *inside* of the request that stands there: before and after each request to the storage, other workers
//! of the same server, other servers and processes from outside may do any number of things, up to taking the session
//! over, before the request goes on. So a writer is paused there, and finds a changed world when it wakes.
//!
//! What may happen:
//!
//! - **A server dies**, before or after a request: that request and all later ones fail, and have no effect but what
//!   they had had. With it die its hints, its timers and the answers of its calls. *That is what a lost hint is*: within
//!   a living process none is lost, and what a dead one knew is found in the storage by who takes its sessions over.
//! - **A server is only suspected** of being dead: others take its sessions while it goes on for a while.
//! - **The answer of a commit is lost**, whether it happened or not. Where threads are leased it may happen later, up to some
//!   number of requests.
//! - **A request is refused** for the moment, and may be made again.
//! - **A scan shows a part** of a commit that has not returned.
//! - **Threads are leased** in some worlds, so that one session runs on several servers at once: leases run out while those who
//!   hold the threads live, and what they do then must come to nothing.
//! - **Hints come twice**: the agenda names threads that nobody has to look at.
//! - **The clock jumps**, forward and back.
//! - **Calls are slow**: their answers come in any order, or never, if the server dies.
//! - **Someone outside** resolves, cancels and retries at any time, and may die while doing it.
//!
//! In the end all disturbances stop, and then the sessions must come to their ends by themselves.

mod chance;
mod check;
mod client;
mod command;
mod disk;
mod foreign;
mod late;
mod leases;
mod pairs;
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

/// A program, and what is done to its sessions from outside.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The program; a session calls its `main()`. Its imports may be `echo`, `solo` (never two at a time), `say` and `chat` (which print), `fail`, `unready`
    /// (which fails until [`Act::Retry`]) and `poison` (which kills its server).
    pub executable: Executable,
    /// What is done to each session from outside, once.
    pub acts: Vec<Act>,
    /// How many times a call is made whose worker was lost. Few only where that is to be seen.
    pub max_tries: u32,
    /// How long a cancelled thread may go on.
    pub cancel_grace: Duration,
}

/// Runs a scenario without any disturbance.
///
/// # Errors
/// If its session does not end.
pub fn undisturbed(scenario: &Scenario) -> Result<Ended, String> {
    run(scenario, 0, Disturbances::none(), None, false).map(|(ended, _)| ended)
}

/// Runs a scenario as this seed wants it, and compares what it comes to with the undisturbed run.
///
/// # Errors
/// What is wrong.
pub fn simulate(scenario: &Scenario, seed: u64, expected: &Ended) -> Result<Count, String> {
    run(scenario, seed, Disturbances::of_seed(seed), Some(expected), false).map(|(_, count)| count)
}

/// Whether threads are leased in the world of this seed.
pub fn is_leased(seed: u64) -> bool {
    Disturbances::of_seed(seed).is_by_thread
}

/// Whether many commits come much later than their answers are lost, in the world of this seed.
pub fn is_late(seed: u64) -> bool {
    let Disturbances { unknown, late, .. } = Disturbances::of_seed(seed);
    unknown >= 100 && late >= 20
}

/// The same, and writes to the standard error what happens.
///
/// # Errors
/// What is wrong.
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
    // What a panic has left locked nobody uses any more.
    if ran.is_ok() {
        universe.close();
    }
    ran.unwrap_or_else(|panic| Err(format!("a panic: {}", panic_text(&*panic))))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// What all parts of a simulation hold.
type Shared = Arc<Universe>;
