//! The failures of commands, as shown to the user.

use std::io;

use hark_bytecode::{Source, Sources, Span};
use hark_engine::Shortage;

use crate::render::{Count, Label, Lines, Notice, Paint, Severity, Style, draw_notice, escape};

/// A problem in a file that is not a program, such as a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The place.
    pub span: Span,
    /// What to do next.
    pub hint: Option<String>,
}

/// The reason why a command ended early.
#[derive(Debug)]
pub enum Failure {
    /// The command line is invalid, or a file that it names cannot be used.
    Usage {
        /// What is wrong.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// The action was attempted and failed.
    Undone {
        /// What is wrong.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// The settings file is invalid: at least one of the problems is an error.
    Settings(Source, Vec<Problem>),
    /// The program was rejected; its diagnostics have already been printed.
    Rejected,
    /// The storage cannot be used.
    Storage(String),
    /// Standard output cannot be written to.
    Output(io::Error),
}

impl Failure {
    /// A usage failure without a hint.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::Usage { message: message.into(), hint: None }
    }

    /// A failed action, without a hint.
    pub fn undone(message: impl Into<String>) -> Failure {
        Failure::Undone { message: message.into(), hint: None }
    }

    /// The operating system refused a resource that this process needs.
    pub fn system(what: &str, error: &io::Error) -> Failure {
        match Shortage::of(error) {
            Some(shortage) => Failure::undone(format!("{what}: {shortage}")).with_hint(shortage.remedy()),
            None => Failure::undone(format!("{what}: {error}")),
        }
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(self, text: impl Into<String>) -> Failure {
        match self {
            Failure::Usage { message, .. } => Failure::Usage { message, hint: Some(text.into()) },
            Failure::Undone { message, .. } => Failure::Undone { message, hint: Some(text.into()) },
            other => other,
        }
    }

    /// Whether the session could not begin, for a reason that no report has given yet.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Failure::Usage { .. } | Failure::Undone { .. } | Failure::Settings(..) | Failure::Storage(_))
    }

    /// The message as one line, for a report.
    pub fn message(&self) -> String {
        match self {
            Failure::Usage { message, .. } | Failure::Undone { message, .. } | Failure::Storage(message) => {
                message.clone()
            }
            Failure::Settings(_, problems) => {
                let error = problems.iter().find(|problem| problem.severity == Severity::Error);
                error.map(|problem| problem.message.clone()).unwrap_or_default()
            }
            Failure::Rejected => "the program was rejected".to_owned(),
            Failure::Output(error) => format!("cannot write to standard output: {error}"),
        }
    }

    /// The exit status.
    pub fn exit_status(&self) -> u8 {
        match self {
            // The reader has seen enough, as in `hark ... | head -1`.
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Failure::Output(_) | Failure::Storage(_) | Failure::Undone { .. } => 1,
            Failure::Usage { .. } | Failure::Settings(..) | Failure::Rejected => 2,
        }
    }

    /// The printed form; empty if there is nothing left to say.
    pub fn drawn(&self, style: Style) -> String {
        let mut out = String::new();
        match self {
            Failure::Rejected => {}
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Failure::Settings(source, problems) => draw_problems(source, problems, style, &mut out),
            Failure::Usage { .. } | Failure::Undone { .. } | Failure::Output(_) | Failure::Storage(_) => {
                let hint = match self {
                    Failure::Usage { hint, .. } | Failure::Undone { hint, .. } => hint.as_deref(),
                    _ => None,
                };
                draw_message(&self.message(), hint, style, &mut out);
            }
        }
        out
    }
}

fn draw_message(message: &str, hint: Option<&str>, style: Style, out: &mut String) {
    style.push(out, Paint::Error, "error");
    style.push(out, Paint::Strong, &format!(": {}", escape::lines(message)));
    out.push('\n');
    if let Some(hint) = hint {
        style.push(out, Paint::Hint, "hint");
        out.push_str(&format!(": {}\n", escape::lines(hint)));
    }
}

/// Draws the problems of a file, and their number.
pub fn draw_problems(source: &Source, problems: &[Problem], style: Style, out: &mut String) {
    let sources = Sources::from(source.clone());
    let lines = Lines::new(&sources);
    for problem in problems {
        let notice = Notice {
            severity: problem.severity,
            code: String::new(),
            message: &problem.message,
            labels: vec![Label { span: problem.span, text: "" }],
            hint: problem.hint.as_deref(),
        };
        draw_notice(&notice, &lines, style, out);
    }
    let count = Count::of(problems.iter().map(|problem| problem.severity));
    style.push(out, Paint::Dim, &count.text());
    out.push('\n');
}
