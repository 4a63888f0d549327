//! Calls with a rate never begin faster than the rate allows, however long they have waited for a worker.

use std::time::{Duration, Instant};

use hark_foreign::{Call, PythonPool, Rate};

use super::fixture::{PATIENCE, begin, call, config};

fn rated(number: u32, per: Duration) -> Call {
    let rate = Some(Rate { name: "bank".into(), count: 1, per });
    Call { id: format!("rated/{number}/1"), rate, ..call("calls.pid", vec![]) }
}

#[test]
fn calls_that_waited_together_do_not_begin_together() {
    let pool = PythonPool::new(config(1));
    let per = Duration::from_millis(200);
    let begun = Instant::now();
    let waiting: Vec<_> = (0..4).map(|number| begin(&pool, rated(number, per))).collect();
    waiting.into_iter().for_each(|answer| drop(answer.recv_timeout(PATIENCE).unwrap().unwrap()));
    pool.call_blocking(&rated(4, per), &mut |_| ()).unwrap();
    assert!(begun.elapsed() >= 4 * per, "{:?}", begun.elapsed());
}

#[test]
fn a_call_that_is_held_keeps_no_worker_and_can_be_cancelled() {
    let pool = PythonPool::new(config(1));
    let per = Duration::from_secs(3600);
    begin(&pool, rated(0, per)).recv_timeout(PATIENCE).unwrap().unwrap();
    let held = [1, 2, 3].map(|number| begin(&pool, rated(number, per)));
    let other = Call { id: "other/0/1".into(), ..call("calls.pid", vec![]) };
    begin(&pool, other).recv_timeout(PATIENCE).unwrap().unwrap();
    assert!(pool.withdraw_call("rated/1/1"));
    pool.cancel_call("rated/2/1");
    pool.cancel_session("rated");
    let [withdrawn, cancelled, session] = held;
    for answer in [cancelled, session] {
        assert_eq!(&*answer.recv_timeout(PATIENCE).unwrap().unwrap_err().kind, "cancelled");
    }
    assert!(withdrawn.recv_timeout(PATIENCE).is_err(), "a withdrawn call has no answer");
    pool.shutdown();
}
