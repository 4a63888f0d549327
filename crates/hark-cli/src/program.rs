//! A compiled program, or the diagnostics of a rejected one.

use std::io::{self, Write};

use hark_bytecode::{Executable, Sources};
use hark_compiler::{Code, Compilation, Diagnostic, Main, compile_with};

use crate::args::StorageName;
use crate::failure::Failure;
use crate::output;
use crate::project::Loaded;
use crate::render::{Count, Label, Lines, Notice, Paint, Severity, Style, draw_notice};
use crate::report::Json;

/// The result of compiling a program.
#[derive(Debug, Default)]
pub struct Compiled {
    /// None if the program was rejected.
    pub executable: Option<Executable>,
    /// Errors and warnings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    sources: Sources,
}

impl Compiled {
    /// Compiles a program.
    pub fn new(loaded: &mut Loaded) -> Compiled {
        Compiled::for_storage(loaded, None)
    }

    /// Compiles a program for sessions in this storage, or in that of the settings.
    pub fn for_storage(loaded: &mut Loaded, storage: Option<StorageName>) -> Compiled {
        let Loaded { source, form, modules, project } = loaded;
        let file = modules.main();
        let main = Main { path: &source.path, file: file.as_deref(), text: &source.text, form: *form };
        let Compilation { executable, mut diagnostics, sources } = compile_with(main, modules);
        if storage.or(project.settings.storage).is_some_and(StorageName::is_run_by_functions) {
            diagnostics.retain(|diagnostic| diagnostic.code != Code::NoEffect);
            diagnostics.iter_mut().filter(|diagnostic| diagnostic.code == Code::PoolUnused).for_each(tell_of_functions);
        } else if project.settings.has_pools(storage) {
            diagnostics.retain(|diagnostic| diagnostic.code != Code::PoolUnused);
        }
        Compiled { executable, diagnostics, sources }
    }

    /// Adds diagnostics found elsewhere, sorted by position.
    pub fn add(&mut self, diagnostics: Vec<Diagnostic>) {
        self.diagnostics.extend(diagnostics);
        self.diagnostics.sort_by_key(|diagnostic| diagnostic.span().start);
    }

    /// The executable. Prints the diagnostics.
    ///
    /// # Errors
    /// If the program was rejected.
    pub fn into_executable(self) -> Result<Executable, Failure> {
        self.tell(Style::for_stderr());
        self.executable.ok_or(Failure::Rejected)
    }

    /// The errors or warnings: their messages, lines and columns.
    pub fn said(&self, severity: hark_compiler::Severity) -> Vec<(&str, u32, u32)> {
        let lines = Lines::new(&self.sources);
        let of_severity = self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity);
        let said = of_severity.map(|diagnostic| {
            let place = lines.location(diagnostic.span().start);
            (diagnostic.message.as_str(), place.line, place.column)
        });
        said.collect()
    }

    /// Prints the diagnostics, if there are any.
    pub fn tell(&self, style: Style) {
        if !self.diagnostics.is_empty() {
            output::tell(&format!("{}{}\n", self.drawn(style), style.paint(Paint::Dim, &self.count().text())));
        }
    }

    /// The numbers of errors and warnings.
    pub fn count(&self) -> Count {
        Count::of(self.diagnostics.iter().map(severity_of))
    }

    /// The diagnostics, drawn for a terminal.
    pub fn drawn(&self, style: Style) -> String {
        self.drawn_each(&self.diagnostics, style)
    }

    /// These diagnostics of the program, drawn for a terminal.
    pub fn drawn_each(&self, diagnostics: &[Diagnostic], style: Style) -> String {
        if diagnostics.is_empty() {
            return String::new();
        }
        let lines = Lines::new(&self.sources);
        let mut out = String::new();
        for diagnostic in diagnostics {
            draw_notice(&notice_of(diagnostic), &lines, style, &mut out);
            out.push('\n');
        }
        out
    }

    /// Writes `"diagnostics": [...]`.
    pub fn write_json<W: Write>(&self, json: &mut Json<W>) -> io::Result<()> {
        json.key("diagnostics")?;
        json.open('[')?;
        if !self.diagnostics.is_empty() {
            self.write_diagnostics(json)?;
        }
        json.close(']')
    }

    fn write_diagnostics<W: Write>(&self, json: &mut Json<W>) -> io::Result<()> {
        let lines = Lines::new(&self.sources);
        for diagnostic in &self.diagnostics {
            let notice = notice_of(diagnostic);
            json.open('{')?;
            json.entry("severity", notice.severity.name())?;
            json.entry("code", &notice.code)?;
            json.entry("message", notice.message)?;
            if let Some(label) = notice.labels.first() {
                write_place(*label, &lines, json)?;
            }
            match notice.hint {
                Some(hint) => json.entry("hint", hint)?,
                None => json.entry_of("hint", "null")?,
            }
            json.key("labels")?;
            json.open('[')?;
            for label in &notice.labels {
                json.open('{')?;
                write_place(*label, &lines, json)?;
                json.entry("text", label.text)?;
                json.close('}')?;
            }
            json.close(']')?;
            json.close('}')?;
        }
        Ok(())
    }
}

/// An AWS Lambda function is chosen by memory and time, and runs threads of every pool.
fn tell_of_functions(diagnostic: &mut Diagnostic) {
    "the attribute `pool` has no effect in AWS Lambda functions".clone_into(&mut diagnostic.message);
    diagnostic.hint = Some("they run threads of every pool; `#[memory(2048)]` chooses a larger function".to_owned());
}

/// Writes the start and the exclusive end of a label.
fn write_place<W: Write>(label: Label<'_>, lines: &Lines<'_>, json: &mut Json<W>) -> io::Result<()> {
    let (start, end) = (lines.location(label.span.start), lines.location(label.span.end));
    json.entry("file", start.file)?;
    json.entry_of("line", start.line)?;
    json.entry_of("column", start.column)?;
    json.entry_of("end_line", end.line)?;
    json.entry_of("end_column", end.column)
}

fn severity_of(diagnostic: &Diagnostic) -> Severity {
    match diagnostic.severity {
        hark_compiler::Severity::Error => Severity::Error,
        hark_compiler::Severity::Warning => Severity::Warning,
    }
}

fn notice_of(diagnostic: &Diagnostic) -> Notice<'_> {
    Notice {
        severity: severity_of(diagnostic),
        code: diagnostic.code.to_string(),
        message: &diagnostic.message,
        labels: diagnostic.labels.iter().map(|label| Label { span: label.span, text: &label.text }).collect(),
        hint: diagnostic.hint.as_deref(),
    }
}
