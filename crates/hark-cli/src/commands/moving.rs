//! What is said of a session that another process is moving away.

use hark_backends::System;
use hark_engine::outside::{MoveUnderWay, Outside};
use hark_engine::{Filter, SessionState};

use super::kept::Store;
use crate::failure::Failure;
use crate::storage;

/// Since when a session is being moved, and what to do; None if it is not.
pub fn note(session: &Outside<'_>) -> Option<String> {
    // What is said of a session must not fail because more of it cannot be read.
    session.move_under_way().ok().flatten().map(|under_way| described(&under_way))
}

fn described(MoveUnderWay { since, until }: &MoveUnderWay) -> String {
    let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
    let exports = format!("`hark export` has been writing it{since}");
    match until {
        Some(until) => format!("{exports}: wait until it has ended; if it was killed, the session goes on at {until}"),
        None => format!("{exports}: wait until it has ended, or stop it, and the session goes on"),
    }
}

/// A failure, with a hint if the session is being moved.
pub fn explained(failure: Failure, session: &Outside<'_>) -> Failure {
    match note(session) {
        Some(note) => failure.with_hint(note),
        None => failure,
    }
}

/// A line for each session that is being moved.
///
/// # Errors
/// If the storage fails.
pub fn lines(store: &Store) -> Result<Vec<String>, Failure> {
    let moving = Filter { state: Some(SessionState::Moving), ..Filter::default() };
    let listed = store.catalog()?.list(&moving).map_err(storage::failure)?;
    let line = |id| {
        let note = note(&Outside::open(&*store.storage, &System, &id).ok()?)?;
        Some(format!("session {id} is being moved: {note}"))
    };
    Ok(listed.into_iter().flatten().filter_map(|summary| line(summary.id)).collect())
}
