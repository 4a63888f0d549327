//! The progress that a call reports. It is handed on from time to time while the call runs, and at its end.

use std::time::Instant;

use hark_engine::CallEvent;

use crate::limits::PROGRESS_INTERVAL;

/// The last progress of a call.
#[derive(Debug, Default)]
pub struct Progress {
    /// As JSON, if it has not been handed on.
    json: Option<String>,
    handed_on: Option<Instant>,
}

impl Progress {
    /// Records what the call reports.
    pub fn note(&mut self, json: String) {
        self.json = Some(json);
    }

    /// Hands on new progress, unless some was handed on a moment ago.
    pub fn hand_on(&mut self, events: &mut dyn FnMut(CallEvent)) {
        if self.handed_on.is_none_or(|last| last.elapsed() >= PROGRESS_INTERVAL)
            && let Some(json) = self.json.take()
        {
            self.handed_on = Some(Instant::now());
            events(CallEvent::Progress { json, is_over: false });
        }
    }

    /// Hands on new progress, because the call is over.
    pub fn hand_on_last(self, events: &mut dyn FnMut(CallEvent)) {
        if let Some(json) = self.json {
            events(CallEvent::Progress { json, is_over: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_are_handed_on_and_few_between() {
        let mut heard = Vec::new();
        let mut progress = Progress::default();
        for number in 0..1_000 {
            progress.note(number.to_string());
            progress.hand_on(&mut |event| heard.push(event));
        }
        let count = heard.len();
        progress.hand_on_last(&mut |event| heard.push(event));
        let event = |json: &str, is_over| CallEvent::Progress { json: json.to_owned(), is_over };
        assert_eq!((heard.first(), heard.last()), (Some(&event("0", false)), Some(&event("999", true))));
        assert!(count < 100, "{count}");
    }
}
