//! Feeds any bytes to the decoder of executables.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hark_fuzz::programs::executable(bytes));
