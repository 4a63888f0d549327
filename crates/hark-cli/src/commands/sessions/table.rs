//! The table of `hark sessions`: complete in a pipe, fitted to the width of a terminal.

use hark_engine::{Listed, Timestamp};
use unicode_width::UnicodeWidthStr;

use super::{DAMAGED, end_of};
use crate::commands::kept::{shown_call, shown_duration, shown_state};
use crate::render::{Paint, Style, columns, escape};

/// The maximum number of characters of a call in a pipe.
const CALL_CHARACTERS_MAX: usize = 200;

/// The number of characters that distinguish ids of sessions not started in the same microsecond.
const SHORT_ID: usize = 18;

/// If the calls have fewer columns than these, other columns are dropped: below this one the least important, below the
/// next one more, and below the last one the start time.
const CALL_COLUMNS_WANTED: usize = 20;
/// See [`CALL_COLUMNS_WANTED`].
const CALL_COLUMNS_ENOUGH: usize = 14;
/// See [`CALL_COLUMNS_WANTED`]. A call has at least this many columns, however narrow the terminal.
const CALL_COLUMNS_MIN: usize = 10;

/// The width of keys that have to be cut.
const KEY_COLUMNS_MAX: usize = 12;

/// The space between two columns.
const GAP: &str = "  ";

/// A column; its first cell is the title.
struct Column {
    cells: Vec<String>,
}

impl Column {
    fn new(title: &str, cells: impl Iterator<Item = String>) -> Column {
        Column { cells: std::iter::once(title.to_owned()).chain(cells).collect() }
    }

    fn width(&self) -> usize {
        self.cells.iter().map(|cell| cell.width()).max().unwrap_or(0)
    }

    fn fit(&mut self, columns: usize) {
        self.cells.iter_mut().for_each(|cell| *cell = columns::cut(cell, columns));
    }
}

/// A way to make a table narrower.
type GiveUp = fn(&mut Table);

/// All columns. The call is the last one and takes the remaining width.
struct Table {
    id: Column,
    key: Option<Column>,
    state: Column,
    started: Option<Column>,
    took: Option<Column>,
    threads: Option<Column>,
    call: Column,
}

/// Draws the table, for a terminal of this width or for a pipe.
pub fn drawn(found: &[Listed], terminal: Option<usize>, style: Style) -> String {
    let mut table = Table::new(found);
    if let Some(columns) = terminal {
        table.fit(columns);
    }
    table.drawn(style)
}

impl Table {
    fn new(found: &[Listed]) -> Table {
        let of = |summary: fn(&hark_engine::Summary) -> String, damaged: &str| {
            let cells = found.iter().map(|listed| listed.as_ref().map_or_else(|_| damaged.to_owned(), summary));
            cells.collect::<Vec<String>>().into_iter()
        };
        let id = |listed: &Listed| match listed {
            Ok(summary) => summary.id.to_string(),
            Err(damaged) => escape::line(damaged.id.as_str()).into_owned(),
        };
        let keys =
            of(|summary| escape::line(summary.record.about.labels.given_key().unwrap_or_default()).into_owned(), "");
        let has_keys = keys.clone().any(|key| !key.is_empty());
        Table {
            id: Column::new("ID", found.iter().map(id)),
            key: has_keys.then(|| Column::new("KEY", keys)),
            state: Column::new("STATE", of(|summary| shown_state(summary).to_owned(), DAMAGED)),
            started: Some(Column::new("STARTED", of(|summary| shown_time(summary.record.about.started), "?"))),
            took: Some(Column::new(
                "TOOK",
                of(|summary| shown_duration(summary.record.about.started, end_of(summary)), "?"),
            )),
            threads: Some(Column::new("THREADS", of(|summary| summary.threads.to_string(), "?"))),
            call: Column::new(
                "CALL",
                of(|summary| escape::line(&shown_call(&summary.record.about, CALL_CHARACTERS_MAX)).into_owned(), "?"),
            ),
        }
    }

    /// Drops the least important columns until the calls have enough width, then cuts the calls.
    fn fit(&mut self, columns: usize) {
        // Each step, and the width of the calls from which it is not necessary.
        let gives_up: [(GiveUp, usize); 6] = [
            (|table| table.id.cells = shortened_ids(&table.id.cells), CALL_COLUMNS_WANTED),
            (Table::shorten_started, CALL_COLUMNS_WANTED),
            (|table| table.threads = None, CALL_COLUMNS_WANTED),
            (|table| table.key.iter_mut().for_each(|key| key.fit(KEY_COLUMNS_MAX)), CALL_COLUMNS_WANTED),
            (|table| table.took = None, CALL_COLUMNS_ENOUGH),
            (|table| table.started = None, CALL_COLUMNS_MIN),
        ];
        for (give_up, enough) in gives_up {
            let room = columns.saturating_sub(self.others_width());
            if room < self.call.width().min(enough) {
                give_up(self);
            }
        }
        self.call.fit(columns.saturating_sub(self.others_width()).max(CALL_COLUMNS_MIN));
    }

    fn shorten_started(&mut self) {
        let cells = self.started.iter_mut().flat_map(|column| &mut column.cells);
        cells.for_each(|cell| *cell = without_year_and_seconds(cell));
    }

    fn others(&self) -> impl Iterator<Item = &Column> {
        let Table { id, key, state, started, took, threads, call: _ } = self;
        [Some(id), key.as_ref(), Some(state), started.as_ref(), took.as_ref(), threads.as_ref()].into_iter().flatten()
    }

    /// The total width of the columns before the calls.
    fn others_width(&self) -> usize {
        self.others().map(|column| column.width() + GAP.len()).sum()
    }

    fn drawn(&self, style: Style) -> String {
        let mut out = String::new();
        for (row, call) in self.call.cells.iter().enumerate() {
            let mut line = String::new();
            for column in self.others() {
                line.push_str(&columns::padded(&column.cells[row], column.width()));
                line.push_str(GAP);
            }
            line.push_str(call);
            style.push(&mut out, if row == 0 { Paint::Dim } else { Paint::Plain }, line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Id prefixes, just long enough to differ.
fn shortened_ids(ids: &[String]) -> Vec<String> {
    let beginning = |id: &String, length: usize| id.get(..length).unwrap_or(id).to_owned();
    let differ = |length: &usize| {
        let mut all: Vec<String> = ids.iter().map(|id| beginning(id, *length)).collect();
        all.sort_unstable();
        all.windows(2).all(|pair| pair[0] != pair[1])
    };
    let length = (SHORT_ID..36).find(differ).unwrap_or(36);
    ids.iter().map(|id| beginning(id, length)).collect()
}

/// To the second, in UTC.
fn shown_time(time: Timestamp) -> String {
    let text = time.to_string();
    text.split_once('.').map_or(&*text, |(seconds, _)| seconds).replace('T', " ")
}

/// `11-27 18:20` of `2026-11-27 18:20:25`.
fn without_year_and_seconds(time: &str) -> String {
    match (time.len(), time.get(5..16)) {
        (19, Some(inner)) => inner.to_owned(),
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hark_engine::{About, Labels, SessionId, SessionRecord, Stamp, Summary};

    use super::*;

    fn summary(number: u64, key: Option<&str>, arguments: &[&str]) -> Listed {
        let started = Timestamp(1_795_774_296_000_000);
        let about = About {
            function: "process_order".to_owned(),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            started,
            labels: Labels { key: key.map(str::to_owned), ..Labels::default() },
            ..About::default()
        };
        let mut record = SessionRecord::new(Arc::new(about));
        record.ended = Some(Timestamp(started.0 + 127_000_000));
        record.state = hark_engine::SessionState::Finished;
        Ok(Summary {
            id: SessionId::new(Timestamp(started.0 + number), 7),
            stamp: Stamp(std::num::NonZeroU64::MIN),
            record,
            threads: 12,
            is_served: false,
        })
    }

    #[test]
    fn tables_fit_and_keep_what_matters() {
        let long = "\"a long argument that does not fit anywhere near the end of a line\"";
        let found = [summary(9_000, Some("order-17"), &["\"17\"", "3"]), summary(1, None, &[long])];
        let narrow = "\
ID                  KEY       STATE     STARTED      CALL
01a21c7d-2fc9-7000  order-17  finished  11-27 10:11  process_or…
01a21c7d-2fc0-7004            finished  11-27 10:11  process_or…
";
        let usual = "\
ID                  KEY       STATE     STARTED      TOOK       CALL
01a21c7d-2fc9-7000  order-17  finished  11-27 10:11  2 min 7 s  process_order(\"…
01a21c7d-2fc0-7004            finished  11-27 10:11  2 min 7 s  process_order(\"…
";
        let drawn = |columns| drawn(&found, columns, Style::PLAIN);
        assert_eq!((drawn(Some(64)).as_str(), drawn(Some(80)).as_str()), (narrow, usual));
        for columns in 52..220 {
            let table = drawn(Some(columns));
            assert!(table.lines().all(|line| line.width() <= columns), "{columns}\n{table}");
        }
        let whole = drawn(None);
        assert!(whole.contains(long) && whole.contains("2026-11-27 10:11:36") && whole.contains("THREADS"), "{whole}");
        assert_eq!(drawn(Some(400)), whole);
    }

    #[test]
    fn short_ids_differ() {
        let ids = ["ID", "01a1fd87-1c18-745c-840f-1377ec20e767", "01a1fd87-1c18-745c-840a-1377ec20e767"];
        let short = shortened_ids(&ids.map(str::to_owned));
        assert_eq!(short, ["ID", "01a1fd87-1c18-745c-840f", "01a1fd87-1c18-745c-840a"]);
    }
}
