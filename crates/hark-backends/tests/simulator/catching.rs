//! Errors that are caught: of Futures, of calls, and of waits with a deadline.

use super::{Act, check, check_with};

/// Catching the failure of another thread handles it, whenever it happened, and the catching thread continues to wait.
#[test]
fn failures_of_threads_that_are_caught() {
    let text = "
        fn bad(n) { sleep(n / 100.0); print(n); error(\"no \" + to_string(n), n) }
        fn guard(f, then) { x = try { await f } catch e { print(get(e, \"message\")); get(e, \"data\") }; y = await then; x + y }
        fn leaf(n) { sleep(n / 100.0); n }
        fn main() { a = async bad(0); b = async bad(3); l = async leaf(20);
                    c = async guard(a, l); d = async guard(a, future(\"mail\", 1)); e = async guard(b, c);
                    (await d) * 10000 + (await e) * 100 + try { await b } catch { 7 } }";
    check(80, text, &[Act::Resolve("mail/1", 50)], "502307");
}

/// The error passes through several threads, is caught, raised again and caught once more.
#[test]
fn errors_that_are_raised_again() {
    let text = "
        fn bad() { sleep(0.01); error({\"kind\": \"mine\", \"message\": \"no\", \"data\": [1]}) }
        fn through(f) { try { await f } catch e { print(\"again\"); error(e) } }
        fn followed(f) { try { f } catch { 0 } }
        fn main() { a = async bad(); b = async through(async through(a)); c = async followed(b); d = async followed(c);
                    x = try { await [a, future(\"never\", 1), d] } catch e { get(e, \"kind\") };
                    y = try { try { await d } catch e { error(get(e, \"message\") + \"!\") } } catch e { get(e, \"message\") };
                    x + y + try { await b } catch e { to_string(get(e, \"data\")) } }";
    check(80, text, &[], "mineno![1]");
}

/// A step deletes few records, however many failures it has caught.
#[test]
fn many_failures_that_are_caught_in_one_step() {
    let text = "
        fn bad(n) { if n % 3 == 0 { n } else { error(\"no\") } }
        fn caught(f) { try { await f } catch { 1 } }
        fn count(all, sum) { if nullp(all) { sum } else { x = caught(first(all)); count(rest(all), sum + x) } }
        fn main() { all = map(range(60), lambda (n) { async bad(n) }); sleep(1); x = try { await all } catch { 1000 };
                    y = try { any(filter(all, lambda (f) { try { await f; false } catch { true } })) } catch { 2000 };
                    more = map(range(60), lambda (n) { async bad(n) }); sleep(1); x + y + count(more, 0) }";
    check(40, text, &[], "3610");
}

#[test]
fn calls_that_are_caught() {
    let text = "
        import(fail, outside, 1); import(echo, outside, 1); import(say, outside, 1);
        fn tries(n) { x = try { a = echo(n); print(a); fail(a); print(\"never\"); 1 } catch e { print(get(e, \"kind\")); say(\"x\"); 10 };
                      y = try { await async fail(n) } catch e { echo(100) }; x + y + echo(n) }
        fn main() { a = async tries(1); b = async tries(2); (await a) + await b }";
    check(80, text, &[], "223");
}

/// Only uncaught failures are retried.
#[test]
fn caught_failures_and_a_retry() {
    let text = "
        import(unready, outside, 1); import(echo, outside, 1);
        fn one(n) { print(n); unready(n) }
        fn guard(f) { try { await f } catch { print(\"caught\"); 100 } }
        fn main() { a = async one(1); x = guard(a); y = try { unready(2) } catch { 200 }; b = async one(3);
                    c = async guard(async one(4)); d = async one(5);
                    z = try { await a } catch { 1000 }; x = x + await b;
                    x + y + z + (await c) + await d }";
    check(80, text, &[Act::Retry], "1408");
}

/// A thread that caught one failure and then broke because of another one continues after its `try`.
#[test]
fn a_retry_behind_a_try() {
    let text = "
        import(unready, outside, 1); import(echo, outside, 1);
        fn one(n) { print(n); unready(n) }
        fn main() { a = async one(1); x = try { await a } catch { print(\"caught\"); 100 }; b = async one(2);
                    y = await [b, echo(3)]; c = async lambda_of(x)(4);
                    z = try { await_for(c, 1000000) } catch { 1000 }; x + first(y) + nth(y, 1) + z }
        fn lambda_of(x) { lambda (n) { echo(n + x) } }";
    check(80, text, &[Act::Retry], "209");
}

#[test]
fn promises_whose_failures_are_caught() {
    let text = "
        fn guard(f) { try { await f } catch e { get(e, \"message\") } }
        fn main() { p = future(\"mail\", 1); a = async guard(p); b = async guard([future(\"never\", 1), p]);
                    c = async guard(a); d = try { any([p, p]) } catch e { get(e, \"message\") };
                    join([await a, await b, await c, d], \", \") }";
    check(80, text, &[Act::Fail("mail/1", "no mail")], "no mail, no mail, no mail, no mail");
}

/// Deadlines that expire, and one that does not.
#[test]
fn waits_that_end_at_a_time_and_are_caught() {
    // Each wait is longer than the previous one, because the clock may be set back by an hour during the sleep.
    let text = "
        fn leaf(n) { sleep(n); n }
        fn late(f, n) { try { await_for(f, n) } catch e { print(get(e, \"kind\")); 100 } }
        fn until(f, n) { try { await_for(f, n) } catch e { until(f, 2 * n) } }
        fn main() { p = future(\"never\", 1); l = async leaf(3); a = async late(p, 0.5); b = async late([p, l], 0);
                    c = async until({\"a\": l, \"b\": future(\"mail\", 1)}, 0.4); d = late(l, 1000000000); e = late(p, 1);
                    h = await c; (await a) + (await b) + get(h, \"a\") + get(h, \"b\") + d + e }";
    check(80, text, &[Act::Resolve("mail/1", 7)], "313");
}

/// Closures carry Futures, and a handler's error, to other threads.
#[test]
fn closures_that_wait_in_other_threads() {
    let text = "
        import(echo, outside, 1); import(fail, outside, 1);
        fn twice(f) { lambda (x) { f(f(x)) } }
        fn main() { p = future(\"mail\", 1); add = lambda (n) { n + await p }; a = async twice(add)(1); b = async twice(twice(add))(0);
                    g = try { fail(1) } catch e { lambda () { print(get(e, \"kind\")); echo(get(e, \"message\")) } };
                    c = async g(); [x, [y, z]] = await [a, [b, c]]; print(z); x + y }";
    check(80, text, &[Act::Resolve("mail/1", 10)], "61");
}

/// Ready threads have done nothing when another thread's call kills the server, so they are not given up.
#[test]
fn a_call_that_kills_is_caught() {
    let text = "
        import(poison, outside, 1); import(echo, outside, 1);
        fn leaf(n) { print(n); m = await async twig(n); echo(m) }
        fn twig(n) { n + 1 }
        fn main() { a = async leaf(1); b = async poison(2); c = async leaf(20);
                    x = try { await b } catch e { print(get(e, \"kind\")); echo(300) };
                    (await a) + x + (await c) + await async leaf(4000) }";
    check_with(100, 30, text, &[], "4324");
}

#[test]
fn a_try_that_computes_for_long() {
    let text = "
        fn count(n) { if n == 0 { error(\"done\", 1) } else { count(n - 1) } }
        fn long(n) { x = try { count(50000) } catch e { print(n); get(e, \"data\") }; x + try { count(50000) } catch { n } }
        fn main() { a = async long(1); b = async long(2); (await a) + await b }";
    check(20, text, &[], "5");
}
