//! `hark timeline`: what each thread of a session did, and when.

mod chart;
mod json;
mod lanes;
mod page;

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use hark_backends::System;
use hark_engine::{Event, HistoryReader, LogEntry, Summary, Surroundings, ThreadId};

use super::kept::Store;
use super::{FINISHED, values};
use crate::args;
use crate::failure::Failure;
use crate::output;
use crate::render::{Style, columns, escape};
use crate::report;
use crate::storage;
use chart::Chart;
use lanes::{End, Lane, Lanes};
use page::Page;

/// The columns of a timeline that is not for a terminal.
const COLUMNS_IN_PIPE: usize = 100;

/// The maximum number of threads drawn, unless `--limit` gives another.
const THREADS_SHOWN: usize = 100;

/// The same for a page, which a browser shows without delay.
const THREADS_IN_PAGE: usize = 20_000;

/// The lines around the bars: the axis, the legend, the number of omitted threads, and the shell's prompt.
const OTHER_LINES: usize = 6;

/// How often a followed session is redrawn.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);

/// Draws the timeline of a session; on a terminal with `--follow`, redraws it until the session ends.
///
/// # Errors
/// If there is no such session, or it cannot be read.
pub fn timeline(wanted: &args::Timeline) -> Result<u8, Failure> {
    let store = Store::existing(&wanted.kept.storage, &wanted.kept.config)?;
    let summary = store.find(wanted.id.as_deref())?;
    let session = store.outside(&summary.id)?;
    let mut history = HistoryReader::new(session.records());
    let mut lanes = Lanes::default();
    let mut drawn_lines = 0;
    loop {
        let now = store.catalog()?.record(&summary.id).map_err(storage::failure)?;
        let record = now.map_or_else(|| summary.record.clone(), |(_, record)| record);
        // Read before the history: later events are drawn in the next round.
        let is_last = !wanted.follow || record.state.is_over();
        while let Some(page) = history.page().map_err(storage::failure)? {
            page.into_iter().for_each(|entry| lanes.note(&with_arguments(entry, &summary)));
        }
        let end = record.ended.unwrap_or_else(|| System.now());
        let is_served = record.state.is_over() || store.find(Some(summary.id.as_str()))?.is_served;
        let all = if is_served { lanes.until(end) } else { lanes.unserved_until(end) };
        if let Some(path) = &wanted.output {
            let chosen = chosen(&all, wanted.limit.unwrap_or(THREADS_IN_PAGE));
            let finished: Vec<ThreadId> =
                chosen.iter().filter(|lane| lane.end == End::Finished).map(|lane| lane.thread).collect();
            let results = values::of_threads(&session, &finished)?;
            let omitted = all.len() - chosen.len();
            let summary = Summary { record, ..store.find(Some(summary.id.as_str()))? };
            Page { summary: &summary, lanes: &chosen, results: &results, to: end, omitted }.write(path)?;
        } else if wanted.kept.json {
            if is_last {
                report::write_list(|json| all.iter().try_for_each(|lane| json::write_lane(lane, json)))?;
            }
        } else if is_last || columns::of_stdout().is_some() {
            let rows = columns::rows_of_stdout().filter(|_| wanted.follow && !is_last);
            let limit = wanted.limit.unwrap_or(THREADS_SHOWN);
            let most = rows.map_or(limit, |rows| rows.saturating_sub(OTHER_LINES).clamp(1, limit));
            let chosen = chosen(&all, most);
            let omitted = all.len() - chosen.len();
            let chart = Chart { lanes: &chosen, from: summary.record.about.started, to: end, omitted };
            let text = chart.drawn(columns::of_stdout().unwrap_or(COLUMNS_IN_PIPE), Style::for_stdout());
            let text = escape::whole(&text, Style::for_stdout().is_colored()).into_owned();
            let over = if drawn_lines > 0 { format!("\x1b[{drawn_lines}A\x1b[J") } else { String::new() };
            output::write_raw(&format!("{over}{text}"))?;
            drawn_lines = text.lines().count();
        }
        if is_last {
            return Ok(FINISHED);
        }
        store.storage.check_in_place().map_err(storage::failure)?;
        thread::sleep(FOLLOW_INTERVAL);
    }
}

/// The arguments of the first thread are only in the session's summary.
fn with_arguments(mut entry: LogEntry, summary: &Summary) -> LogEntry {
    if let Event::Started { parent: None, arguments, .. } = &mut entry.event {
        *arguments = summary.record.about.arguments.join(", ");
    }
    entry
}

/// At most this many threads, preferring those that have not ended, sorted by number.
fn chosen(all: &[Lane], most: usize) -> Vec<Lane> {
    let (open, over): (Vec<&Lane>, Vec<&Lane>) = all.iter().partition(|lane| lane.end == End::Open);
    let kept: HashSet<ThreadId> = open.iter().chain(&over).take(most).map(|lane| lane.thread).collect();
    all.iter().filter(|lane| kept.contains(&lane.thread)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use hark_engine::{FutureId, Timestamp};

    use super::*;

    fn lanes() -> Vec<Lane> {
        let mut lanes = Lanes::default();
        let mut note = |thread: u64, tenths: u64, event: Event| {
            lanes.note(&LogEntry { time: Timestamp(tenths * 100_000), thread: ThreadId(thread), event });
        };
        let started = |function: &str, parent: Option<u64>, arguments: &str| Event::Started {
            function: function.to_owned(),
            parent: parent.map(ThreadId),
            arguments: arguments.to_owned(),
        };
        note(0, 0, started("main", None, ""));
        note(1, 10, started("fetch_page", Some(0), "\"https://example.org/a/long/path\""));
        note(2, 10, started("approve", Some(0), "17"));
        note(3, 20, started("fails", Some(0), ""));
        note(0, 30, Event::Waited { future: ThreadId(1).into() });
        note(1, 20, Event::Called { function: "get".to_owned(), attempt: 1, arguments: String::new() });
        note(2, 20, Event::Waited { future: FutureId::Promise("door/1".into()) });
        note(3, 60, Event::Broke { kind: "value".to_owned(), message: "no".to_owned() });
        note(1, 80, Event::Returned { value: String::new(), attempt: None });
        note(1, 80, Event::Slept { until: Timestamp(9_000_000) });
        note(1, 90, Event::Finished);
        note(0, 90, Event::Resumed);
        lanes.until(Timestamp(10_000_000))
    }

    fn drawn(width: usize, style: Style) -> String {
        let lanes = lanes();
        Chart { lanes: &lanes, from: Timestamp(0), to: Timestamp(10_000_000), omitted: 0 }.drawn(width, style)
    }

    #[test]
    fn bars_tell_apart_what_threads_are_about() {
        let expected = [
            "                   0         2.4 s     4.9 s     7.3 s",
            "0 main             ████████████────────────────────────█████  → 1",
            "1 fetch_page(\"ht…      ████▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒····",
            "2 approve(17)          ████─────────────────────────────────  → door/1",
            "3 fails                    ███████████████✗",
        ];
        let text = drawn(70, Style::PLAIN);
        assert_eq!(text.lines().take(5).collect::<Vec<&str>>(), expected, "{text}");
    }

    #[test]
    fn the_mark_of_an_end_is_the_last_of_a_bar() {
        let mut lanes = Lanes::default();
        let mut note = |micros: u64, event: Event| {
            lanes.note(&LogEntry { time: Timestamp(micros), thread: ThreadId(0), event });
        };
        note(0, Event::Started { function: "f".to_owned(), parent: None, arguments: String::new() });
        note(10, Event::Called { function: "g".to_owned(), attempt: 1, arguments: String::new() });
        note(6_000_000, Event::Raised { kind: "python".to_owned(), message: "x".to_owned(), attempt: None });
        note(6_000_010, Event::Broke { kind: "python".to_owned(), message: "no".to_owned() });
        let lanes = lanes.until(Timestamp(10_000_000));
        let chart = Chart { lanes: &lanes, from: Timestamp(0), to: Timestamp(10_000_000), omitted: 0 };
        let text = chart.drawn(70, Style::PLAIN);
        assert!(text.lines().any(|line| line.ends_with("▒▒✗")), "{text}");
        assert_eq!(lanes[0].error.as_deref(), Some("python: no"));
    }

    #[test]
    fn the_loss_of_a_worker_is_marked_and_explained() {
        let mut lanes = Lanes::default();
        let mut note = |seconds: u64, event: Event| {
            lanes.note(&LogEntry { time: Timestamp(seconds * 1_000_000), thread: ThreadId(0), event });
        };
        note(0, Event::Started { function: "f".to_owned(), parent: None, arguments: String::new() });
        note(5, Event::TakenOver { saved: Some(Timestamp(2_000_000)) });
        let lanes = lanes.until(Timestamp(10_000_000));
        let chart = Chart { lanes: &lanes, from: Timestamp(0), to: Timestamp(10_000_000), omitted: 0 };
        let text = chart.drawn(47, Style::PLAIN);
        assert!(text.contains("0 f  ████████!           ████████████████████"), "{text}");
        assert!(text.contains("! its worker was lost"), "{text}");
        assert!(!drawn(70, Style::PLAIN).contains('!'));
    }

    #[test]
    fn a_chart_fits_any_terminal_and_color_adds_nothing() {
        use unicode_width::UnicodeWidthStr;
        for width in 40..220 {
            let text = drawn(width, Style::PLAIN);
            assert!(text.lines().all(|line| line.width() <= width), "{width}\n{text}");
            let colored = drawn(width, Style::COLORED);
            let mut bare = String::new();
            for (index, part) in colored.split("\x1b[").enumerate() {
                bare.push_str(if index == 0 { part } else { part.split_once('m').unwrap().1 });
            }
            assert_eq!(bare, text);
        }
    }

    #[test]
    fn threads_that_have_not_ended_are_shown_first() {
        let lanes = lanes();
        let numbers = |most| chosen(&lanes, most).iter().map(|lane| lane.thread.0).collect::<Vec<u64>>();
        assert_eq!(
            (numbers(1), numbers(2), numbers(3), numbers(9)),
            (vec![0], vec![0, 2], vec![0, 1, 2], vec![0, 1, 2, 3])
        );
    }
}
