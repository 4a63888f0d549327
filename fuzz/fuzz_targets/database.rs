//! Makes any changes to the rows of a file of sessions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hark_fuzz::sessions::database(bytes);
});
