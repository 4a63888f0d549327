//! `hark check`

mod arguments;
mod calls;
pub mod python;

use std::io::{self, Write};
use std::path::Path;

use super::{FINISHED, REJECTED};
use crate::args::Check;
use crate::failure::{self, Failure};
use crate::output;
use crate::program::Compiled;
use crate::project::{self, Loaded};
use crate::render::{Paint, Style, escape};
use crate::report::{self, Json};

/// Reports all errors and warnings of programs. A program that cannot be read does not prevent the check of the others.
///
/// # Errors
/// If the only program cannot be read, or standard output cannot be written to.
pub fn check(wanted: &Check) -> Result<u8, Failure> {
    let files: Vec<Option<&Path>> = match &*wanted.files {
        [] => vec![None],
        files => files.iter().map(|file| Some(file.as_path())).collect(),
    };
    if let [file] = *files {
        let checked = Checked::new(file, wanted)?;
        checked.tell(wanted);
        if wanted.json {
            report::write(|json| checked.write_json(json))?;
        }
        return Ok(checked.status());
    }
    let mut status = FINISHED;
    let mut all = Vec::new();
    for file in files.into_iter().flatten() {
        match Checked::new(Some(file), wanted) {
            Ok(checked) => {
                checked.tell(wanted);
                status = status.max(checked.status());
                all.push((file, Ok(checked)));
            }
            Err(failure) => {
                output::tell(&failure.drawn(Style::for_stderr()));
                status = status.max(failure.exit_status());
                all.push((file, Err(failure.message())));
            }
        }
    }
    if wanted.json {
        report::write_list(|json| all.iter().try_for_each(|(file, checked)| write_one_of_many(file, checked, json)))?;
    }
    Ok(status)
}

/// A program that has been checked.
struct Checked {
    loaded: Loaded,
    compiled: Compiled,
}

impl Checked {
    fn new(file: Option<&Path>, wanted: &Check) -> Result<Checked, Failure> {
        let mut loaded = project::load(file, wanted.config.path.as_deref())?;
        let mut compiled = Compiled::new(&mut loaded);
        if let Some(executable) = compiled.executable.as_ref().filter(|_| !wanted.no_python) {
            let warnings = python::warnings(executable, &loaded.project);
            compiled.add(warnings);
        }
        Ok(Checked { loaded, compiled })
    }

    fn status(&self) -> u8 {
        if self.compiled.executable.is_some() { FINISHED } else { REJECTED }
    }

    /// Prints the warnings about the settings, and the program's diagnostics unless they are wanted as JSON.
    fn tell(&self, wanted: &Check) {
        let style = Style::for_stderr();
        if let Some((source, problems)) = &self.loaded.project.warnings {
            let mut out = String::new();
            failure::draw_problems(source, problems, style, &mut out);
            output::tell(&out);
        }
        if wanted.json {
            return;
        }
        let mut out = self.compiled.drawn(style);
        if !wanted.quiet {
            let counted = format!("{}: {}", escape::line(&self.loaded.source.path), self.compiled.count().text());
            style.push(&mut out, Paint::Dim, &counted);
            out.push('\n');
        }
        output::tell(&out);
    }

    fn write_json<W: Write>(&self, json: &mut Json<W>) -> io::Result<()> {
        json.entry("status", if self.compiled.executable.is_some() { "accepted" } else { "rejected" })?;
        self.compiled.write_json(json)
    }
}

/// A program that cannot be read has an `error` instead of diagnostics.
fn write_one_of_many<W: Write>(file: &Path, checked: &Result<Checked, String>, json: &mut Json<W>) -> io::Result<()> {
    json.open('{')?;
    json.entry("file", &file.display().to_string())?;
    match checked {
        Ok(checked) => checked.write_json(json)?,
        Err(message) => {
            json.entry("status", "rejected")?;
            json.entry("error", message)?;
        }
    }
    json.close('}')
}
