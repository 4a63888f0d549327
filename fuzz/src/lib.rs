//! Properties that must hold for all untrusted input: the bodies of the fuzz targets, and their seeds. The tests run
//! the same bodies on some thousand damaged seeds (those of `programs` in hark-machine, those of `sessions` in
//! hark-backends), so nothing here depends on libFuzzer.

pub mod damage;
pub mod document;
pub mod programs;
pub mod rows;
pub mod sessions;
