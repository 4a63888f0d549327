//! Limits and rates across all sessions and servers: `solo` must never run twice at the same time.

use hark_engine::simulator::Act;

use super::{check_seed, check_undisturbed, check_with, scenario};

/// High enough that dying workers never cause a failure.
const TRIES: u32 = 1_000_000;

#[test]
fn calls_in_threads_of_their_own() {
    let text = "
        #[limit(1)] import(solo, lib, 1);
        fn main() { await [async solo(1), async solo(2), async solo(3)] }";
    check_with(150, TRIES, text, &[], "[1, 2, 3]");
    // A server gives the session up while a worker looks at a thread that has lost its place, takes the session up
    // again, and ends the thread. Then the worker continues, and queues for the place in the name of a thread that no
    // longer exists.
    let scenario = scenario(TRIES, text, &[]);
    check_seed(7_015, &scenario, &check_undisturbed(&scenario, "[1, 2, 3]"));
}

/// A thread that holds a place needs no second one, may wait while holding it, and may be cancelled.
#[test]
fn places_are_held_over_waits() {
    let text = "
        #[limit(1, name: \"gate\")] import(solo, lib, 1);
        #[limit(1, name: \"gate\")] fn outer(x) { sleep(1); y = solo(x); sleep(1); y }
        fn main() { await [async outer(1), async outer(2), async solo(3)] }";
    check_with(100, TRIES, text, &[], "[1, 2, 3]");
    check_with(60, TRIES, text, &[Act::CancelNow], "[1, 2, 3]");
}

/// A thread that ends while it holds a place gives it back, even if it fails, or if an error leaves the function and is
/// caught outside.
#[test]
fn errors_give_places_back() {
    let text = "
        #[limit(2)] fn work(x) { sleep(1); if x == 2 { error(\"no\") } x }
        fn caught(x) { try { work(x) } catch { sleep(1); work(0 - x) } }
        fn waited(f) { try { await f } catch { 0 } }
        fn main() { a = async work(1); b = async work(2); c = async caught(2); d = async work(4);
                    [waited(a), waited(b), waited(c), waited(d)] }";
    check_with(80, TRIES, text, &[], "[1, 0, -2, 4]");
}

#[test]
fn starts_of_a_rate() {
    let text = "
        #[rate(2, per: 10)] #[limit(2)] fn work(x) { sleep(1); x }
        fn main() { await [async work(1), async work(2), async work(3), async work(4), async work(5)] }";
    check_with(80, TRIES, text, &[], "[1, 2, 3, 4, 5]");
}

/// Each try holds the call's place, in a thread of its own.
#[test]
fn tries_in_the_place_of_their_call() {
    let text = "
        #[limit(1, name: \"gate\")] import(solo, lib, 1);
        #[limit(1, name: \"gate\")] #[retry(backoff: 1)] fn within(x) { sleep(1); solo(x) }
        #[limit(1, name: \"gate\")] #[retry(attempts: 2, backoff: 1)]
        fn again(x) { if random() >= 0 { solo(x); error(\"no\") } }
        fn caught(x) { try { again(x) } catch e { length(get(e, \"tries\")) } }
        fn main() { await [async within(1), async caught(2), async solo(3), async within(4)] }";
    check_with(100, TRIES, text, &[], "[1, 2, 3, 4]");
}

/// A thread that waits for a thread that waits for its place is deadlocked, which cannot be caught; this also holds for
/// a parked session. A dying server would free the place and end the deadlock, so this test runs undisturbed.
#[test]
fn deadlocks() {
    let text = "
        #[limit(1, name: \"gate\")] fn outer() { sleep(1); try { await async inner() } catch { 2 } }
        #[limit(1, name: \"gate\")] fn inner() { 1 }
        fn main() { sleep(1); outer() }";
    let message = "failed: no thread can go on: thread 0 waits for thread 1; thread 1 waits for a place of `gate`, which thread 0 has";
    check_undisturbed(&scenario(TRIES, text, &[]), message);
}
