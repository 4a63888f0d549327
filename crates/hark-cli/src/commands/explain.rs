//! `hark explain TOPIC`

use super::FINISHED;
use crate::args::Explain;
use crate::failure::Failure;
use crate::output;

/// The kinds of runtime errors with their pages.
const KINDS: [(&str, &str); 14] = [
    ("error", include_str!("../../../../docs/errors/kinds/error.md")),
    ("type", include_str!("../../../../docs/errors/kinds/type.md")),
    ("arity", include_str!("../../../../docs/errors/kinds/arity.md")),
    ("name", include_str!("../../../../docs/errors/kinds/name.md")),
    ("index", include_str!("../../../../docs/errors/kinds/index.md")),
    ("value", include_str!("../../../../docs/errors/kinds/value.md")),
    ("zero", include_str!("../../../../docs/errors/kinds/zero.md")),
    ("stack", include_str!("../../../../docs/errors/kinds/stack.md")),
    ("limit", include_str!("../../../../docs/errors/kinds/limit.md")),
    ("python", include_str!("../../../../docs/errors/kinds/python.md")),
    ("timeout", include_str!("../../../../docs/errors/kinds/timeout.md")),
    ("cancelled", include_str!("../../../../docs/errors/kinds/cancelled.md")),
    ("worker_lost", include_str!("../../../../docs/errors/kinds/worker_lost.md")),
    ("deadlock", include_str!("../../../../docs/errors/kinds/deadlock.md")),
];

/// Prints the explanation of an error code or a kind of error, with an example and a remedy.
///
/// # Errors
/// If there is no such code or kind, or standard output cannot be written to.
pub fn explain(wanted: &Explain) -> Result<u8, Failure> {
    let code = hark_compiler::Code::from_text(&wanted.topic).map(hark_compiler::Code::explanation);
    let kind = || KINDS.iter().find(|(kind, _)| kind.eq_ignore_ascii_case(&wanted.topic)).map(|(_, page)| *page);
    let Some(page) = code.or_else(kind) else {
        let kinds = KINDS.map(|(kind, _)| kind).join(", ");
        let hint = format!(
            "a code is shown in brackets after `error` or `warning`, such as HK0012; the kinds of runtime errors are {kinds}"
        );
        return Err(Failure::usage(format!("there is no error code or kind `{}`", wanted.topic)).with_hint(hint));
    };
    output::write_out(page)?;
    Ok(FINISHED)
}
