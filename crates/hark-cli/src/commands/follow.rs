//! Follows a session that other processes run: its output as it appears, and its report at the end.

use hark_backends::System;
use hark_engine::outside::Outside;
use hark_engine::{HistoryReader, LogEntry, Report, SessionId, Surroundings};

use super::kept::{Store, outside_failure};
use super::pace::Pace;
use crate::failure::Failure;
use crate::signals::{self, Interruption};
use crate::storage;

/// Follows a session until it has ended or a signal has arrived, and returns its report. `begin` is called first, after
/// earlier output that is not to be shown was skipped.
///
/// # Errors
/// If the storage fails, or the session is removed.
pub fn follow(
    store: &Store,
    id: &SessionId,
    from: From,
    interruption: &Interruption,
    begin: impl FnOnce(&Outside<'_>) -> Result<(), Failure>,
    show: &mut dyn FnMut(&str) -> Result<(), Failure>,
) -> Result<Report, Failure> {
    let session = store.outside(id)?;
    let mut history = HistoryReader::new(session.records());
    if from == From::Now {
        print_new(&mut history, &mut |_| Ok(()))?;
    }
    begin(&session)?;
    let mut pace = Pace::of(&store.storage);
    loop {
        // Checked before the history is read: output added after the check is read in the next round.
        let record = store.catalog()?.record(id).map_err(storage::failure)?;
        let (_, record) = record.ok_or_else(|| Failure::usage(format!("session {id} was removed meanwhile")))?;
        let has_found = print_new(&mut history, show)?;
        if record.state.is_over() || !signals::sleep(pace.next(has_found), interruption) {
            break;
        }
    }
    let is_served = store.storage.tenure().is_served_elsewhere(id, System.steady_now()).map_err(storage::failure)?;
    session.report(is_served).map_err(outside_failure)
}

/// Which output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// All output.
    Start,
    /// Only output from now on.
    Now,
}

/// Whether there was any new output.
fn print_new(
    history: &mut HistoryReader<'_>,
    show: &mut dyn FnMut(&str) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let mut has_found = false;
    while let Some(page) = history.page().map_err(storage::failure)? {
        has_found |= !page.is_empty();
        page.into_iter().filter_map(LogEntry::into_printed).try_for_each(|item| show(&item.text))?;
    }
    Ok(has_found)
}
