//! `#[retry(...)]`.

use hark_bytecode::Retry;

use super::{Argument, ArgumentValue, Least};
use crate::ast::Name;
use crate::parser::{Parsed, Parser};

const LABELS: [&str; 8] = ["attempts", "backoff", "factor", "max_backoff", "jitter", "on", "except", "deadline"];

/// The kinds of errors that are never retried.
const NEVER_AGAIN: [&str; 2] = ["cancelled", "deadlock"];

impl<'t> Parser<'t, '_> {
    pub(super) fn retry(&mut self, name: Name<'t>, arguments: &[Argument<'t>]) -> Parsed<Retry> {
        let given = self.arguments(name, arguments, LABELS)?;
        let [attempts, backoff, factor, max_backoff, jitter, on, except, deadline] = given;
        let mut retry = Retry::default();
        if let Some(attempts) = attempts {
            retry.attempts = self.count(attempts, "attempts")?;
        }
        if let Some(backoff) = backoff {
            retry.backoff_seconds = self.seconds(backoff, "backoff", Least::Zero)?;
        }
        if let Some(factor) = factor {
            retry.factor = self.factor(factor)?;
        }
        if let Some(max_backoff) = max_backoff {
            retry.max_backoff_seconds = self.seconds(max_backoff, "max_backoff", Least::Zero)?;
        }
        if let Some(jitter) = jitter {
            let ArgumentValue::Boolean(jitter) = jitter.value else {
                return Err(self.bad(jitter.span, "`jitter` must be `true` or `false`"));
            };
            retry.jitter = jitter;
        }
        if let Some(on) = on {
            let names = self.error_names(on, "on")?;
            if names.is_empty() {
                return Err(self.bad(on.span, "`on` is empty, so nothing would be retried"));
            }
            retry.on = Some(names);
        }
        if let Some(except) = except {
            retry.except = self.error_names(except, "except")?;
        }
        if let Some(deadline) = deadline {
            retry.deadline_seconds = Some(self.seconds(deadline, "deadline", Least::MoreThanZero)?);
        }
        Ok(retry)
    }

    fn factor(&mut self, argument: &Argument<'t>) -> Parsed<f64> {
        let factor = match argument.value {
            ArgumentValue::Integer(value) => value as f64,
            ArgumentValue::Float(value) => value,
            _ => f64::NAN,
        };
        if factor >= 1.0 && factor.is_finite() {
            return Ok(factor);
        }
        Err(self.bad(argument.span, "`factor` must be a number, at least 1"))
    }

    /// A list of error kinds and Python classes.
    fn error_names(&mut self, argument: &Argument<'t>, label: &str) -> Parsed<Vec<String>> {
        let ArgumentValue::List(items) = &argument.value else {
            let message = format!("`{label}` must be a list of strings, as in `{label}: [\"timeout\", \"OSError\"]`");
            return Err(self.bad(argument.span, &message));
        };
        let mut names = Vec::with_capacity(items.len());
        for (item, span) in items {
            match item {
                ArgumentValue::String(name) if label == "on" && NEVER_AGAIN.contains(&&**name) => {
                    return Err(self.bad(*span, &format!("errors of kind `{name}` are never retried")));
                }
                ArgumentValue::String(name) if !name.is_empty() => names.push(name.to_string()),
                _ => {
                    let message =
                        format!("each item of `{label}` must be a string: the kind of an error, or a Python class");
                    return Err(self.bad(*span, &message));
                }
            }
        }
        Ok(names)
    }
}
