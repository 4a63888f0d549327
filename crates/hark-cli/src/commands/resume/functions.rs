//! `hark resume` and `hark retry` where AWS Lambda functions run the sessions: the command wakes the functions, and
//! shows the given session as if it ran the session itself.

use hark_engine::SessionId;
use hark_engine::outside::Outside;
use serde_json::json;

use super::{exit_status, running, show, write_left};
use crate::args::GoOn;
use crate::commands::FINISHED;
use crate::commands::follow::{From, follow};
use crate::commands::kept::Store;
use crate::commands::progress::Progress;
use crate::failure::Failure;
use crate::instance::invocation;
use crate::output;
use crate::signals::Interruption;

/// Runs the instance's recovery, and shows the given session, or else lists the unfinished ones.
pub fn resume(wanted: &GoOn, store: &Store, only: Option<&SessionId>) -> Result<u8, Failure> {
    let wake = || match store.storage.instance() {
        Some((instance, aws)) => {
            let recover = json!({ "hark": 1, "recover": true });
            instance.invoke(aws, &recover).map(drop).map_err(|error| invocation::failure(error, instance, &store.place))
        }
        None => Ok(()),
    };
    if let Some(id) = only {
        return go_on(wanted, store, id, |_| wake());
    }
    wake()?;
    let running = running(store)?;
    if wanted.kept.json {
        write_left(&running)?;
    } else if !wanted.quiet {
        let lines = running.iter().map(|id| format!("the functions continue {id}\n"));
        let nothing = format!("no sessions to resume in {}\n", store.place.store());
        output::write_out(&if running.is_empty() { nothing } else { lines.collect() })?;
    }
    Ok(FINISHED)
}

/// Does something that makes the session continue, and shows its output from then on, and its end.
pub fn go_on(
    wanted: &GoOn,
    store: &Store,
    id: &SessionId,
    wake: impl FnOnce(&Outside<'_>) -> Result<(), Failure>,
) -> Result<u8, Failure> {
    let interruption = Interruption::default();
    interruption.watch(output::status::hide).map_err(|error| Failure::system("cannot watch for signals", &error))?;
    let mut progress = Progress::prepare(!wanted.quiet && !wanted.kept.json && !wanted.no_progress);
    let (shared, watched) = (store.storage.shared(), id.clone());
    progress.watch(move || Some(super::watch(&*shared, &[watched]).run_by_functions()));
    let is_json = wanted.kept.json;
    let mut print = |text: &str| if is_json { Ok(()) } else { output::write_raw(text) };
    let report = follow(store, id, From::Now, &interruption, wake, &mut print)?;
    drop(progress);
    let reports = [report];
    show(wanted, store, &reports, &[])?;
    Ok(exit_status(&reports, &interruption))
}
