//! Feeds any bytes to `hark import`, and runs the session.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hark_fuzz::sessions::import(bytes);
});
