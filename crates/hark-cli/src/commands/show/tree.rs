//! The threads of a session as a tree, each below the one that started it.

use std::collections::BTreeMap;

use hark_bytecode::shortened;
use hark_engine::ThreadId;
use unicode_width::UnicodeWidthStr;

use super::{BROKEN, CANCELLED, Shown};
use crate::render::{Lines, Paint, Style, columns, escape, wrap};

/// The maximum length of a thread's detail: its wait or error. Errors are shown in full below the threads.
const DETAIL_CHARACTERS_MAX: usize = 200;

/// The minimal width of arguments and values, however narrow the terminal.
const TEXT_COLUMNS_MIN: usize = 16;

/// Deeper threads are not indented further.
const DEPTH_MAX: usize = 20;

/// At most one of this many columns is indentation.
const INDENT_SHARE: usize = 3;

/// Draws the threads. On a terminal with this many columns, arguments and values are cut, and a line that is still too
/// long continues in the next one.
pub fn draw(
    threads: &BTreeMap<ThreadId, Shown>,
    lines: &Lines<'_>,
    is_served: bool,
    columns: Option<usize>,
    style: Style,
    out: &mut String,
) {
    let depth_max = columns.map_or(DEPTH_MAX, |columns| DEPTH_MAX.min(columns / INDENT_SHARE / 2));
    let roots = threads.iter().filter(|(_, thread)| thread.parent.is_none());
    let mut open: Vec<(ThreadId, usize)> = roots.rev().map(|(number, _)| (*number, 0)).collect();
    while let Some((number, depth)) = open.pop() {
        let Some(thread) = threads.get(&number) else { continue };
        open.extend(thread.children.iter().rev().map(|child| (*child, depth + 1)));
        let indent = 2 * depth.min(depth_max);
        let name = format!("thread {number} {}", escape::line(&shortened(&thread.function)));
        let text = format!("{name}{}", about(thread, is_served, columns));
        let text = match columns {
            Some(columns) => wrap::hanging(&text, indent, columns),
            None => text,
        };
        out.push_str(&" ".repeat(indent));
        match text.strip_prefix(&name) {
            Some(rest) => {
                style.push(out, Paint::Strong, &name);
                out.push_str(rest);
            }
            None => out.push_str(&text),
        }
        if let Some(place) = place_of(thread, lines) {
            let begun = match text.rsplit_once('\n') {
                Some((_, last)) => last.width(),
                None => indent + text.width(),
            };
            push_place(&place, begun, indent, columns, style, out);
        }
        out.push('\n');
    }
}

/// The thread's arguments, its state, and the details of the state.
fn about(thread: &Shown, is_served: bool, columns: Option<usize>) -> String {
    // A line has up to two long texts.
    let room = columns.map_or(DETAIL_CHARACTERS_MAX, |columns| (columns / 3).max(TEXT_COLUMNS_MIN));
    let mut out = String::new();
    if !thread.arguments.is_empty() {
        out.push_str(&format!("({})", escape::line(&columns::cut(&thread.arguments, room))));
    }
    let detail = match &thread.call {
        Some(call) => call.shown(room, is_served).into(),
        None => escape::cut(&thread.detail, DETAIL_CHARACTERS_MAX),
    };
    // An error message is set off by a colon; other details continue the sentence.
    let separator = match thread.state {
        _ if detail.is_empty() => "",
        BROKEN | CANCELLED => ": ",
        _ => " ",
    };
    out.push_str(&format!(": {}{separator}{}", thread.state, escape::line(&detail)));
    if let Some(value) = &thread.value {
        out.push_str(&format!(" with {}", escape::line(&columns::cut(value, room))));
    }
    if let Some(pool) = thread.pool.as_deref().map(escape::line) {
        match thread.state {
            "ready" => out.push_str(&format!(", for a worker of pool `{pool}`")),
            "running" | "calling" => out.push_str(&format!(", in pool `{pool}`")),
            _ => {}
        }
    }
    if let Some(progress) = &thread.progress {
        out.push_str(&format!(", progress {}", escape::line(&escape::cut(progress, DETAIL_CHARACTERS_MAX))));
    }
    out
}

/// The thread's position in the program: "in main at order.hk:9".
fn place_of(thread: &Shown, lines: &Lines<'_>) -> Option<String> {
    let place = thread.place.as_ref()?;
    let at = lines.location(place.span.start);
    let function = shortened(&place.function);
    Some(format!("in {} at {}:{}", escape::line(&function), escape::line(at.file), at.line))
}

/// Appends the place to a line that has `begun` columns, or puts it below if there is no room.
fn push_place(place: &str, begun: usize, indent: usize, columns: Option<usize>, style: Style, out: &mut String) {
    let text = format!(", {place}");
    match columns {
        Some(columns) if begun + text.width() > columns => {
            let indent = indent + wrap::HANGING_INDENT;
            out.push_str(&format!(",\n{}", " ".repeat(indent)));
            style.push(out, Paint::Dim, &columns::cut(place, columns.saturating_sub(indent)));
        }
        _ => style.push(out, Paint::Dim, &text),
    }
}
