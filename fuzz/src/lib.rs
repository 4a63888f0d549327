//! What must hold of anything that a stranger gives to Hark: the bodies of the fuzz targets, and what fuzzing begins with.
//! The tests hold the same bodies to some thousand damaged seeds (the machine's those of `programs`, the backends' those of
//! `sessions`), so nothing here uses libFuzzer.

pub mod damage;
pub mod document;
pub mod programs;
pub mod rows;
pub mod sessions;
