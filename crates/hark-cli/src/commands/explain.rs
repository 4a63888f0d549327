//! `hark explain TOPIC`

use hark_bytecode::shortened;
use hark_compiler::{Code, nearest};

use super::FINISHED;
use crate::args::Explain;
use crate::failure::Failure;
use crate::output;
use crate::render::wrap;

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
    let code = Code::from_text(&wanted.topic).map(Code::explanation);
    let kind = || KINDS.iter().find(|(kind, _)| kind.eq_ignore_ascii_case(&wanted.topic)).map(|(_, page)| *page);
    let Some(page) = code.or_else(kind) else {
        let failure = Failure::usage(format!("there is no error code or kind `{}`", shortened(&wanted.topic)));
        return Err(failure.with_hint(hint(&wanted.topic)));
    };
    match wrap::width_of_stdout() {
        Some(width) => output::write_out(&wrap::page(page, width))?,
        None => output::write_out(page)?,
    }
    Ok(FINISHED)
}

fn hint(topic: &str) -> String {
    let kinds = KINDS.map(|(kind, _)| kind);
    let codes: Vec<String> = Code::ALL.iter().map(ToString::to_string).collect();
    let topic = if topic.to_uppercase().starts_with("HK") { topic.to_uppercase() } else { topic.to_lowercase() };
    match nearest(&topic, kinds.into_iter().chain(codes.iter().map(String::as_str))) {
        Some(near) => format!("did you mean `hark explain {near}`?"),
        None => format!(
            "a code is shown in brackets after `error` or `warning`, such as HK0012; the kinds of runtime errors are {}",
            kinds.join(", ")
        ),
    }
}
