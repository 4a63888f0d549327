//! Whole sessions in memory, on a pool of OS threads: threads, Futures, failures and ends.

mod support;

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hark_engine::{OutputItem, Status, SuspendAt};
use support::{MODES, Ran, Run, run_on};

/// Runs a program in all modes, on one worker and on several, and checks its result.
#[track_caller]
fn check(text: &str, result: &str) {
    for suspend_at in MODES {
        for workers in [1, 4] {
            let ran = Run { workers, suspend_at, ..Run::default() }.run(text);
            assert_eq!(ran.errors(), Vec::<String>::new(), "{suspend_at:?}, {workers} workers");
            assert_eq!((ran.report.status, ran.result.as_str()), (Status::Finished, result), "{suspend_at:?}");
        }
    }
}

/// The same for a program that breaks.
#[track_caller]
fn check_broken(text: &str, errors: &[&str]) {
    for suspend_at in MODES {
        for workers in [1, 4] {
            let ran = Run { workers, suspend_at, ..Run::default() }.run(text);
            assert_eq!(ran.errors(), errors, "{suspend_at:?}, {workers} workers");
            assert_eq!(ran.report.status, Status::Broken);
            assert!(ran.report.result.is_none());
        }
    }
}

fn run(text: &str) -> Ran {
    Run::default().run(text)
}

#[test]
fn a_session_has_its_first_threads_value() {
    check("fn main() { 42 }", "42");
}

#[test]
fn threads_are_numbered_without_gaps() {
    check(
        "fn number() { tid() }
         fn main() { a = async number(); b = async number(); c = async number(); [tid(), await a, await b, await c] }",
        "[0, 1, 2, 3]",
    );
}

#[test]
fn a_future_may_be_awaited_twice_and_later() {
    check("fn f() { 21 } fn main() { a = async f(); x = await a; x + await a }", "42");
}

#[test]
fn threads_start_threads() {
    check(
        "fn fib(n) { if n < 2 { n } else { a = async fib(n - 1); b = async fib(n - 2); (await a) + await b } }
         fn main() { fib(11) }",
        "89",
    );
}

#[test]
fn a_chain_of_returned_futures_needs_one_await() {
    check("fn f(n) { if n == 0 { 7 } else { async f(n - 1) } } fn main() { await async f(50) }", "7");
    let ran = run("fn f(n) { if n == 0 { 7 } else { async f(n - 1) } } fn main() { f(100000) }");
    assert_eq!((ran.result.as_str(), ran.report.threads), ("7", 100_001));
}

#[test]
fn many_threads_may_return_the_same_future() {
    check(
        "fn slow() { sleep(0.001); 5 }
         fn same(f) { f }
         fn main() { f = async slow(); a = async same(f); b = async same(f); [await a, await b, await f] }",
        "[5, 5, 5]",
    );
}

#[test]
fn a_thousand_threads_may_await_one_future() {
    let text = "
        fn slow() { sleep(0.005); 1 }
        fn wait(f) { await f }
        fn start(n, f, all) { if n == 0 { all } else { start(n - 1, f, append(all, async wait(f))) } }
        fn total(all, i, sum) { if i < 0 { sum } else { total(all, i - 1, sum + await nth(all, i)) } }
        fn main() { total(start(1000, async slow(), []), 999, 0) }";
    check(text, "1000");
}

#[test]
fn a_hundred_thousand_threads_may_live_at_a_time() {
    let text = "
        fn wait(f) { await f }
        fn start(n, f, all) { if n == 0 { all } else { start(n - 1, f, append(all, async wait(f))) } }
        fn total(all, i, sum) { if i < 0 { sum } else { total(all, i - 1, sum + await nth(all, i)) } }
        fn slow() { sleep(0.05); 1 }
        fn main() { total(start(100000, async slow(), []), 99999, 0) }";
    assert_eq!(run(text).result, "100000");
}

#[test]
fn a_session_ends_when_all_threads_have_stopped() {
    let ran = run("fn late() { sleep(0.01); print(\"late\") } fn main() { async late(); 1 }");
    assert_eq!((ran.result.as_str(), ran.printed().as_str()), ("1", "late\n"));
}

#[test]
fn a_failure_that_nobody_awaited_breaks_the_session() {
    check_broken("fn bad() { error(\"no\") } fn main() { async bad(); 1 }", &["1 error no [1:bad]"]);
}

#[test]
fn a_failure_is_reported_once_with_its_whole_way() {
    check_broken(
        "fn bad() { error(\"no\") }
         fn middle() { await async bad() }
         fn main() { a = async middle(); await a }",
        &["2 error no [0:main 1:middle 2:bad]"],
    );
}

#[test]
fn a_failure_goes_through_threads_that_return_its_future() {
    check_broken(
        "fn bad() { error(\"no\") }
         fn middle() { async bad() }
         fn main() { a = async middle(); await a }",
        &["2 error no [0:main 2:bad]"],
    );
}

#[test]
fn each_root_cause_is_reported() {
    check_broken(
        "fn bad(x) { error(x) }
         fn wait(f) { await f }
         fn main() { a = async bad(\"a\"); b = async bad(\"b\"); async wait(a); async wait(b); async wait(b); 1 }",
        &["1 error a [3:wait 1:bad]", "2 error b [4:wait 2:bad]"],
    );
}

#[test]
fn a_long_way_of_a_failure_is_shortened() {
    let ran = run("fn f(n) { if n == 0 { error(\"no\") } else { await async f(n - 1) } } fn main() { f(20000) }");
    let [error] = &ran.report.errors[..] else { panic!("{:?}", ran.errors()) };
    assert_eq!(error.thread.0, 20_000);
    let trace = &error.error.trace;
    assert_eq!((trace[0].thread, trace[trace.len() - 1].thread), (0, 20_000));
    assert!(trace.len() <= 100 && trace.len() as u64 + error.error.omitted > 20_000);
}

#[test]
fn a_deadlock_is_an_error_that_says_who_waits_for_what() {
    check_broken(
        "fn wait(f) { await f } fn main() { f = future(\"mail\", 1); a = async wait(f); await a }",
        &["0 deadlock no thread can go on: thread 0 waits for thread 1; \
           thread 1 waits for future `mail/1`, which nothing can resolve [0:main]"],
    );
    check_broken(
        "fn main() { future(\"mail\", 1) }",
        &["0 deadlock no thread can go on: thread 0 ended with future `mail/1`, which nothing can resolve []"],
    );
}

#[test]
fn a_deadlock_does_not_hide_a_failure() {
    check_broken(
        "fn bad() { error(\"no\") } fn main() { async bad(); await future(\"mail\", 1) }",
        &[
            "1 error no [1:bad]",
            "0 deadlock no thread can go on: thread 0 waits for future `mail/1`, which nothing can resolve [0:main]",
        ],
    );
}

#[test]
fn sleep_gives_its_seconds() {
    check("fn main() { [sleep(0.001), sleep(0)] }", "[0.001, 0]");
    let text = "fn main() { sleep(-1) }";
    let ran = run(text);
    assert_eq!(ran.report.status, Status::Broken);
    let ran = run("fn main() { sleep(0.0 - 0.5) }");
    assert_eq!(ran.report.status, Status::Broken);
}

#[test]
fn sleepers_hold_no_worker() {
    let text = "
        fn nap(n) { sleep(0.3); n }
        fn start(n, all) { if n == 0 { all } else { start(n - 1, append(all, async nap(1))) } }
        fn total(all, i, sum) { if i < 0 { sum } else { total(all, i - 1, sum + await nth(all, i)) } }
        fn main() { total(start(1000, []), 999, 0) }";
    let begun = Instant::now();
    let ran = Run { workers: 1, ..Run::default() }.run(text);
    assert_eq!(ran.result, "1000");
    assert!(begun.elapsed() < Duration::from_secs(200), "one after another they take 300 s");
}

#[test]
fn output_comes_in_the_order_of_cause_and_effect() {
    let text = "
        fn child(n) { print(n); n }
        fn main() { loop(300) }
        fn loop(n) { if n == 0 { 0 } else { a = async child(n); b = async child(n); await a; await b; print(\"-\"); loop(n - 1) } }";
    let expected: String = (1..=300).rev().map(|n| format!("{n}\n{n}\n-\n")).collect();
    for suspend_at in MODES {
        let seen = Arc::new(Mutex::new(String::new()));
        let shown = seen.clone();
        let observer = move |items: &[OutputItem]| {
            items.iter().for_each(|item| shown.lock().unwrap().push_str(&item.text));
        };
        let engine = Run { workers: 4, suspend_at, ..Run::default() }.engine(false);
        let ran = run_on(&engine, text, Arc::new(observer));
        assert_eq!(*seen.lock().unwrap(), expected);
        assert!(ran.report.output.is_empty(), "it was not meant to be kept");
    }
}

#[test]
fn output_tells_time_and_thread() {
    let ran = run("fn f() { print(\"b\") } fn main() { print(\"a\"); await async f() }");
    let items: Vec<(u64, &str)> = ran.report.output.iter().map(|item| (item.thread.0, item.text.as_str())).collect();
    assert_eq!(items, [(0, "a\n"), (1, "b\n")]);
    assert!(ran.report.output[0].time <= ran.report.output[1].time);
}

const ENDLESS: &str = "fn spin(n) { spin(n + 1) }";

/// Cancels a program when it prints, and returns its report.
fn cancel_when_it_prints(text: &str, suspend_at: SuspendAt, workers: usize) -> Ran {
    let engine = Run { workers, suspend_at, ..Run::default() }.engine(true);
    let handle = engine.cancel_handle();
    run_on(&engine, text, Arc::new(move |_: &[OutputItem]| handle.cancel()))
}

#[test]
fn a_busy_thread_starves_nobody() {
    for suspend_at in MODES {
        let text =
            format!("{ENDLESS} fn say() {{ print(\"here\") }} fn main() {{ async spin(0); async say(); spin(0) }}");
        let ran = cancel_when_it_prints(&text, suspend_at, 1);
        assert_eq!(ran.report.status, Status::Cancelled);
        assert!(ran.report.errors.is_empty() && ran.report.result.is_none());
    }
}

#[test]
fn a_thread_that_awaits_what_is_there_starves_nobody() {
    let text = "
        fn one() { 1 }
        fn spin(f) { await f; spin(f) }
        fn say() { print(\"here\") }
        fn main() { f = async one(); await f; async spin(f); async say(); spin(f) }";
    assert_eq!(cancel_when_it_prints(text, SuspendAt::Never, 1).report.status, Status::Cancelled);
}

#[test]
fn timers_are_served_while_workers_are_busy() {
    let text = format!("{ENDLESS} fn say() {{ sleep(0.005); print(\"here\") }} fn main() {{ async say(); spin(0) }}");
    assert_eq!(cancel_when_it_prints(&text, SuspendAt::Never, 1).report.status, Status::Cancelled);
}

#[test]
fn a_session_is_cancelled_from_another_os_thread() {
    for text in [
        format!("{ENDLESS} fn main() {{ print(1); spin(0) }}"),
        "fn main() { print(1); sleep(1000000) }".to_owned(),
        "fn nap() { sleep(1e300) } fn main() { print(1); await async nap() }".to_owned(),
    ] {
        let engine = Run::default().engine(true);
        let handle = engine.cancel_handle();
        let (printed, wait) = mpsc::channel();
        let canceller = thread::spawn(move || {
            wait.recv().unwrap();
            handle.cancel();
        });
        let printed = Mutex::new(printed);
        let observer = move |_: &[OutputItem]| {
            let _ = printed.lock().unwrap().send(());
        };
        let ran = run_on(&engine, &text, Arc::new(observer));
        canceller.join().unwrap();
        assert_eq!(ran.report.status, Status::Cancelled);
        // The handle cancels an engine for good.
        let ran = run_on(&engine, "fn main() { 1 }", Arc::new(|_: &[OutputItem]| {}));
        assert_eq!(ran.report.status, Status::Cancelled);
    }
}

#[test]
fn an_engine_runs_sessions_at_once() {
    let engine = Run::default().engine(true);
    let text = "fn f(n) { if n == 0 { 0 } else { 1 + await async f(n - 1) } } fn main() { f(300) }";
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(run_on(&engine, text, Arc::new(|_: &[OutputItem]| {})).result, "300");
                }
            });
        }
    });
}

/// If the first thread stops at once, its children may all stop before its worker has checked whether any is left. None
/// of them noticed that it was the last, and the session was mistaken for a deadlock.
#[test]
fn a_session_whose_last_threads_stop_together_ends() {
    let text = "fn one() { 1 } fn wait(f) { await f }
                fn main() { f = async one(); async wait(f); async wait(f); async one(); 7 }";
    let run = Run { workers: 4, ..Run::default() };
    for _ in 0..500 {
        let ran = run.run(text);
        assert_eq!((ran.errors(), ran.result.as_str()), (vec![], "7"));
    }
}

#[test]
fn who_is_woken_goes_before_those_of_a_lower_priority() {
    // The last thread to run wakes the gates. Each gate wakes a thread that waits for it: the one with the lowest
    // priority first.
    let program = "
        #[priority(-9)] fn last() { 0 }
        #[priority(9)] fn gate(future) { await future }
        #[priority(-3)] fn lowest(future) { await future; print(\"lowest\") }
        fn low(future) { await future; print(\"low\") }
        #[priority(3)] fn high(future) { await future; print(\"high\") }
        fn main() {
            end = async last();
            gates = [async gate(end), async gate(end), async gate(end)];
            async lowest(nth(gates, 0));
            async low(nth(gates, 1));
            async high(nth(gates, 2))
        }";
    for suspend_at in MODES {
        let ran = Run { workers: 1, suspend_at, ..Run::default() }.run(program);
        assert_eq!(ran.printed(), "high\nlow\nlowest\n", "{suspend_at:?}");
    }
}
