//! A timeline as JSON.

use std::io::{self, Write};

use hark_engine::FutureId;

use super::lanes::{End, Kind, Lane};
use crate::report::Json;

/// Writes a thread as a JSON object.
pub fn write_lane<W: Write>(lane: &Lane, json: &mut Json<W>) -> io::Result<()> {
    json.open('{')?;
    json.entry_of("thread", lane.thread)?;
    match lane.parent {
        Some(parent) => json.entry_of("parent", parent)?,
        None => json.entry_of("parent", "null")?,
    }
    json.entry("call", &lane.call)?;
    json.entry("end", name_of_end(lane.end))?;
    json.key("awaited")?;
    json.open('[')?;
    for future in &lane.waited_for {
        json.open('{')?;
        match future {
            FutureId::Thread(thread) => json.entry_of("thread", thread)?,
            FutureId::Promise(name) => json.entry("promise", name)?,
        }
        json.close('}')?;
    }
    json.close(']')?;
    json.entry_of("awaited_more", lane.unnamed)?;
    json.key("losses")?;
    json.open('[')?;
    lane.losses.iter().try_for_each(|time| json.string(&time.to_string()))?;
    json.close(']')?;
    json.key("stretches")?;
    json.open('[')?;
    for stretch in &lane.stretches {
        json.open('{')?;
        json.entry("kind", name_of_kind(stretch.kind))?;
        json.entry("from", &stretch.from.to_string())?;
        json.entry("to", &stretch.to.to_string())?;
        json.entry("what", &stretch.what)?;
        json.close('}')?;
    }
    json.close(']')?;
    json.close('}')
}

/// The name of how a thread ended.
pub fn name_of_end(end: End) -> &'static str {
    match end {
        End::Open => "open",
        End::Finished => "finished",
        End::Broken => "broken",
        End::Cancelled => "cancelled",
    }
}

/// The name of a kind of stretch.
pub fn name_of_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Run => "run",
        Kind::Call => "call",
        Kind::Sleep => "sleep",
        Kind::Wait => "wait",
    }
}
