//! What the compiler has to say to a person, as data. How it is drawn is not decided here.

use std::fmt;

use hark_bytecode::{Span, with_short_quotes};

use crate::limits::DIAGNOSTICS_MAX;

/// Something wrong or doubtful in a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind of mistake it is.
    pub code: Code,
    /// Whether the program is rejected for it.
    pub severity: Severity,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// Where: the first label is the place of the mistake. Invariant: there is at least one.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A place in the text, and what it has to do with the mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A few words for the carets; may be empty.
    pub text: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The program is rejected.
    Error,
    /// The program runs, but may not do what is meant.
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

/// Makes the enum of codes with its texts from one table.
macro_rules! codes {
    ($($name:ident = $text:literal,)*) => {
        /// The kinds of mistakes. Each has a page that `hark explain` shows.
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

            /// The page that explains it, in Markdown.
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
}

impl Code {
    /// The code that is written so.
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
    /// An error at this place.
    pub(crate) fn error(code: Code, message: impl Into<String>, span: Span) -> Diagnostic {
        let label = Label { span, text: String::new() };
        let message = with_short_quotes(message.into());
        Diagnostic { code, severity: Severity::Error, message, labels: vec![label], hint: None }
    }

    /// A warning at this place.
    pub fn warning(code: Code, message: impl Into<String>, span: Span) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message, span) }
    }

    /// The same with words for its carets.
    #[must_use]
    pub(crate) fn saying(mut self, text: impl Into<String>) -> Diagnostic {
        self.labels[0].text = with_short_quotes(text.into());
        self
    }

    /// The same with one more place.
    #[must_use]
    pub fn with_label(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { span, text: with_short_quotes(text.into()) });
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(with_short_quotes(hint.into()));
        self
    }

    /// The place of the mistake.
    pub fn span(&self) -> Span {
        self.labels[0].span
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    kept: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    text_was_swallowed: bool,
}

impl Diagnostics {
    /// Adds one. Of each severity only so many are kept; the others are counted.
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

    /// How many were pushed, kept or not.
    pub fn total(&self) -> usize {
        self.errors + self.warnings
    }

    /// Whether the program is rejected.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether a string or comment without an end may have swallowed something that is missing elsewhere.
    pub fn text_was_swallowed(&self) -> bool {
        self.text_was_swallowed
    }

    /// Changes those that were pushed since there were `total`, as far as they were kept.
    pub fn amend_since(&mut self, total: usize, change: impl FnMut(&mut Diagnostic)) {
        let new = self.total() - total;
        let is_complete = self.kept.len() == self.total();
        if is_complete {
            self.kept.iter_mut().rev().take(new).for_each(change);
        }
    }

    /// In the order of the text. The last one says how many were not kept.
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
