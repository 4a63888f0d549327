//! Sessions and threads that are cancelled: each cleans up what it has begun, exactly once, whichever process dies
//! meanwhile.

use std::time::Duration;

use hark_engine::simulator::{Act, Scenario, is_late};

use super::{check, check_scenario, check_seed, check_undisturbed, check_with, scenario};

/// Does work and prints what happens to it.
const CLEANS: &str = "
    import(echo, outside, 1);
    fn cleans(name, work) {
      try { print(\"in \" + name); x = work(); print(\"out \" + name); x } catch e { print(\"clean \" + name); error(e) }
    }";

#[test]
fn all_threads_of_a_session() {
    let text = format!(
        "{CLEANS}
        fn leaf(n) {{ cleans(\"leaf\", lambda () {{ echo(n) }}) }}
        fn branch(n) {{ cleans(\"branch\", lambda () {{ a = async leaf(n); b = async leaf(n + 1); sleep(1); (await a) + await b }}) }}
        fn main() {{ cleans(\"main\", lambda () {{ a = async branch(10); b = async branch(20); (await a) + await b }}) }}"
    );
    check(400, &text, &[Act::Cancel], "62");
    check(100, &text, &[Act::Cancel, Act::CancelNow], "62");
}

/// Cleaning up may itself take time and start threads.
#[test]
fn threads_that_clean_up_for_long() {
    let text = format!(
        "{CLEANS}
        fn undo(n) {{ print(\"clean undo\"); sleep(0.1); echo(n) }}
        fn work(n) {{ try {{ cleans(\"work\", lambda () {{ sleep(3); n }}) }} catch e {{ await async undo(n); error(e) }} }}
        fn main() {{ f = async work(7); g = async work(8); (await f) + await g }}"
    );
    check(200, &text, &[Act::Cancel], "15");
}

/// With every kind of wait.
#[test]
fn threads_that_wait() {
    let text = format!(
        "{CLEANS}
        fn one(p) {{ cleans(\"one\", lambda () {{ await p }}) }}
        fn some(p, q) {{ cleans(\"some\", lambda () {{ [_, x] = any([p, q]); x }}) }}
        fn all(p, q) {{ cleans(\"all\", lambda () {{ sum(await [p, q]) }}) }}
        fn timed(p) {{ cleans(\"timed\", lambda () {{ await_for(p, 1e300) }}) }}
        fn follow(p) {{ p }}
        fn crowd(n, p) {{ if n == 0 {{ [] }} else {{ append(crowd(n - 1, p), async one(p)) }} }}
        fn main() {{ p = future(\"p\", 1); q = future(\"q\", 1); f = async follow(p);
                    all = [async some(p, q), async all(p, q), async timed(p), async one(f)];
                    cleans(\"main\", lambda () {{ sum(await all) + sum(await crowd(20, f)) }}) }}"
    );
    check(200, &text, &[Act::Resolve("p/1", 1), Act::Resolve("q/1", 1), Act::Cancel], "25");
}

/// With retries, timeouts, limits, and elements that are processed concurrently.
#[test]
fn threads_of_the_prelude() {
    let text = format!(
        "{CLEANS}
        import(unready, outside, 1);
        #[limit(1)] import(solo, outside, 1);
        #[limit(1)] fn narrow(n) {{ cleans(\"narrow\", lambda () {{ sleep(1); n }}) }}
        #[retry(backoff: 1, jitter: false)] fn tries(n) {{ cleans(\"tries\", lambda () {{ sleep(1); n }}) }}
        #[timeout(100000)] fn timed(n) {{ cleans(\"timed\", lambda () {{ sleep(1); n }}) }}
        fn element(n) {{ cleans(\"element\", lambda () {{ sleep(n); solo(n) }}) }}
        fn main() {{ all = [async narrow(1), async narrow(2), async tries(3), async timed(4)];
                    cleans(\"main\", lambda () {{ sum(map_async([1, 2, 3], element, 2)) + sum(await all) }}) }}"
    );
    check_with(200, 1_000_000, &text, &[Act::Cancel], "16");
    // A worker is lost while a thread cleans up, and the next one reaches the thread when the time for that is over.
    let scenario = scenario(1_000_000, &text, &[Act::Cancel]);
    check_seed(502_000_701, &scenario, &check_undisturbed(&scenario, "16"));
}

/// A try holds its call's place, and may run a while longer than the call. The place must be free after that.
#[test]
fn tries_in_a_place() {
    let text = format!(
        "{CLEANS}
        #[limit(1, name: \"gate\")] #[retry(backoff: 1, jitter: false)]
        fn within(begun) {{ cleans(\"within\", lambda () {{ cancel(begun); await future(\"never\", 1) }}) }}
        #[limit(1, name: \"gate\")] fn next(n) {{ cleans(\"next\", lambda () {{ sleep(1); n }}) }}
        fn kind(f) {{ try {{ await f }} catch e {{ get(e, \"kind\") }} }}
        fn stopped(n) {{ p = promise(); f = async within(p); kind(p); cancel(f); kind(f); next(n) }}
        fn main() {{ all = [async stopped(1), async stopped(2), async next(3)]; sum(await all) + next(4) }}"
    );
    check(200, &text, &[], "10");
}

/// A session that continues after a retry can be cancelled at any moment, too.
#[test]
fn sessions_that_are_retried() {
    let text = format!(
        "{CLEANS}
        import(unready, outside, 1);
        fn late(n) {{ sleep(n); unready(n) }}
        fn beside(n) {{ cleans(\"beside\", lambda () {{ sleep(n); n }}) }}
        fn main() {{ all = [async late(1), async late(2), async beside(3)]; sum(await all) }}"
    );
    check(300, &text, &[Act::Retry, Act::Cancel], "6");
}

/// A retry comes right after threads were cancelled that had not stopped yet. The pending cancellation must not cancel
/// any of them again.
#[test]
fn threads_that_were_cancelled_are_retried() {
    let text = format!(
        "{CLEANS}
        import(unready, outside, 1);
        fn leaf(begun) {{ try {{ cancel(begun); await future(\"never\", 1) }} catch e {{ null }}; unready(1) }}
        fn branch(p, q) {{ async leaf(p); async leaf(q); await future(\"never\", 1) }}
        fn kind(f) {{ try {{ await f }} catch e {{ get(e, \"kind\") }} }}
        fn main() {{ p = promise(); q = promise(); f = async branch(p, q); kind(p); kind(q); cancel(f); kind(f) }}"
    );
    // Long enough that no thread is stopped, whatever the clock shows.
    let cancel_grace = Duration::from_secs(1_000_000_000);
    let scenario = Scenario { cancel_grace, ..scenario(1_000_000, &text, &[Act::Retry]) };
    check_scenario(600, is_late, &scenario, "cancelled");
}

/// A thread cancels others: twice, together with the threads that they have started, and together with the promise that
/// they wait for.
#[test]
fn threads_that_a_program_cancels() {
    let text = format!(
        "{CLEANS}
        fn leaf(n, begun) {{
          try {{ cleans(\"leaf\", lambda () {{ cancel(begun); await future(\"never\", 1) }}) }} catch e {{ get(e, \"kind\") }}
        }}
        fn branch(n, begun) {{ f = async leaf(n, begun); cleans(\"branch\", lambda () {{ await f }}) }}
        fn waits(p, begun) {{ cleans(\"waits\", lambda () {{ cancel(begun); await p }}) }}
        fn kind(f) {{ try {{ await f }} catch e {{ get(e, \"kind\") }} }}
        fn stop(f, n) {{ cancel(f); if n == 0 {{ null }} else {{ stop(f, n - 1) }} }}
        fn main() {{ begun = [promise(), promise(), promise()]; p = promise();
                    f = async branch(1, nth(begun, 0)); g = async leaf(2, nth(begun, 1)); h = async waits(p, nth(begun, 2));
                    each(begun, kind); s = async stop(f, 3); cancel(f); cancel(g); cancel(g); cancel(p); cancel(p); await s;
                    all = [kind(f), kind(g), kind(h), kind(p)]; cancel(g); cancel(h); append(all, kind(g)) }}"
    );
    let kinds = "[\"cancelled\", \"cancelled\", \"cancelled\", \"cancelled\", \"cancelled\"]";
    check(200, &text, &[], kinds);
}
