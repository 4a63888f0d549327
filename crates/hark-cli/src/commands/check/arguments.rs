//! Checks whether the arguments of imports and calls match the signature of the Python function.

use hark_bytecode::{Foreign, Span};
use hark_compiler::{Code, Diagnostic};
use hark_foreign::check::Signature;

use super::calls::{Call, Last};
use super::python::Import;

/// At most one warning about an import: its calls can be judged only if the import itself is right.
pub fn about_arguments(import: &Import<'_>, signature: &Signature) -> Vec<Diagnostic> {
    let Foreign { module, function, arity, attributes, .. } = import.foreign;
    let whole = format!("`{module}.{function}`");
    let wrong = |message: String, span: Span| Diagnostic::warning(Code::PythonArguments, message, span);
    // A hash at the end may hold any number of keyword arguments.
    let (by_position, fewest) = match attributes.kwargs {
        true => (arity.saturating_sub(1), signature.fewest_by_position()),
        false => (*arity, signature.fewest),
    };
    if let Some(keyword) = signature.needed_keywords.first().filter(|_| !attributes.kwargs) {
        let hint = "write `#[kwargs]` before the import, and give it a hash as the last argument";
        let message = format!("{whole} needs the keyword argument `{keyword}`");
        return vec![wrong(message, import.span).with_hint(hint)];
    }
    if is_too_many(by_position, signature) || *arity < fewest {
        let taken = arguments(signature.fewest, signature.most);
        return vec![wrong(format!("{whole} takes {taken}, but is imported with {arity}"), import.span)];
    }
    if attributes.kwargs && !signature.takes_keywords() {
        return vec![wrong(format!("{whole} takes no keyword arguments"), import.span)];
    }
    let told = import.calls.iter().filter_map(|call| {
        let mistake = mistake(call, attributes.kwargs, signature)?;
        Some(wrong(format!("{whole} {mistake}"), call.span).with_label(import.span, "imported here"))
    });
    told.collect()
}

/// What is certainly wrong with a call, if anything.
fn mistake(call: &Call<'_>, kwargs: bool, signature: &Signature) -> Option<String> {
    let count = call.count;
    let is_wrong_number = match &call.last {
        _ if !kwargs => count < signature.fewest,
        Last::Hash(keywords) => return mistake_of_keywords(count - 1, keywords, signature),
        Last::NoHash => count < signature.fewest || is_too_many(count, signature),
        // It may be a hash with any keyword arguments.
        Last::Unknown => count < signature.fewest_by_position() || is_too_many(count - 1, signature),
    };
    if is_wrong_number {
        return Some(format!("takes {}, but is called with {count}", arguments(signature.fewest, signature.most)));
    }
    let needed = signature.needed_keywords.first().filter(|_| kwargs && call.last == Last::NoHash)?;
    Some(format!("needs the keyword argument `{needed}`"))
}

fn mistake_of_keywords(count: u32, keywords: &[&str], signature: &Signature) -> Option<String> {
    if is_too_many(count, signature) {
        let taken = arguments(signature.fewest, signature.most);
        return Some(format!("takes {taken} by position, but is called with {count}"));
    }
    if let Some(unknown) = keywords.iter().find(|keyword| !signature.takes_keyword(keyword)) {
        return Some(format!("takes no keyword argument `{unknown}`"));
    }
    let count = count as usize;
    let mut given = signature.names.iter().take(count).skip(signature.only_by_position as usize);
    if let Some(twice) = given.find(|name| keywords.contains(&name.as_str())) {
        return Some(format!("gets the argument `{twice}` twice"));
    }
    let only_by_position = signature.only_by_position as usize;
    let mut missing = signature.names.iter().enumerate().take(signature.fewest as usize).skip(count);
    if let Some((_, name)) = missing.find(|(at, name)| *at < only_by_position || !keywords.contains(&name.as_str())) {
        return Some(format!("needs the argument `{name}`"));
    }
    let needed = signature.needed_keywords.iter().find(|needed| !keywords.contains(&needed.as_str()))?;
    Some(format!("needs the keyword argument `{needed}`"))
}

fn is_too_many(count: u32, signature: &Signature) -> bool {
    signature.most.is_some_and(|most| count > most)
}

/// The number of accepted arguments, in words.
fn arguments(fewest: u32, most: Option<u32>) -> String {
    let counted = |count: u32| if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") };
    match most {
        Some(0) => "no arguments".to_owned(),
        Some(most) if fewest == most => counted(most),
        Some(most) if fewest == 0 => format!("at most {}", counted(most)),
        Some(most) => format!("{fewest} to {most} arguments"),
        None => format!("at least {}", counted(fewest)),
    }
}
