//! Short runs of the fuzz targets: seeds damaged by a deterministic generator. For real fuzzing, see ARCHITECTURE.md.

use super::bodies;
use super::damage;

fn fuzz(target: &str, times: u64, body: fn(&[u8])) {
    let seeds = bodies::seeds().into_iter().find(|(name, _)| *name == target).expect("the target has seeds").1;
    assert!(seeds.len() > 20, "{target} has {} seeds", seeds.len());
    damage::fuzz(target, &seeds, times, body);
}

#[test]
fn any_text_to_the_compiler() {
    fuzz("compile", 10_000, |bytes| bodies::compile(&String::from_utf8_lossy(bytes)));
}

#[test]
fn any_bytes_to_the_decoder_of_executables() {
    fuzz("executable", 20_000, bodies::executable);
}

#[test]
fn any_bytes_to_the_decoder_of_snapshots() {
    fuzz("snapshot", 200_000, bodies::snapshot);
}
