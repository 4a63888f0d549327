//! Attributes: `#[...]`.

mod retry;

use std::sync::Arc;

use hark_bytecode::{Attributes, Limit, POOL_NAME_MAX, Rate, Span, is_pool_name};

use super::{Parsed, Parser, Reported};
use crate::ast::Name;
use crate::diagnostic::{Code, Diagnostic};
use crate::nearest::nearest;
use crate::token::TokenKind;

const USAGE: &str = "attributes are written as in `#[retry(attempts: 5)]`, `#[timeout(30)]` and `#[pool(\"gpu\")]`";

const NAMES: [&str; 8] = ["retry", "timeout", "limit", "rate", "priority", "memory", "pool", "kwargs"];

/// The longest duration in an attribute, in seconds: 31 years.
const SECONDS_MAX: f64 = 1e9;

/// An argument of an attribute.
struct Argument<'t> {
    label: Option<Name<'t>>,
    value: ArgumentValue,
    span: Span,
}

enum ArgumentValue {
    Boolean(bool),
    Integer(i64),
    Float(f64),
    String(Arc<str>),
    List(Vec<(ArgumentValue, Span)>),
}

/// The lower bound of a duration.
#[derive(Clone, Copy)]
enum Least {
    Zero,
    MoreThanZero,
}

impl<'t> Parser<'t, '_> {
    /// Parses all attributes before an item.
    pub(super) fn expect_attributes(&mut self) -> Parsed<Attributes> {
        let mut attributes = Attributes::default();
        let mut seen: Vec<Name<'t>> = Vec::new();
        while self.is_at(&TokenKind::OpenAttribute) {
            let open = self.advance();
            let span = self.expect_token(&TokenKind::Name, "the name of an attribute")?;
            let name = Name { text: self.text_of(span), span };
            let before = self.diagnostics.total();
            let arguments = self.expect_attribute_arguments(open);
            self.diagnostics.amend_since(before, |mistake| {
                mistake.code = Code::BadAttribute;
                mistake.hint.get_or_insert_with(|| USAGE.to_owned());
            });
            let arguments = arguments?;
            if let Some(first) = seen.iter().find(|first| first.text == name.text) {
                let message = format!("the attribute `{}` is given twice", name.text);
                let twice = Diagnostic::error(Code::BadAttribute, message, name.span);
                let twice = twice.with_label(first.span, "first given here");
                self.report(twice);
                continue;
            }
            seen.push(name);
            // A bad attribute is reported, but its item is still parsed.
            if self.apply(&mut attributes, name, &arguments).is_ok() {
                self.doubt_effect(name);
            }
        }
        if let Some(last) = seen.last()
            && !self.is_at(&TokenKind::Fn)
            && !self.is_at_word("import")
            && !self.kind().is_mistake()
        {
            let message = format!("the attribute `{}` is not followed by a function or import", last.text);
            let lonely = Diagnostic::error(Code::BadAttribute, message, last.span);
            let lonely = lonely.with_label(self.span(), "expected `fn` or `import` here");
            return Err(self.report(lonely.with_hint("attributes are written before an `fn` or `import`")));
        }
        if let Some(last) = seen.last()
            && self.is_at_module_import()
        {
            let message = format!("the attribute `{}` is not allowed before the import of a module", last.text);
            let misplaced = Diagnostic::error(Code::BadAttribute, message, last.span);
            self.report(misplaced.with_hint("attributes belong to functions: write it before one, in the module"));
        }
        if let Some(name) = seen.iter().find(|name| name.text == "kwargs")
            && self.is_at(&TokenKind::Fn)
        {
            let misplaced = Diagnostic::error(Code::BadAttribute, "`kwargs` belongs to imports only", name.span);
            self.report(misplaced.with_hint("a function of Hark takes a hash as any other argument"));
        }
        Ok(attributes)
    }

    /// Warns about attributes that select where a call runs. Whether pools matter depends on the storage.
    fn doubt_effect(&mut self, name: Name<'t>) {
        let (code, message, hint) = match name.text {
            "memory" => (
                Code::NoEffect,
                "the attribute `memory` has no effect yet",
                "to bound how much memory is in use, bound how many calls run at once: `#[limit(2)]`",
            ),
            "pool" => (
                Code::PoolUnused,
                "the attribute `pool` has no effect where one process runs a whole session",
                "processes that share sessions with `tenure = \"threads\"`, or in DynamoDB, serve pools",
            ),
            _ => return,
        };
        self.diagnostics.push(Diagnostic::warning(code, message, name.span).with_hint(hint));
    }

    /// Parses the arguments of an attribute, up to the end of the brackets at `opened`.
    fn expect_attribute_arguments(&mut self, opened: Span) -> Parsed<Vec<Argument<'t>>> {
        let mut arguments = Vec::new();
        if self.is_at(&TokenKind::OpenParenthesis) {
            let open = self.advance();
            self.expect_attribute_list(&mut arguments)?;
            self.expect_close(&TokenKind::CloseParenthesis, ")", open)?;
        }
        if self.is_at(&TokenKind::Comma) {
            let message = "each attribute needs its own brackets";
            let joined = Diagnostic::error(Code::BadAttribute, message, self.span()).with_label(opened, "opened here");
            return Err(self.report(joined.with_hint("for example `#[limit(10)] #[rate(100, per: 60)]`")));
        }
        self.expect_close(&TokenKind::CloseBracket, "]", opened)?;
        Ok(arguments)
    }

    fn expect_attribute_list(&mut self, arguments: &mut Vec<Argument<'t>>) -> Parsed<()> {
        while !self.is_at(&TokenKind::CloseParenthesis) {
            let label = match (self.kind(), self.kind_ahead(1)) {
                (TokenKind::Name, TokenKind::Colon) => {
                    let span = self.advance();
                    self.advance();
                    Some(Name { text: self.text_of(span), span })
                }
                _ => None,
            };
            let (value, span) = self.expect_attribute_value()?;
            arguments.push(Argument { label, value, span });
            if !self.parse_token(&TokenKind::Comma) {
                break;
            }
        }
        Ok(())
    }

    fn expect_attribute_value(&mut self) -> Parsed<(ArgumentValue, Span)> {
        let start = self.span();
        if self.is_at(&TokenKind::OpenBracket) {
            return self.expect_attribute_items();
        }
        let is_negative = self.parse_token(&TokenKind::Operator(hark_bytecode::Operator::Subtract));
        let value = match self.kind().clone() {
            TokenKind::Integer(value) if is_negative => ArgumentValue::Integer(-value),
            TokenKind::Float(value) if is_negative => ArgumentValue::Float(-value),
            TokenKind::Integer(value) => ArgumentValue::Integer(value),
            TokenKind::Float(value) => ArgumentValue::Float(value),
            // Out of range, so that the error is reported for the attribute's argument.
            TokenKind::BigInteger(_) => ArgumentValue::Float(f64::INFINITY),
            TokenKind::String(value) if !is_negative => ArgumentValue::String(value),
            TokenKind::True if !is_negative => ArgumentValue::Boolean(true),
            TokenKind::False if !is_negative => ArgumentValue::Boolean(false),
            _ => return Err(self.unexpected("a number or string as the value of an attribute")),
        };
        let span = start.to(self.advance());
        Ok((value, span))
    }

    /// `["timeout", "ValueError"]`
    fn expect_attribute_items(&mut self) -> Parsed<(ArgumentValue, Span)> {
        let open = self.advance();
        let mut items = Vec::new();
        while !self.is_at(&TokenKind::CloseBracket) {
            if self.is_at(&TokenKind::OpenBracket) {
                return Err(self.unexpected("a string"));
            }
            items.push(self.expect_attribute_value()?);
            if !self.parse_token(&TokenKind::Comma) {
                break;
            }
        }
        self.expect_close(&TokenKind::CloseBracket, "]", open)?;
        Ok((ArgumentValue::List(items), open.to(self.span_before())))
    }

    fn apply(&mut self, attributes: &mut Attributes, name: Name<'t>, arguments: &[Argument<'t>]) -> Parsed<()> {
        match name.text {
            "retry" => attributes.retry = Some(self.retry(name, arguments)?),
            "timeout" => {
                let argument = self.only(name, arguments, "a number of seconds, as in `#[timeout(30)]`")?;
                attributes.timeout_seconds = Some(self.seconds(argument, "timeout", Least::MoreThanZero)?);
            }
            "limit" => {
                let usage = "how many may be under way at once, as in `#[limit(10)]`";
                let [count, shared] = self.arguments(name, arguments, ["", "name"])?;
                let Some(count) = count else { return Err(self.needs(name, usage)) };
                let count = self.count(count, "limit")?;
                let shared = shared.map(|shared| self.shared_name(shared)).transpose()?;
                attributes.limit = Some(Limit { count, name: shared, span: name.span });
            }
            "rate" => {
                let usage = "how many may start in how many seconds, as in `#[rate(100, per: 60)]`";
                let [count, per, shared] = self.arguments(name, arguments, ["", "per", "name"])?;
                let (Some(count), Some(per)) = (count, per) else { return Err(self.needs(name, usage)) };
                let count = self.count(count, "rate")?;
                let per_seconds = self.seconds(per, "per", Least::MoreThanZero)?;
                let shared = shared.map(|shared| self.shared_name(shared)).transpose()?;
                attributes.rate = Some(Rate { count, per_seconds, name: shared, span: name.span });
            }
            "priority" => {
                let argument = self.only(name, arguments, "an integer, as in `#[priority(5)]`")?;
                let priority = match argument.value {
                    ArgumentValue::Integer(value) => i32::try_from(value).ok(),
                    _ => None,
                };
                let wanted = format!("`priority` must be an integer from {} to {}", i32::MIN, i32::MAX);
                attributes.priority = Some(priority.ok_or_else(|| self.bad(argument.span, &wanted))?);
            }
            "memory" => {
                let argument = self.only(name, arguments, "a number of megabytes, as in `#[memory(2048)]`")?;
                attributes.memory_megabytes = Some(self.count(argument, "memory")?);
            }
            "pool" => {
                let argument = self.only(name, arguments, "a name, as in `#[pool(\"gpu\")]`")?;
                match &argument.value {
                    ArgumentValue::String(pool) if is_pool_name(pool) => attributes.pool = Some(pool.to_string()),
                    ArgumentValue::String(_) => {
                        let message = format!(
                            "the name of a pool has letters, digits, `-`, `_` and `.`, at most {POOL_NAME_MAX}"
                        );
                        return Err(self.bad(argument.span, &message));
                    }
                    _ => return Err(self.bad(argument.span, "`pool` must be a string")),
                }
            }
            "kwargs" => match arguments {
                [] => attributes.kwargs = true,
                [argument, ..] => return Err(self.bad(argument.span, "`kwargs` has no arguments: write `#[kwargs]`")),
            },
            unknown => {
                let message = format!("there is no attribute `{unknown}`");
                let mut bad = Diagnostic::error(Code::BadAttribute, message, name.span);
                bad.hint = Some(match nearest(unknown, NAMES) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("the attributes are `{}`", NAMES.join("`, `")),
                });
                return Err(self.report(bad));
            }
        }
        Ok(())
    }

    fn needs(&mut self, name: Name<'t>, usage: &str) -> Reported {
        self.bad(name.span, &format!("`{}` needs {usage}", name.text))
    }

    /// Sorts arguments by these labels. The first argument may be written without its label, and must be if the label
    /// is empty.
    fn arguments<'a, const COUNT: usize>(
        &mut self,
        name: Name<'t>,
        arguments: &'a [Argument<'t>],
        labels: [&'static str; COUNT],
    ) -> Parsed<[Option<&'a Argument<'t>>; COUNT]> {
        let mut found: [Option<&Argument<'t>>; COUNT] = [None; COUNT];
        for (position, argument) in arguments.iter().enumerate() {
            let place = match argument.label {
                None if position == 0 => 0,
                None => {
                    let example = labels.get(1).map_or("", |label| label);
                    let value = if example == "name" { "\"stripe\"" } else { "1.0" };
                    let message = format!("this argument of `{}` needs a name, as in `{example}: {value}`", name.text);
                    return Err(self.bad(argument.span, &message));
                }
                Some(label) => match labels.iter().position(|known| !known.is_empty() && *known == label.text) {
                    Some(place) => place,
                    None => return Err(self.unknown_argument(name, label, &labels)),
                },
            };
            if found[place].replace(argument).is_some() {
                return Err(self.bad(argument.span, &format!("`{}` is given twice", labels[place])));
            }
        }
        Ok(found)
    }

    fn unknown_argument(&mut self, name: Name<'t>, label: Name<'t>, labels: &[&'static str]) -> Reported {
        let message = format!("`{}` has no argument `{}`", name.text, label.text);
        let mut bad = Diagnostic::error(Code::BadAttribute, message, label.span);
        let known: Vec<&str> = labels.iter().copied().filter(|label| !label.is_empty()).collect();
        bad.hint = Some(match nearest(label.text, known.iter().copied()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("its arguments are `{}`", known.join("`, `")),
        });
        self.report(bad)
    }

    fn shared_name(&mut self, argument: &Argument<'t>) -> Parsed<String> {
        match &argument.value {
            ArgumentValue::String(name) if !name.is_empty() => Ok(name.to_string()),
            _ => Err(self.bad(argument.span, "`name` must be a string that is not empty")),
        }
    }

    fn only<'a>(&mut self, name: Name<'t>, arguments: &'a [Argument<'t>], wanted: &str) -> Parsed<&'a Argument<'t>> {
        match arguments {
            [argument] if argument.label.is_none() => Ok(argument),
            _ => Err(self.bad(name.span, &format!("`{}` needs {wanted}", name.text))),
        }
    }

    fn seconds(&mut self, argument: &Argument<'t>, name: &str, least: Least) -> Parsed<f64> {
        let seconds = match argument.value {
            ArgumentValue::Integer(value) => value as f64,
            ArgumentValue::Float(value) => value,
            _ => f64::NAN,
        };
        let (is_enough, wanted) = match least {
            Least::Zero => (seconds >= 0.0, "at least 0"),
            Least::MoreThanZero => (seconds > 0.0, "more than 0"),
        };
        if seconds <= SECONDS_MAX && is_enough {
            return Ok(seconds);
        }
        let wanted = if seconds > SECONDS_MAX { format!("at most {SECONDS_MAX}") } else { wanted.to_owned() };
        Err(self.bad(argument.span, &format!("`{name}` must be a number of seconds, {wanted}")))
    }

    fn count(&mut self, argument: &Argument<'t>, name: &str) -> Parsed<u32> {
        match argument.value {
            ArgumentValue::Integer(value @ 1..=0xffff_ffff) => Ok(value as u32),
            _ => Err(self.bad(argument.span, &format!("`{name}` must be an integer from 1 to {}", u32::MAX))),
        }
    }

    fn bad(&mut self, span: Span, message: &str) -> Reported {
        self.error(Code::BadAttribute, message, span)
    }
}
