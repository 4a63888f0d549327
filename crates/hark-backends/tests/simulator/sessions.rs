//! Threads, Futures and promises, calls, sleeps, failures and retries.

use super::{Act, check, check_with};

#[test]
fn a_thread_alone() {
    check(400, "fn main() { print(\"a\"); print(\"b\"); 42 }", &[], "42");
}

#[test]
fn nested_fan_outs() {
    let text = "
        fn leaf(n) { print(n); n }
        fn branch(n) { a = async leaf(n * 10); b = async leaf(n * 10 + 1); print(n); (await a) + await b }
        fn main() { a = async branch(1); b = async branch(2); c = async branch(3); x = await a; print(\"a\"); x + (await b) + await c }";
    check(400, text, &[], "123");
}

#[test]
fn a_chain_of_calls() {
    let text = "
        import(echo, outside, 1); import(say, outside, 1);
        fn main() { a = echo(1); print(a); b = echo(a + 1); c = say(\"x\"); print(c); d = echo(b + 1); d * 10 }";
    check(400, text, &[], "30");
}

/// The output of a running call is saved text by text. The texts of the try that counts are complete, without
/// duplicates and in order; other tries leave none.
#[test]
fn calls_that_print_much() {
    let text = "
        import(chat, outside, 1); import(say, outside, 1);
        fn talk(who) { a = chat(who); print(a); b = say(who); chat(b) }
        fn main() { a = async talk(\"a\"); b = async talk(\"b\"); c = chat(\"c\"); (await a) + (await b) + c }";
    check(400, text, &[], "chatted said achatted said bchatted c");
}

#[test]
fn a_chain_of_returned_futures() {
    let text = "
        fn f(n) { if n == 0 { sleep(0.01); 7 } else { async f(n - 1) } }
        fn same(f) { f }
        fn main() { a = async f(6); b = async same(a); (await b) + await a }";
    check(400, text, &[], "14");
}

#[test]
fn sleeps() {
    let text = "
        fn nap(n) { sleep(n); print(n); n }
        fn main() { a = async nap(1); b = async nap(3600); async nap(2); sleep(1.5); (await a) + await b }";
    check(400, text, &[], "3601");
}

/// A thread is checked only once for each due time, so none may be missed, whatever the clock does.
#[test]
fn threads_that_sleep_again_and_again() {
    let text = "
        fn nap(n, times) { if times == 0 { n } else { sleep(n / 1000); nap(n, times - 1) } }
        fn main() { a = async nap(1, 5); b = async nap(7, 3); c = async nap(300, 2); d = async nap(0, 4);
                    (await a) + (await b) + (await c) + await d }";
    check(400, text, &[], "308");
}

#[test]
fn promises() {
    let text = "
        fn wait(f) { x = await f; print(x); x }
        fn main() { f = future(\"mail\", 1); a = async wait(f); b = async wait(f); c = async wait(future(\"mail\", 2));
                    (await a) + (await b) + await c }";
    check(400, text, &[Act::Resolve("mail/1", 5), Act::Resolve("mail/2", 7)], "17");
}

#[test]
fn promises_that_many_wait_for() {
    let text = "
        fn wait(f) { await f }
        fn start(n, f, all) { if n == 0 { all } else { start(n - 1, f, append(all, async wait(f))) } }
        fn total(all, sum) { if nullp(all) { sum } else { total(rest(all), sum + await first(all)) } }
        fn main() { total(start(30, future(\"mail\", 1), []), 0) }";
    check(250, text, &[Act::Resolve("mail/1", 1)], "30");
}

#[test]
fn futures_that_many_wait_for() {
    let text = "
        fn slow() { sleep(0.1); 1 }
        fn wait(f) { await f }
        fn start(n, f, all) { if n == 0 { all } else { start(n - 1, f, append(all, async wait(f))) } }
        fn total(all, sum) { if nullp(all) { sum } else { total(rest(all), sum + await first(all)) } }
        fn main() { total(start(30, async slow(), []), 0) }";
    check(250, text, &[], "30");
}

#[test]
fn failures() {
    let text = "
        import(fail, outside, 1);
        fn bad(n) { print(n); error(\"no\") }
        fn wait(f) { await f }
        fn call() { fail(1) }
        fn main() { a = async bad(1); b = async wait(a); c = async wait(a); async wait(b); d = async call(); print(\"x\"); await c }";
    check(400, text, &[], "failed: no");
}

#[test]
fn a_promise_that_fails() {
    let text = "
        fn wait(f) { await f }
        fn main() { f = future(\"mail\", 1); async wait(f); print(\"x\"); 3 }";
    check(400, text, &[Act::Fail("mail/1", "no mail")], "3");
}

#[test]
fn sessions_that_are_retried() {
    let text = "
        import(unready, outside, 1); import(echo, outside, 1);
        fn one(n) { print(n); x = unready(n); print(x); echo(x) }
        fn wait(f) { await f }
        fn main() { a = async one(1); b = async wait(async one(2)); async one(3); (await a) + await b }";
    check(400, text, &[Act::Retry], "3");
}

/// A thread that ended with a Future that has failed, or fails later, follows it again.
#[test]
fn retried_threads_that_had_returned_futures() {
    let text = "
        import(unready, outside, 1);
        fn one(n) { unready(n) }
        fn slow(n) { sleep(n); unready(n) }
        fn same(f) { f }
        fn main() { a = async one(1); b = async same(a); c = async same(async slow(2)); sleep(1);
                    d = async same(b); async same(c); d }";
    check(400, text, &[Act::Retry], "1");
}

/// The first thread fails with its own error, another one in a call after a sleep, and many at once.
#[test]
fn retries_of_all_kinds() {
    let text = "
        import(unready, outside, 1); import(echo, outside, 1);
        fn late(n) { sleep(1); unready(n) }
        fn after_promise(f) { x = await f; unready(x) }
        fn through(f) { print(\"t\"); await f }
        fn start(n, all) { if n == 0 { all } else { start(n - 1, append(all, async late(n))) } }
        fn total(all, sum) { if nullp(all) { sum } else { total(rest(all), sum + await first(all)) } }
        fn main() { all = start(20, []); p = async after_promise(future(\"p\", 1)); q = async through(async through(p));
                    x = unready(5); print(x); x + total(all, 0) + await q }";
    check(250, text, &[Act::Resolve("p/1", 7), Act::Retry], "222");
}

#[test]
fn sessions_that_are_cancelled() {
    let text = "
        import(echo, outside, 1);
        fn leaf(n) { print(n); echo(n) }
        fn branch(n) { a = async leaf(n * 10); b = async leaf(n * 10 + 1); sleep(1); (await a) + await b }
        fn main() { a = async branch(1); b = async branch(2); (await a) + await b }";
    check(400, text, &[Act::CancelNow], "62");
}

#[test]
fn a_call_that_kills() {
    let text = "
        import(poison, outside, 1);
        fn drink() { poison(1) }
        fn leaf(n) { print(n); n }
        fn main() { sum = (await async leaf(1)) + await async leaf(2); async drink(); sum }";
    check_with(250, 30, text, &[], "3");
}

#[test]
fn a_thread_that_computes_for_long() {
    let text = "
        fn count(n) { if n == 0 { 0 } else { count(n - 1) } }
        fn long(n) { count(50000); print(n); count(50000); n }
        fn main() { a = async long(1); b = async long(2); (await a) + await b }";
    check(200, text, &[], "3");
}

const WAIT_AND_ADD: &str = "
    fn wait(f) { await f }
    fn start(n, f, all) { if n == 0 { all } else { start(n - 1, f, append(all, async wait(f))) } }
    fn total(all, sum) { if nullp(all) { sum } else { total(rest(all), sum + await first(all)) } }";

#[test]
fn a_thousand_wait_for_one_future() {
    let text =
        format!("{WAIT_AND_ADD} fn slow() {{ sleep(1); 1 }} fn main() {{ total(start(1000, async slow(), []), 0) }}");
    check(4, &text, &[], "1000");
}

#[test]
fn a_thousand_wait_for_one_promise() {
    let text = format!("{WAIT_AND_ADD} fn main() {{ total(start(1000, future(\"mail\", 1), []), 0) }}");
    check(4, &text, &[Act::Resolve("mail/1", 1)], "1000");
}

#[test]
fn a_chain_of_a_thousand_returned_futures() {
    check(8, "fn f(n) { if n == 0 { 7 } else { async f(n - 1) } } fn main() { f(1000) }", &[], "7");
}

#[test]
fn a_thousand_children_of_one_step() {
    let text = "
        fn child(n) { n }
        fn start(n) { if n == 0 { 0 } else { async child(n); start(n - 1) } }
        fn main() { start(1000); 5 }";
    check(8, text, &[], "5");
}

/// The last of the many waiters of a promise may be woken twice, the second time when it already waits for the next
/// one.
#[test]
fn many_who_wait_for_one_promise_after_another() {
    let text = "
        fn waits(n) { a = await future(\"p\", 1); b = await future(\"p\", 2); a + b + n }
        fn start(n) { if n == 0 { [] } else { append(start(n - 1), async waits(n)) } }
        fn sum(all, n) { if n == length(all) { 0 } else { (await nth(all, n)) + sum(all, n + 1) } }
        fn main() { sum(start(30), 0) }";
    let acts = [Act::Resolve("p/1", 100), Act::Resolve("p/2", 1_000)];
    check(400, text, &acts, "33465");
}
