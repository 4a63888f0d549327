//! Whole sessions on the engine in a world that a seed decides; see `hark_engine::simulator`.
//!
//! Each test runs its program with some hundreds of seeds. A failing one is replayed, with all that happens told, by
//! `HARK_SIMULATOR_SEED=17 cargo test --profile ci -p hark-backends --test simulator NAME -- --exact --nocapture`.
//! With `HARK_SIMULATOR_SEEDS=1000000` each test runs so many seeds.

mod cancelling;
mod catching;
mod limits;
mod objects;
mod sessions;
mod waiting;

use hark_engine::simulator::{Act, Ended, Scenario, replay, simulate, undisturbed};

/// Runs a program with many seeds.
#[track_caller]
pub(crate) fn check(seeds: u64, text: &str, acts: &[Act], result: &str) {
    check_with(seeds, 1_000_000, text, acts, result);
}

#[track_caller]
pub(crate) fn check_with(seeds: u64, max_tries: u32, text: &str, acts: &[Act], result: &str) {
    let (scenario, expected) = check_undisturbed(max_tries, text, acts, result);
    let setting = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = setting("HARK_SIMULATOR_SEED") {
        match replay(&scenario, seed, &expected) {
            Ok(count) => eprintln!("seed {seed}: {count:?}"),
            Err(error) => panic!("seed {seed}: {error}"),
        }
        return;
    }
    for seed in 0..setting("HARK_SIMULATOR_SEEDS").unwrap_or(seeds) {
        if let Err(error) = simulate(&scenario, seed, &expected) {
            let test = std::thread::current().name().unwrap_or("?").to_owned();
            panic!(
                "seed {seed}: {error}\nreplay it: HARK_SIMULATOR_SEED={seed} cargo test --profile ci -p hark-backends \
                 --test simulator {test} -- --exact --nocapture"
            );
        }
    }
}

/// What a program comes to where nothing goes wrong.
#[track_caller]
pub(crate) fn check_undisturbed(max_tries: u32, text: &str, acts: &[Act], result: &str) -> (Scenario, Ended) {
    let compilation = hark_compiler::compile("simulated.hk", text);
    let executable = compilation.executable.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics));
    let scenario = Scenario { executable, acts: acts.to_vec(), max_tries };
    let undisturbed_acts = acts.iter().copied().filter(|act| !matches!(act, Act::Cancel | Act::CancelNow)).collect();
    let expected = undisturbed(&Scenario { acts: undisturbed_acts, ..scenario.clone() })
        .unwrap_or_else(|error| panic!("undisturbed: {error}"));
    assert_eq!(expected.result, result, "{expected:?}");
    (scenario, expected)
}
