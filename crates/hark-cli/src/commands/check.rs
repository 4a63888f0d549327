//! `hark check`

mod arguments;
mod calls;
mod python;

use std::io;

use super::{FINISHED, REJECTED};
use crate::args::Check;
use crate::failure::{self, Failure};
use crate::output;
use crate::program::Compiled;
use crate::project;
use crate::render::{Paint, Style, escape};
use crate::report::Json;

/// Shows everything that is wrong with a program.
///
/// # Errors
/// If it cannot be read, or standard output cannot be written to.
pub fn check(wanted: &Check) -> Result<u8, Failure> {
    let mut loaded = project::load(wanted.file.as_deref(), wanted.config.path.as_deref())?;
    let mut compiled = Compiled::new(&mut loaded);
    if let Some(executable) = compiled.executable.as_ref().filter(|_| !wanted.no_python) {
        let warnings = python::warnings(executable, &loaded.project);
        compiled.add(warnings);
    }
    let status = if compiled.executable.is_some() { FINISHED } else { REJECTED };
    let style = Style::for_stderr();
    if let Some((source, problems)) = &loaded.project.warnings {
        let mut out = String::new();
        failure::draw_problems(source, problems, style, &mut out);
        output::tell(&out);
    }
    if wanted.json {
        write_json(&compiled).map_err(Failure::Output)?;
    } else {
        let mut out = compiled.drawn(style);
        if !wanted.quiet {
            style.push(
                &mut out,
                Paint::Dim,
                &format!("{}: {}", escape::line(&loaded.source.path), compiled.count().text()),
            );
            out.push('\n');
        }
        output::tell(&out);
    }
    Ok(status)
}

fn write_json(compiled: &Compiled) -> io::Result<()> {
    let mut json = Json::new(io::BufWriter::new(io::stdout().lock()));
    json.open('{')?;
    json.entry("status", if compiled.executable.is_some() { "accepted" } else { "rejected" })?;
    compiled.write_json(&mut json)?;
    json.close('}')?;
    json.finish().map(drop)
}
