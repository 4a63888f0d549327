//! `hark run FILE`, or `hark FILE`
use crate::args::Run;
use crate::failure::Failure;
pub fn run(_wanted: &Run) -> Result<u8, Failure> { Ok(0) }
