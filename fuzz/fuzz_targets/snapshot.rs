//! Feeds any bytes to the decoder of thread snapshots.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hark_fuzz::programs::snapshot(bytes));
