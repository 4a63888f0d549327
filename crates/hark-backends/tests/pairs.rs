//! Pairs of commands on the same session: see `hark_engine::simulator::check_pair`.
//!
//! Every request of each command is interrupted; of a server, every n-th request. With `HARK_PAIRS=1`, all of them are
//! tried.

use hark_engine::limits::CANCEL_GRACE;
use hark_engine::simulator::{COMMANDS, Command, Meeting, SETUPS, Scenario, check_pair};

const PROGRAM: &str = "
    import(unready, outside, 1); import(echo, outside, 1);
    fn late(n) { unready(n) }
    fn same(f) { f }
    fn start(n, all) { if n == 0 { all } else { start(n - 1, append(all, async late(n))) } }
    fn total(all, sum) { if nullp(all) { sum } else { total(rest(all), sum + await first(all)) } }
    fn waits(f) {
      try { print(\"in waits\"); [_, x] = any([f, f]); print(\"out waits\"); x } catch e { print(\"clean waits\"); error(e) }
    }
    fn main() { p = future(\"p\", 1); a = async waits(p); x = echo(1); print(x); sleep(1);
                y = try { await_for(p, 2) } catch { await p };
                all = start(7, []); r = async same(async late(9)); total(all, x + y) + (await a) + await r }";

fn scenario() -> Scenario {
    let compilation = hark_compiler::compile("pairs.hk", PROGRAM);
    let executable = compilation.executable.unwrap_or_else(|| panic!("{:?}", compilation.diagnostics));
    Scenario { executable, acts: Vec::new(), max_tries: 5, cancel_grace: CANCEL_GRACE }
}

/// Tests one command as the first and all others as the second, for every kind of session, with servers and with leased
/// threads.
#[track_caller]
fn check(first: Command) {
    let scenario = scenario();
    let (mut ways, mut wrong) = (0, Vec::new());
    for is_leased in [false, true] {
        let stride = match (std::env::var("HARK_PAIRS").is_ok(), first) {
            (true, _) => 1,
            (false, Command::Run | Command::Worker | Command::Resume | Command::Retry) if is_leased => 13,
            (false, Command::Run | Command::Worker | Command::Resume | Command::Retry) => 7,
            (false, _) if is_leased => 2,
            (false, _) => 1,
        };
        for setup in SETUPS {
            for second in COMMANDS {
                match check_pair(&scenario, Meeting { setup, first, second, is_leased }, stride) {
                    Ok(count) => ways += count,
                    Err(error) => wrong.push(error),
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} pairs:\n{}",
        wrong.len(),
        2 * SETUPS.len() * COMMANDS.len(),
        wrong.join("\n\n")
    );
    assert!(ways > 0, "nothing was interrupted");
    println!("{first:?}: {ways} ways");
}

#[test]
fn run() {
    check(Command::Run);
}

#[test]
fn worker() {
    check(Command::Worker);
}

#[test]
fn resume() {
    check(Command::Resume);
}

#[test]
fn retry() {
    check(Command::Retry);
}

#[test]
fn cancel() {
    check(Command::Cancel);
}

#[test]
fn cancel_now() {
    check(Command::CancelNow);
}

#[test]
fn resolve() {
    check(Command::Resolve);
}

#[test]
fn fail() {
    check(Command::Fail);
}

#[test]
fn export() {
    check(Command::Export);
}

#[test]
fn import() {
    check(Command::Import);
}

#[test]
fn prune() {
    check(Command::Prune);
}

#[test]
fn show() {
    check(Command::Show);
}
