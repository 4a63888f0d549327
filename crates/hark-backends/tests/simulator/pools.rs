//! Threads and calls of several pools, which some processes serve and others do not. The simulator checks that each call is
//! made by a process that serves its place; and everything ends as long as each pool has a process.

use hark_engine::simulator::{Act, is_leased};

use super::{check_scenario, scenario};

const IMPORTS: &str = "
    #[pool(\"gpu\")] import(echo, outside, 1);
    #[pool(\"big\")] #[memory(512)] import(say, outside, 1);
    #[pool(\"big\")] import(make, outside, 1);
    #[limit(1)] import(solo, outside, 1);";

#[test]
fn threads_and_calls_run_in_their_pools() {
    let text = format!(
        "{IMPORTS}
        #[pool(\"gpu\")] fn train(n) {{ a = solo(n); b = echo(a + 1); say(\"x\"); (await async rest(b)) + solo(1) }}
        #[pool(\"big\")] #[priority(3)] #[retry(backoff: 0)] fn rest(n) {{ sleep(1); n + echo(1) + solo(2) }}
        fn main() {{
            t = async train(1);
            all = [async train(10), async echo(5), async rest(7)];
            print(say(\"y\"));
            sum(await all) + solo(echo(2)) + await t
        }}"
    );
    // 2 + 3 + 1 = 6, 15, 5, 10, and 2.
    check_scenario(300, is_leased, &scenario(1_000_000, &text, &[]), "38");
}

/// More waiters than fit into a Future's record, of which each is woken in its pool.
#[test]
fn those_who_wait_are_woken_in_their_pools() {
    let text = format!(
        "{IMPORTS}
        #[pool(\"gpu\")] fn one(p) {{ solo(await p) }}
        #[pool(\"big\")] fn two(p) {{ [_, x] = any([p, future(\"never\", 1)]); x + echo(1) }}
        fn three(p, all) {{ x = await p; x + sum(await all) }}
        fn crowd(n, p) {{ if n == 0 {{ [] }} else {{ append(append(crowd(n - 1, p), async one(p)), async two(p)) }} }}
        fn main() {{ p = future(\"go\", 1); all = crowd(11, p); await async three(p, all) }}"
    );
    // 11 * (3 + 4) + 3
    check_scenario(100, is_leased, &scenario(1_000_000, &text, &[Act::Resolve("go/1", 3)]), "80");
}

/// Cancelled threads clean up with calls of their pools. Nobody need serve these for the session to end.
#[test]
fn cancelled_threads_end_whoever_serves_their_pools() {
    let text = format!(
        "{IMPORTS}
        #[pool(\"gpu\")] fn works(n) {{
            try {{ print(\"in work\"); sleep(1); x = echo(n); print(\"out work\"); x }}
            catch e {{ print(\"clean work\"); make(n); error(e) }}
        }}
        fn main() {{ all = [async works(1), async works(2)]; sum(await all) + solo(3) }}"
    );
    let scenario = scenario(1_000_000, &text, &[Act::Cancel]);
    check_scenario(200, is_leased, &scenario, "6");
}
