//! Whole sessions on the engine in a simulated world that depends on a seed; see `hark_engine::simulator`.
//!
//! Each test runs its program with some hundreds of seeds. To replay a failing seed with a log of all events, use
//! `HARK_SIMULATOR_SEED=17 cargo test --profile ci -p hark-backends --test simulator NAME -- --exact --nocapture`.
//! With `HARK_SIMULATOR_SEEDS=1000000` each test runs that many seeds, with `HARK_SIMULATOR_FIRST=5000` starting from
//! this one, and with `HARK_SIMULATOR_LEASES=1` only those whose worlds lease threads.

mod cancelling;
mod catching;
mod limits;
mod objects;
mod pools;
mod sessions;
mod waiting;

use hark_engine::limits::CANCEL_GRACE;
use hark_engine::simulator::{Act, Ended, Scenario, is_leased, replay, simulate, undisturbed};

/// Runs a program with many seeds.
#[track_caller]
pub(crate) fn check(seeds: u64, text: &str, acts: &[Act], result: &str) {
    check_with(seeds, 1_000_000, text, acts, result);
}

#[track_caller]
pub(crate) fn check_with(seeds: u64, max_tries: u32, text: &str, acts: &[Act], result: &str) {
    check_scenario(seeds, |_| true, &scenario(max_tries, text, acts), result);
}

/// Runs a scenario with a number of seeds among those that match.
#[track_caller]
pub(crate) fn check_scenario(seeds: u64, is_meant: fn(u64) -> bool, scenario: &Scenario, result: &str) {
    let expected = check_undisturbed(scenario, result);
    let setting = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = setting("HARK_SIMULATOR_SEED") {
        match replay(scenario, seed, &expected) {
            Ok(count) => eprintln!("seed {seed}: {count:?}"),
            Err(error) => panic!("seed {seed}: {error}"),
        }
        return;
    }
    let first = setting("HARK_SIMULATOR_FIRST").unwrap_or(0);
    let is_leased_only = setting("HARK_SIMULATOR_LEASES").is_some();
    let wanted = (first..).filter(|seed| is_meant(*seed) && (!is_leased_only || is_leased(*seed)));
    for seed in wanted.take(setting("HARK_SIMULATOR_SEEDS").unwrap_or(seeds) as usize) {
        check_seed(seed, scenario, &expected);
    }
}

/// Runs a scenario with one seed.
#[track_caller]
pub(crate) fn check_seed(seed: u64, scenario: &Scenario, expected: &Ended) {
    if let Err(error) = simulate(scenario, seed, expected) {
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        panic!(
            "seed {seed}: {error}\nreplay it: HARK_SIMULATOR_SEED={seed} cargo test --profile ci -p hark-backends \
             --test simulator {test} -- --exact --nocapture"
        );
    }
}

/// A program, and the actions on its sessions.
pub(crate) fn scenario(max_tries: u32, text: &str, acts: &[Act]) -> Scenario {
    let compilation = hark_compiler::compile("simulated.hk", text);
    let executable = compilation.executable.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics));
    Scenario { executable, acts: acts.to_vec(), max_tries, cancel_grace: CANCEL_GRACE }
}

/// Checks the outcome of a scenario when nothing goes wrong, and returns it.
#[track_caller]
pub(crate) fn check_undisturbed(scenario: &Scenario, result: &str) -> Ended {
    let acts = scenario.acts.iter().copied().filter(|act| !matches!(act, Act::Cancel | Act::CancelNow)).collect();
    let expected =
        undisturbed(&Scenario { acts, ..scenario.clone() }).unwrap_or_else(|error| panic!("undisturbed: {error}"));
    assert_eq!(expected.result, result, "{expected:?}");
    expected
}

/// All tests together run some 21,000 seeds, so that threads are leased in more than 5,000 of these worlds.
#[test]
fn threads_are_leased_in_a_third_of_the_worlds() {
    let leased = (0..1_000).filter(|seed| is_leased(*seed)).count();
    assert!((300..370).contains(&leased), "{leased}");
}
