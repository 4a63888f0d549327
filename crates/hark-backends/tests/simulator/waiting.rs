//! Waits for many Futures, for any of them, and with a deadline.

use super::{Act, check, check_seed, check_undisturbed, scenario};

/// More than fit into a commit: the thread adds itself to their waiters in several commits.
#[test]
fn all_of_many_futures() {
    let text = "
        fn leaf(n) { sleep(n / 100.0); print(n); n }
        fn start(n, all) { if n == 0 { all } else { start(n - 1, append(all, async leaf(n))) } }
        fn total(all, sum) { if nullp(all) { sum } else { total(rest(all), sum + first(all)) } }
        fn main() { total(await start(40, [7, future(\"mail\", 1)]), 0) }";
    check(60, text, &[Act::Resolve("mail/1", 3)], "830");
}

#[test]
fn some_of_a_few_futures() {
    let text = "
        fn leaf(n) { sleep(n); n }
        fn all(a, b) { x = await [a, {\"b\": b}, a]; first(x) + get(nth(x, 1), \"b\") + nth(x, 2) }
        fn main() { a = async leaf(1); b = async leaf(2); c = async all(a, b); d = any([future(\"never\", 1), c, c]);
                    print(d); e = any([future(\"never\", 1), 5, future(\"never\", 2)]);
                    nth(d, 1) * 100 + nth(e, 0) * 10 + nth(e, 1) }";
    check(60, text, &[], "415");
}

/// The Futures are resolved in any order; the thread no longer waits for those that are resolved.
#[test]
fn any_of_those_that_are_left() {
    let text = "
        fn leaf(n) { sleep(n / 100.0); n }
        fn start(n, all) { if n == 0 { all } else { start(n - 1, append(all, async leaf(n))) } }
        fn without(all, i, n, done) {
            if n == length(all) { done } else { without(all, i, n + 1, if n == i { done } else { append(done, nth(all, n)) }) } }
        fn total(all, sum) {
            if length(all) == 1 { sum } else { x = any(all); total(without(all, first(x), 0, []), sum + nth(x, 1)) } }
        fn main() { total(start(14, [future(\"never\", 1)]), 0) }";
    check(60, text, &[], "105");
}

/// A thread that waits for the same Futures repeatedly is among their waiters once, and in the end not at all.
#[test]
fn any_of_the_same_futures_again_and_again() {
    let text = "
        fn asks(futures, n, sum) {
            if n == 0 { sum } else { [i, x] = any(append(futures, async step(n))); asks(futures, n - 1, sum + i * 10 + x) } }
        fn step(n) { sleep(0.01); n }
        fn main() { futures = [future(\"never\", 1), future(\"never\", 2)];
                    a = async asks(futures, 6, 0); b = async asks(futures, 4, 0);
                    (await a) + (await b) }";
    check(60, text, &[], "231");
    // A thread is taken again while it is counted that its worker was lost.
    let scenario = scenario(1_000_000, text, &[]);
    check_seed(2_000_427, &scenario, &check_undisturbed(&scenario, "231"));
}

/// More than fit into a commit: the thread stays among the waiters of Futures for which it waits again. It leaves the
/// others: some at once, many at its end, or when it waits for all remaining ones.
#[test]
fn any_of_many_futures_again_and_again() {
    let text = "
        fn leaf(n) { if n >= 8 { await future(\"go\", 1) } else { sleep(n / 100.0) }; n }
        fn without(l, i) { slice(l, 0, i) + slice(l, i + 1) }
        fn some(l, n) { if n == 0 { l } else { [i, x] = any(l); some(without(l, i), n - 1) } }
        fn few(l) { some(l, 3); 1 }
        fn fewer(l) { l = some(l, 2); l = some(slice(l, 10), 1); length(l) }
        fn late(l) { l = some(l, 2); try { await_for(l, 0.01) } catch { null }; length(some(l, 1)) }
        fn main() { all = map(range(44), lambda (n) { async leaf(n) }); a = async few(slice(all, 0, 40)); b = async late(slice(all, 4));
                    c = async fewer(append(slice(all, 0, 30) + [async leaf(0)], future(\"never\", 1)));
                    l = some(all, 4); x = length(await l); [x, await a, await b, await c] }";
    check(60, text, &[Act::Resolve("go/1", 3)], "[40, 1, 37, 19]");
}

#[test]
fn waits_that_end_at_a_time() {
    let text = "
        fn leaf(n) { sleep(n); n }
        fn late(f, n) { await_for(f, n) }
        fn main() { p = future(\"never\", 1); a = async late(p, 0.5); b = async late([p, async leaf(1)], 2);
                    c = await_for([async leaf(1), async leaf(2)], 1000000000000);
                    x = any([a, b, async leaf(3)]); print(x); async late(p, 0); first(c) + nth(c, 1) + nth(x, 1) }";
    check(60, text, &[], "6");
}

/// Deadlines for more Futures than fit into a commit: the thread leaves all their waiters, and joins them again.
#[test]
fn waits_for_many_futures_that_end_at_a_time() {
    let text = "
        fn leaf(n) { await future(\"go\", 1); n }
        fn late(all, n) { try { await_for(all, n) } catch e { print(get(e, \"kind\")); null } }
        fn main() { all = map(range(40), lambda (n) { async leaf(n) }); late(all, 0); late(append(all, future(\"never\", 1)), 0.5);
                    [i, x] = any(append(map(range(30), lambda (n) { future(\"never\", n) }), nth(all, 7)));
                    sum(await all) * 1000 + i * 10 + x }";
    check(60, text, &[Act::Resolve("go/1", 3)], "780307");
}

/// More threads than a Future's record can list wait for it repeatedly, with a deadline.
#[test]
fn many_who_wait_for_the_same_future_until_a_time() {
    let text = "
        fn polls(f, n) { if n == 0 { 1 } else { try { await_for(f, 0.01) } catch { null }; polls(f, n - 1) } }
        fn until(f) { x = try { await_for(f, 0.05) } catch { null }; if nullp(x) { until(f) } else { x } }
        fn main() { p = future(\"never\", 1); q = future(\"mail\", 1); a = map(range(20), lambda (n) { async polls(p, 3) });
                    b = map(range(20), lambda (n) { async until(q) }); sum(await a) + sum(await b) }";
    check(40, text, &[Act::Resolve("mail/1", 5)], "120");
}

#[test]
fn failures_that_are_awaited_together() {
    let text = "
        fn bad(n) { sleep(n / 100.0); error(\"no\") }
        fn leaf(n) { sleep(n / 100.0); n }
        fn start(n, all) { if n == 0 { all } else { start(n - 1, append(all, async bad(n))) } }
        fn first_of(all) { any(all) }
        fn all_of(all) { await all }
        fn main() { many = start(20, []); x = any(append(many, async leaf(4))); a = async first_of(start(3, []));
                    b = async all_of(conc(many, [future(\"never\", 1), async leaf(1)])); y = any([a, b, async leaf(9)]);
                    nth(x, 1) + nth(y, 1) }";
    check(60, text, &[], "13");
}

#[test]
fn a_failure_among_many() {
    let text = "
        fn bad(n) { sleep(n / 100.0); error(\"no\") }
        fn start(n, all) { if n == 0 { all } else { start(n - 1, append(all, async bad(n))) } }
        fn main() { p = future(\"never\", 1); async bad(1); print(\"x\"); await conc(start(20, [p]), [p]) }";
    check(60, text, &[], "failed: no");
}

/// More threads wait for the same Futures than their records can list: some need the values, others only the failures.
#[test]
fn many_who_wait_for_the_same_futures() {
    let text = "
        fn leaf(n) { sleep(n / 10.0); n }
        fn all(fs) { length(await fs) }
        fn one(fs) { nth(any(fs), 1) }
        fn start(n, fs, all_of) { if n == 0 { all_of } else { start(n - 1, fs, append(append(all_of, async all(fs)), async one(fs))) } }
        fn total(all, sum) { if nullp(all) { sum } else { total(rest(all), sum + first(all)) } }
        fn main() { p = future(\"mail\", 1); fs = [future(\"never\", 1), async leaf(3), p];
                    total(await start(12, [p, async leaf(2)], []), 0) }";
    check(60, text, &[Act::Resolve("mail/1", 2)], "48");
}

#[test]
fn retries_of_futures_that_are_awaited_together() {
    let text = "
        import(unready, outside, 1);
        fn one(n) { unready(n) }
        fn both(a, b) { x = await [a, b]; first(x) + nth(x, 1) }
        fn main() { a = async one(1); b = async one(2); c = async both(a, b); d = async one(3);
                    x = any([d, future(\"mail\", 1)]); y = await_for([c, a], 1000000000000); first(y) + nth(y, 1) }";
    check(60, text, &[Act::Resolve("mail/1", 7), Act::Retry], "4");
}

#[test]
fn waits_of_a_session_that_is_cancelled() {
    let text = "
        fn leaf(n) { sleep(n); print(n); n }
        fn patient(f) { try { await_for(f, 2) } catch { print(\"late\"); await async leaf(4) } }
        fn main() { p = future(\"never\", 1); a = async patient([p, async leaf(1)]); b = async patient(p);
                    [i, x] = any([p, a, b]); x + (await a) + await b }";
    check(60, text, &[Act::CancelNow], "12");
}
