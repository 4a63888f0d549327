//! A timeline as a page for the browser: a single file with data, style and script, without external requests.
//!
//! The script is one module, joined here from several files. The page's content security policy allows only this script and
//! this style, by their hashes. The data are JSON, which a browser does not run. Every `<` in them is escaped, so that no text
//! can close the element they are in.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hark_engine::{FutureId, Summary, ThreadId, Timestamp};
use sha2::{Digest, Sha256};

use super::json::{name_of_end, name_of_kind};
use super::lanes::{Lane, Stretch};
use crate::commands::kept::{shown_call, shown_state};
use crate::failure::Failure;
use crate::output;
use crate::render::escape;
use crate::report::Json;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: [&str; 11] = [
    include_str!("page/model.js"),
    include_str!("page/time.js"),
    include_str!("page/canvas.js"),
    include_str!("page/bars.js"),
    include_str!("page/overview.js"),
    include_str!("page/names.js"),
    include_str!("page/details.js"),
    include_str!("page/table.js"),
    include_str!("page/gestures.js"),
    include_str!("page/page.js"),
    include_str!("page/main.js"),
];

/// The maximum number of characters of the session's call.
const CALL_CHARACTERS_MAX: usize = 300;

/// A session and its threads.
pub struct Page<'a> {
    pub summary: &'a Summary,
    pub lanes: &'a [Lane],
    /// The results of threads, as text.
    pub results: &'a HashMap<ThreadId, String>,
    /// The end of the time shown.
    pub to: Timestamp,
    /// How many more threads there are.
    pub omitted: usize,
}

impl Page<'_> {
    /// Writes the page to a file, replacing its contents. `-` is standard output.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let text = self.text().map_err(Failure::Output)?;
        if path.as_os_str() == "-" {
            return output::write_raw(&text);
        }
        let shown = path.display().to_string();
        if path.is_dir() {
            let failure = Failure::usage(format!("cannot write `{shown}`: it is a folder"));
            return Err(failure.with_hint("give the name of a file, such as `timeline.html`"));
        }
        fs::write(path, text).map_err(|error| Failure::system(&format!("cannot write `{shown}`"), &error))
    }

    /// The whole page.
    fn text(&self) -> io::Result<String> {
        let mut data = Json::new(Vec::new());
        self.write_data(&mut data)?;
        // `<` occurs only in strings, where it may be escaped.
        let data = String::from_utf8_lossy(&data.finish()?).trim_end().replace('<', "\\u003c");
        let script = SCRIPT.join("\n");
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; base-uri 'none'; form-action 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'",
            hash(&script),
            hash(STYLE)
        );
        let mut out = String::with_capacity(PAGE.len() + STYLE.len() + script.len() + data.len());
        let mut rest = PAGE;
        for (name, text) in [("policy", &*policy), ("style", STYLE), ("data", &data), ("script", &script)] {
            // A placeholder is replaced only in the template, never in inserted text.
            let Some((before, behind)) = rest.split_once(&format!("{{{{{name}}}}}")) else { continue };
            out.push_str(before);
            out.push_str(text);
            rest = behind;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn write_data<W: Write>(&self, json: &mut Json<W>) -> io::Result<()> {
        let Summary { id, record, .. } = self.summary;
        let about = &record.about;
        json.open('{')?;
        json.entry("session", id.as_str())?;
        json.entry("call", &shown(&shown_call(about, CALL_CHARACTERS_MAX)))?;
        json.entry_or_null("key", about.labels.given_key().map(shown).as_deref())?;
        json.key("tags")?;
        json.open('[')?;
        about.labels.tags.iter().try_for_each(|(name, value)| json.string(&shown(&format!("{name}={value}"))))?;
        json.close(']')?;
        json.entry("file", &shown(&about.file))?;
        json.entry("state", shown_state(self.summary))?;
        json.entry_of("is_over", record.state.is_over())?;
        json.entry("started", &about.started.to_string())?;
        json.entry_of("to", self.offset(self.to))?;
        json.entry_of("omitted", self.omitted)?;
        json.key("threads")?;
        json.open('[')?;
        self.lanes.iter().try_for_each(|lane| self.write_lane(lane, json))?;
        json.close(']')?;
        json.close('}')
    }

    fn write_lane<W: Write>(&self, lane: &Lane, json: &mut Json<W>) -> io::Result<()> {
        json.open('{')?;
        json.entry_of("thread", lane.thread)?;
        if let Some(parent) = lane.parent {
            json.entry_of("parent", parent)?;
        }
        json.entry("call", &shown(&lane.call))?;
        json.entry("end", name_of_end(lane.end))?;
        if let Some(result) = self.results.get(&lane.thread) {
            json.entry("result", &shown(result))?;
        }
        if let Some(error) = &lane.error {
            json.entry("error", &shown(error))?;
        }
        if !lane.losses.is_empty() {
            json.key("losses")?;
            json.open('[')?;
            lane.losses.iter().try_for_each(|time| json.atom(self.offset(*time)))?;
            json.close(']')?;
        }
        json.key("stretches")?;
        json.open('[')?;
        lane.stretches.iter().try_for_each(|stretch| self.write_stretch(stretch, json))?;
        json.close(']')?;
        json.close('}')
    }

    /// Writes a stretch as a list, because there are many: kind, from, to, what; for a wait also its Futures, and how many more.
    fn write_stretch<W: Write>(&self, stretch: &Stretch, json: &mut Json<W>) -> io::Result<()> {
        json.open('[')?;
        json.string(name_of_kind(stretch.kind))?;
        json.atom(self.offset(stretch.from))?;
        json.atom(self.offset(stretch.to))?;
        json.string(&shown(&stretch.what))?;
        if !stretch.futures.is_empty() {
            json.open('[')?;
            for future in &stretch.futures {
                match future {
                    FutureId::Thread(thread) => json.atom(thread)?,
                    FutureId::Promise(name) => json.string(&shown(name))?,
                }
            }
            json.close(']')?;
            json.atom(stretch.more)?;
        }
        json.close(']')
    }

    /// Microseconds since the session was started.
    fn offset(&self, time: Timestamp) -> u128 {
        time.since(self.summary.record.about.started).as_micros()
    }
}

/// Escapes characters that could hide or reorder text. Line breaks stay.
fn shown(text: &str) -> Cow<'_, str> {
    if text.chars().any(escape::is_harmful) {
        let lines: Vec<Cow<'_, str>> = text.split('\n').map(escape::printed_line).collect();
        return Cow::Owned(lines.join("\n"));
    }
    Cow::Borrowed(text)
}

/// The source expression that allows a script or style in a policy.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_allows_a_text_by_its_hash() {
        // What `printf 'alert(1)' | openssl dgst -sha256 -binary | base64` prints.
        assert_eq!(hash("alert(1)"), "sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=");
    }

    #[test]
    fn characters_that_hide_text_are_escaped() {
        assert_eq!(shown("a\n\tb\u{202e}c\u{2028}\0"), "a\n\tb\\u{202e}c\\u{2028}\\x00");
        assert!(matches!(shown("שלום"), Cow::Borrowed(_)));
    }
}
