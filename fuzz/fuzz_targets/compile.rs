//! Feeds any text to the compiler.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| hark_fuzz::programs::compile(text));
