//! Any bytes to `hark import`, and what comes of the session.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hark_fuzz::sessions::import(bytes);
});
