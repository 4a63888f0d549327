//! Diagnostics: messages about a program, as data. Rendering is up to the caller.

use std::fmt;

use hark_bytecode::{Span, with_short_quotes};

use crate::limits::DIAGNOSTICS_MAX;

/// An error or warning about a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The kind of mistake.
    pub code: Code,
    /// Whether the program is rejected because of it.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// The places; the first label is the mistake itself. Invariant: there is at least one.
    pub labels: Vec<Label>,
    /// How to fix it.
    pub hint: Option<String>,
}

/// A place in the text and its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The range of the text.
    pub span: Span,
    /// A short text next to the carets; may be empty.
    pub text: String,
}

/// The severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The program is rejected.
    Error,
    /// The program runs, but possibly not as intended.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// Generates the enum of codes and their texts from one table.
macro_rules! codes {
    ($($name:ident = $text:literal,)*) => {
        /// The kinds of mistakes. Each has a page shown by `hark explain`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each has a page under docs/errors")]
        pub enum Code {
            $($name,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            fn text(self) -> &'static str {
                match self {
                    $(Code::$name => $text,)*
                }
            }

            /// The page with the explanation, in Markdown.
            pub fn explanation(self) -> &'static str {
                match self {
                    $(Code::$name => include_str!(concat!("../../../docs/errors/", $text, ".md")),)*
                }
            }
        }
    };
}

codes! {
    UnexpectedCharacter = "HK0001",
    UnterminatedString = "HK0002",
    UnterminatedComment = "HK0003",
    BadEscape = "HK0004",
    BadNumber = "HK0005",
    UnexpectedToken = "HK0006",
    MissingSemicolon = "HK0007",
    TopLevel = "HK0008",
    EmptyBody = "HK0009",
    Unclosed = "HK0010",
    BadImport = "HK0011",
    UnknownName = "HK0012",
    ArgumentCount = "HK0013",
    DuplicateDefinition = "HK0014",
    DuplicateParameter = "HK0015",
    AsyncNeedsCall = "HK0016",
    BadAssignment = "HK0017",
    UnusedVariable = "HK0018",
    MaybeUnbound = "HK0019",
    BadAttribute = "HK0020",
    TooDeep = "HK0021",
    TooLarge = "HK0022",
    UnknownEscape = "HK0023",
    ReservedWord = "HK0025",
    NeedsAlias = "HK0026",
    PythonMissing = "HK0027",
    PythonArguments = "HK0028",
    DoubtfulCall = "HK0029",
    BadPipe = "HK0030",
    NotCaptured = "HK0031",
    ModuleNotLoaded = "HK0032",
    CircularImport = "HK0033",
    LimitDisagreement = "HK0034",
    DottedName = "HK0035",
    NoEffect = "HK0036",
    OrderOfEffects = "HK0037",
    FunctionAsKey = "HK0038",
    PoolUnused = "HK0039",
}

impl Code {
    /// The code with this text.
    pub fn from_text(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.text().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

impl Diagnostic {
    /// An error at this span.
    pub(crate) fn error(code: Code, message: impl Into<String>, span: Span) -> Diagnostic {
        let label = Label { span, text: String::new() };
        let message = with_short_quotes(message.into());
        Diagnostic { code, severity: Severity::Error, message, labels: vec![label], hint: None }
    }

    /// A warning at this span.
    pub fn warning(code: Code, message: impl Into<String>, span: Span) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message, span) }
    }

    /// Sets the text next to the carets.
    #[must_use]
    pub(crate) fn saying(mut self, text: impl Into<String>) -> Diagnostic {
        self.labels[0].text = with_short_quotes(text.into());
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn with_label(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: with_short_quotes(text.into()) });
        self
    }

    /// Sets the hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(with_short_quotes(hint.into()));
        self
    }

    /// The span of the mistake.
    pub fn span(&self) -> Span {
        self.labels[0].span
    }
}

/// Collects diagnostics.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    kept: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    text_was_swallowed: bool,
}

impl Diagnostics {
    /// Adds a diagnostic. The number kept per severity is limited; the others are only counted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.text_was_swallowed |= matches!(diagnostic.code, Code::UnterminatedString | Code::UnterminatedComment);
        let count = match diagnostic.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= DIAGNOSTICS_MAX {
            self.kept.push(diagnostic);
        }
    }

    /// The number of diagnostics pushed, including those not kept.
    pub fn total(&self) -> usize {
        self.errors + self.warnings
    }

    /// Whether the program is rejected.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether an unterminated string or comment may have swallowed text that is missing elsewhere.
    pub fn text_was_swallowed(&self) -> bool {
        self.text_was_swallowed
    }

    /// Modifies the diagnostics pushed since the total was `total`, as far as they were kept.
    pub fn amend_since(&mut self, total: usize, change: impl FnMut(&mut Diagnostic)) {
        let new = self.total() - total;
        let is_complete = self.kept.len() == self.total();
        if is_complete {
            self.kept.iter_mut().rev().take(new).for_each(change);
        }
    }

    /// The diagnostics in source order. The last one states how many were not kept.
    pub fn finish(self) -> Vec<Diagnostic> {
        let left_out = self.total() - self.kept.len();
        let mut diagnostics = self.kept;
        diagnostics.sort_by_key(|diagnostic| diagnostic.span().start);
        if let Some(last) = diagnostics.last_mut()
            && left_out > 0
        {
            let more = format!("{left_out} more mistakes are not shown");
            last.hint = Some(last.hint.take().map_or(more.clone(), |hint| format!("{hint}; {more}")));
        }
        diagnostics
    }
}
