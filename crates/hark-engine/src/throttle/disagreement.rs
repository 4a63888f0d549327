//! Programs that share a limit or rate, but declare different bounds.

use hark_bytecode::{Executable, Span};
use hark_machine::declared_gates;

use super::change::decoded;
use super::head::Head;
use super::{Bound, Gate, key};
use crate::space::Space;
use crate::storage::StorageError;

/// A declared bound of a limit or rate that differs from the one in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The limit or rate.
    pub gate: Gate,
    /// The program's attribute.
    pub span: Span,
    /// Its bound.
    pub bound: Bound,
    /// The bound in force.
    pub other: Bound,
    /// Where that is declared: a file and a line. Empty if unknown.
    pub place: String,
}

/// The declarations of a program about to run that will change bounds of limits and rates. A number that was changed
/// within the same file is not reported, unless the old one is in use.
///
/// # Errors
/// If the storage cannot be read.
pub fn disagreements(space: &dyn Space, executable: &Executable) -> Result<Vec<Disagreement>, StorageError> {
    let declared = declared_gates(executable);
    if declared.is_empty() {
        return Ok(Vec::new());
    }
    let gates: Vec<(Gate, Bound, Span)> = declared
        .into_iter()
        .map(|declared| {
            let (gate, bound) = Gate::of(declared.take);
            (gate, bound, declared.span)
        })
        .collect();
    let keys: Vec<_> = gates.iter().map(|(gate, ..)| key::head(gate)).collect();
    let mut found = Vec::new();
    for ((gate, bound, span), record) in gates.into_iter().zip(space.read(&keys)?) {
        let Some(head): Option<Head> = record.as_ref().map(decoded).transpose()? else { continue };
        let is_in_use = head.held + head.queued > 0;
        if head.bound != bound && (is_in_use || file_of(&head.place) != file_of(&place_at(span, executable))) {
            found.push(Disagreement { gate, span, bound, other: head.bound, place: head.place });
        }
    }
    Ok(found)
}

/// Where a program declares the bound of a gate.
pub(crate) fn place_of(gate: &Gate, executable: &Executable) -> String {
    let declared = declared_gates(executable).into_iter().find(|declared| Gate::of(declared.take.clone()).0 == *gate);
    declared.map_or_else(String::new, |declared| place_at(declared.span, executable))
}

fn place_at(span: Span, executable: &Executable) -> String {
    let place = executable.sources.location(span.start);
    place.map_or_else(String::new, |(source, place)| format!("{}:{}", source.path, place.line))
}

fn file_of(place: &str) -> &str {
    place.rsplit_once(':').map_or(place, |(file, _)| file)
}
