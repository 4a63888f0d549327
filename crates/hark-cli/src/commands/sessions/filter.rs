//! The filters of `hark sessions`.

use std::time::Duration;

use hark_bytecode::string_text;
use hark_engine::{About, Filter, Listed, SessionState, Summary, Timestamp};

use crate::age;
use crate::args::{Sessions, StateName, Tag};
use crate::commands::kept::{Store, shown_state};
use crate::failure::Failure;
use crate::storage;

/// The matching sessions, newest first. A damaged one matches only if no filter needs its description.
///
/// # Errors
/// If the storage cannot be read, or an age is invalid.
pub fn list(store: &Store, wanted: &Sessions, now: Timestamp) -> Result<Vec<Listed>, Failure> {
    let ages = Ages::of(wanted)?;
    let state = wanted.state.map(kept_state);
    let is_looser = wanted.state.and_then(shown_name).is_some() || asks_about(wanted);
    // The storage cannot apply these filters, so the limit is applied after them.
    let limit = if is_looser { None } else { wanted.limit };
    let mut found = store.catalog()?.list(&Filter { state, limit, ..Filter::default() }).map_err(storage::failure)?;
    if let Some(name) = wanted.state.and_then(shown_name) {
        found.retain(|listed| listed.as_ref().map_or(true, |summary| shown_state(summary) == name));
    }
    if asks_about(wanted) {
        let fits = |summary: &Summary| {
            let about = &summary.record.about;
            fits(about, wanted) && ages.fit(about.started, now)
        };
        found.retain(|listed| listed.as_ref().is_ok_and(fits));
    }
    found.truncate(wanted.limit.unwrap_or(usize::MAX));
    Ok(found)
}

/// The displayed name of a state that shares its stored state with others.
fn shown_name(state: StateName) -> Option<&'static str> {
    match state {
        StateName::Running => Some("running"),
        StateName::Suspended => Some("suspended"),
        StateName::Cancelling => Some("cancelling"),
        _ => None,
    }
}

fn kept_state(state: StateName) -> SessionState {
    match state {
        StateName::Running | StateName::Suspended | StateName::Cancelling => SessionState::Running,
        StateName::Finished => SessionState::Finished,
        StateName::Broken => SessionState::Broken,
        StateName::Cancelled => SessionState::Cancelled,
        StateName::Moving => SessionState::Moving,
        StateName::Moved => SessionState::Moved,
        StateName::Importing => SessionState::Importing,
    }
}

/// Whether a filter needs the sessions' descriptions.
pub fn asks_about(wanted: &Sessions) -> bool {
    let Sessions { function, argument, since, older_than, tags, .. } = wanted;
    function.is_some() || argument.is_some() || since.is_some() || older_than.is_some() || !tags.is_empty()
}

fn fits(about: &About, wanted: &Sessions) -> bool {
    let has_tag = |tag: &Tag| match about.labels.tags.get(&tag.name) {
        Some(value) => tag.value.as_ref().is_none_or(|wanted| wanted == value),
        None => false,
    };
    wanted.function.as_ref().is_none_or(|function| *function == about.function)
        && wanted.argument.as_ref().is_none_or(|text| about.arguments.iter().any(|argument| mentions(argument, text)))
        && wanted.tags.iter().all(has_tag)
}

/// Whether an argument, which is stored as a literal of the language, contains a text as it was typed or as the literal
/// shows it.
fn mentions(argument: &str, text: &str) -> bool {
    let literal = string_text(text);
    let inner = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&literal);
    argument.contains(text) || argument.contains(inner)
}

/// The range of a session's age, from its start.
struct Ages {
    at_most: Option<Duration>,
    at_least: Option<Duration>,
}

impl Ages {
    fn of(wanted: &Sessions) -> Result<Ages, Failure> {
        let parsed = |text: &Option<String>| text.as_deref().map(age::parse).transpose();
        Ok(Ages { at_most: parsed(&wanted.since)?, at_least: parsed(&wanted.older_than)? })
    }

    fn fit(&self, started: Timestamp, now: Timestamp) -> bool {
        let age = now.since(started);
        self.at_most.is_none_or(|most| age <= most) && self.at_least.is_none_or(|least| age >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_counted_from_the_start() {
        let ages = |at_most, at_least| Ages {
            at_most: Some(Duration::from_secs(at_most)),
            at_least: Some(Duration::from_secs(at_least)),
        };
        let (started, now) = (Timestamp(5_000_000), Timestamp(65_000_000));
        assert!(ages(60, 60).fit(started, now));
        assert!(!ages(59, 0).fit(started, now) && !ages(100, 61).fit(started, now));
    }
}
