//! The left side of `=`: valid patterns, and errors about invalid ones.

use std::collections::HashMap;
use std::sync::Arc;

use hark_bytecode::{Pattern, PatternPart, Span};

use super::{Parsed, Parser, Reported};
use crate::ast::{Expression, Name, NodeId};
use crate::diagnostic::{Code, Diagnostic};

const PATTERN: &str = "a pattern holds only names, `_` and lists of these: `[a, [b, _]] = value`";

impl<'t> Parser<'t, '_> {
    /// Converts a list that is followed by `=` to a pattern.
    pub(super) fn expect_pattern(&mut self, list: NodeId) -> Parsed<(Arc<Pattern>, Vec<Name<'t>>)> {
        let mut parts = Vec::new();
        let mut names: Vec<Name<'t>> = Vec::new();
        let mut seen: HashMap<&str, Span> = HashMap::new();
        let mut open = vec![list];
        while let Some(id) = open.pop() {
            let node = self.program.node(id);
            match &node.expression {
                Expression::List(items) => {
                    parts.push(PatternPart::List(items.len() as u32));
                    open.extend(items.iter().rev());
                }
                Expression::Name("_") => parts.push(PatternPart::Any),
                Expression::Name(text) => {
                    let name = Name { text, span: node.span };
                    if let Some(first) = seen.insert(text, name.span) {
                        return Err(self.refuse_twice(name, first));
                    }
                    parts.push(PatternPart::Name);
                    names.push(name);
                }
                _ => return Err(self.refuse_part(id)),
            }
        }
        let pattern = Pattern::new(parts).expect("a list's parts make up a pattern");
        Ok((Arc::new(pattern), names))
    }

    #[cold]
    fn refuse_twice(&mut self, name: Name<'t>, first: Span) -> Reported {
        let message = format!("the pattern binds `{}` twice", name.text);
        let twice = Diagnostic::error(Code::BadAssignment, message, name.span);
        let hint = "rename one of them, or write `_` for a value that is not needed";
        self.report(twice.with_label(first, "first bound here").with_hint(hint))
    }

    #[cold]
    fn refuse_part(&mut self, part: NodeId) -> Reported {
        let node = self.program.node(part);
        let (what, hint) = match node.expression {
            Expression::Hash(_) => {
                ("a hash", "`=` can only destructure lists: get a value of a hash with `get(h, \"key\")`")
            }
            Expression::Literal(_) => ("a literal", "to compare values, write `==`; `_` stands for any value"),
            Expression::Call { .. } => ("a call", PATTERN),
            Expression::Assign { .. } | Expression::Unpack { .. } => {
                ("an assignment", "a pattern has no default values: assign them after it")
            }
            _ => ("an expression", PATTERN),
        };
        let bad = Diagnostic::error(Code::BadAssignment, format!("{what} is not allowed in a pattern"), node.span);
        self.report(bad.with_hint(hint))
    }

    /// Reports a left side of `=` that is neither a name nor a list.
    #[cold]
    pub(super) fn refuse_assignment(&mut self, left: NodeId) -> Reported {
        let span = self.span_of(left);
        if let Expression::Hash(_) = self.program.node(left).expression {
            return self.refuse_hash_pattern(span);
        }
        let bad = Diagnostic::error(Code::BadAssignment, "only a name or a list of names can be assigned to", span);
        self.report(bad.with_hint("to compare two values, write `==`"))
    }

    #[cold]
    pub(super) fn refuse_hash_pattern(&mut self, span: Span) -> Reported {
        let bad = Diagnostic::error(Code::BadAssignment, "a hash cannot be destructured by `=`", span);
        self.report(bad.with_hint("get its values one by one: `a = get(h, \"a\")`"))
    }

    /// Reports a pattern in place of a parameter's name.
    #[cold]
    pub(super) fn refuse_parameter_pattern(&mut self) -> Reported {
        let message = format!("a parameter is a name, but found {}", self.describe());
        let bad = Diagnostic::error(Code::UnexpectedToken, message, self.span());
        self.report(bad.with_hint("give it a name, and destructure it in the body: `[a, b] = pair`"))
    }
}
