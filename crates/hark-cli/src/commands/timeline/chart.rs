//! A timeline in a terminal's columns: a bar for each thread below an axis of time.

use hark_engine::{FutureId, Timestamp};
use unicode_width::UnicodeWidthStr;

use super::lanes::{End, Kind, Lane};
use crate::render::{Paint, Style, columns, escape};

/// The names of threads get at most this fraction of the columns.
const NAME_SHARE: usize = 4;

/// The awaited Futures get at most this fraction of the columns.
const AWAITED_SHARE: usize = 5;

/// The minimal width of a bar, however narrow the terminal.
const BAR_COLUMNS_MIN: usize = 10;

/// The threads to draw, and the time from the left edge to the right.
pub struct Chart<'a> {
    pub lanes: &'a [Lane],
    pub from: Timestamp,
    pub to: Timestamp,
    /// The number of omitted threads.
    pub omitted: usize,
}

impl Chart<'_> {
    /// Draws it in this width.
    pub fn drawn(&self, width: usize, style: Style) -> String {
        let names: Vec<String> = self.lanes.iter().map(name_of).collect();
        let awaited: Vec<String> = self.lanes.iter().map(awaited_of).collect();
        let widest = |texts: &[String]| texts.iter().map(|text| text.width()).max().unwrap_or(0);
        let name_columns = widest(&names).min(width / NAME_SHARE).max(1);
        let awaited_columns = widest(&awaited).min(width / AWAITED_SHARE);
        let taken = name_columns + awaited_columns + 4;
        let bar_columns = width.saturating_sub(taken).max(BAR_COLUMNS_MIN);
        let mut out = String::new();
        let axis = format!("{}  {}", " ".repeat(name_columns), self.axis(bar_columns));
        style.push(&mut out, Paint::Dim, axis.trim_end());
        out.push('\n');
        for ((lane, name), awaited) in self.lanes.iter().zip(&names).zip(&awaited) {
            out.push_str(&columns::padded(name, name_columns));
            out.push_str("  ");
            let bar = self.bar(lane, bar_columns);
            let awaited = columns::cut(awaited, awaited_columns);
            let is_last = awaited.is_empty();
            push_bar(if is_last { bar.trim_end() } else { &bar }, style, &mut out);
            if !is_last {
                out.push_str("  ");
                style.push(&mut out, Paint::Dim, &awaited);
            }
            out.push('\n');
        }
        if self.omitted > 0 {
            let noun = if self.omitted == 1 { "thread" } else { "threads" };
            out.push_str(&format!("and {} more {noun}; `--limit` shows more\n", self.omitted));
        }
        for line in legend(width, self.lanes.iter().any(|lane| !lane.losses.is_empty())) {
            style.push(&mut out, Paint::Dim, &line);
            out.push('\n');
        }
        out
    }

    /// The axis: times as labels, each at the column where its time begins.
    fn axis(&self, columns: usize) -> String {
        let seconds = self.to.since(self.from).as_secs_f64();
        let mut out = String::new();
        for column in (0..columns).step_by((columns / 4).max(10)) {
            let label = shown_seconds(seconds * column as f64 / columns as f64);
            if column + label.width() <= columns {
                out.push_str(&" ".repeat(column - out.width()));
                out.push_str(&label);
            }
        }
        out
    }

    /// One character per column: the kind of stretch that ranks highest there, so that a short call or run is not
    /// hidden by a wait.
    fn bar(&self, lane: &Lane, columns: usize) -> String {
        let whole = self.to.since(self.from).as_micros().max(1);
        let column_of = |time: Timestamp| (time.since(self.from).as_micros() * columns as u128 / whole) as usize;
        let mut cells = vec![' '; columns];
        for stretch in lane.stretches.iter().filter(|stretch| stretch.is_seen(lane)) {
            let first = column_of(stretch.from).min(columns - 1);
            let end = column_of(stretch.to).clamp(first + 1, columns);
            for cell in &mut cells[first..end] {
                if rank(letter(stretch.kind)) >= rank(*cell) {
                    *cell = letter(stretch.kind);
                }
            }
        }
        for time in &lane.breaks {
            let column = column_of(*time).min(columns - 1);
            let column = if cells[column] == ' ' { column.saturating_sub(1) } else { column };
            cells[column] = BROKEN;
        }
        for time in &lane.losses {
            cells[column_of(*time).min(columns - 1)] = LOST;
        }
        if let (End::Broken | End::Cancelled, Some(last)) = (lane.end, cells.iter().rposition(|cell| *cell != ' ')) {
            cells[last] = if lane.end == End::Broken { BROKEN } else { CANCELLED };
        }
        cells.into_iter().collect()
    }
}

const BROKEN: char = '✗';
const CANCELLED: char = '×';
const LOST: char = '!';

/// The characters of a bar. They differ without color, too.
fn letter(kind: Kind) -> char {
    match kind {
        Kind::Run => '█',
        Kind::Call => '▒',
        Kind::Sleep => '·',
        Kind::Wait => '─',
    }
}

/// If several kinds share a column, the one with the highest rank is drawn.
fn rank(letter: char) -> u8 {
    match letter {
        ' ' => 0,
        '·' => 1,
        '─' => 2,
        '█' => 3,
        _ => 4,
    }
}

fn push_bar(bar: &str, style: Style, out: &mut String) {
    let paint = |letter: char| match letter {
        '─' | '·' => Paint::Dim,
        '▒' => Paint::Hint,
        BROKEN => Paint::Error,
        CANCELLED | LOST => Paint::Warning,
        _ => Paint::Plain,
    };
    let mut rest = bar;
    while let Some(first) = rest.chars().next() {
        let end =
            rest.char_indices().find(|(_, letter)| paint(*letter) != paint(first)).map_or(rest.len(), |(at, _)| at);
        style.push(out, paint(first), &rest[..end]);
        rest = &rest[end..];
    }
}

fn legend(width: usize, has_losses: bool) -> Vec<String> {
    let parts = ["█ runs", "▒ calls Python", "─ waits", "· sleeps", "✗ broken", "× cancelled", "→ has waited for"];
    let lost = has_losses.then_some("! its worker was lost");
    let mut lines = vec![String::new()];
    for part in parts.into_iter().chain(lost) {
        let last = lines.last().map_or(0, |line| line.width());
        if last > 0 && last + 3 + part.width() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            let gap = if line.is_empty() { "" } else { "   " };
            line.push_str(&format!("{gap}{part}"));
        }
    }
    lines
}

fn name_of(lane: &Lane) -> String {
    escape::line(&format!("{} {}", lane.thread, lane.call)).into_owned()
}

/// "→ 1, 2, door/1": the Futures that block the thread come first, then those that it has waited for before.
fn awaited_of(lane: &Lane) -> String {
    let name = |future: &FutureId| match future {
        FutureId::Thread(thread) => thread.to_string(),
        FutureId::Promise(name) => name.to_string(),
    };
    let before = lane.waited_for.iter().filter(|future| !lane.blocked_on.contains(future));
    let names: Vec<String> = lane.blocked_on.iter().chain(before).map(name).collect();
    let more = if lane.unnamed == 0 { String::new() } else { format!(" and {} more", lane.unnamed) };
    if names.is_empty() { String::new() } else { escape::line(&format!("→ {}{more}", names.join(", "))).into_owned() }
}

/// A time since the start, with as few digits as still distinguish it from its neighbors.
fn shown_seconds(seconds: f64) -> String {
    match seconds {
        0.0 => "0".to_owned(),
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7_200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}
