//! Runs the conformance suite for invokers on every invoker.

use std::sync::Arc;

use hark_backends::invoker::Threads;
use hark_engine::conformance::check_invoker;

#[test]
fn a_pool_of_two_is_an_invoker() {
    check_invoker(&|| Arc::new(Threads::new(2)));
}

#[test]
fn a_pool_of_eight_is_an_invoker() {
    check_invoker(&|| Arc::new(Threads::new(8)));
}
