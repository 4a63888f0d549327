//! Checks the limits and rates of a program: uses of the same name must agree.

use std::collections::HashMap;
use std::fmt;

use hark_bytecode::{Span, own_gate_name};

use crate::ast::{Item, Program};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};

/// The declaration of a limit or rate.
#[derive(Clone, Copy, PartialEq)]
enum Bound {
    Limit(u32),
    Rate(u32, f64),
}

/// The limits and rates in the files compiled so far, each with its first declaration.
#[derive(Default)]
pub(crate) struct Gates {
    limits: HashMap<String, (Bound, Span)>,
    rates: HashMap<String, (Bound, Span)>,
}

impl Gates {
    /// Adds those of a file. `module` is the name of its module; it is empty for the main program, whose path is
    /// `main_path`.
    pub fn add(&mut self, program: &Program<'_>, module: &str, main_path: &str, diagnostics: &mut Diagnostics) {
        for item in &program.items {
            let attributes = match item {
                Item::Function(function) => &function.attributes,
                Item::Import(import) => &import.attributes,
            };
            let own = || match item {
                Item::Import(import) => format!("{}.{}", import.module, import.function),
                Item::Function(function) if module.is_empty() => own_gate_name(main_path, function.name.text),
                Item::Function(function) => format!("{module}.{}", function.name.text),
            };
            if let Some(limit) = &attributes.limit {
                let name = limit.name.clone().unwrap_or_else(own);
                note(&mut self.limits, name, Bound::Limit(limit.count), limit.span, diagnostics);
            }
            if let Some(rate) = &attributes.rate {
                let name = rate.name.clone().unwrap_or_else(own);
                note(&mut self.rates, name, Bound::Rate(rate.count, rate.per_seconds), rate.span, diagnostics);
            }
        }
    }
}

fn note(
    known: &mut HashMap<String, (Bound, Span)>,
    name: String,
    bound: Bound,
    span: Span,
    diagnostics: &mut Diagnostics,
) {
    let Some((first, first_span)) = known.get(&name) else {
        known.insert(name, (bound, span));
        return;
    };
    if *first != bound {
        let kind = if matches!(bound, Bound::Limit(_)) { "limit" } else { "rate" };
        let message = format!("the {kind} `{name}` is {bound} here, but {first} elsewhere");
        let disagreement = Diagnostic::error(Code::LimitDisagreement, message, span)
            .saying(bound.to_string())
            .with_label(*first_span, first.to_string());
        let hint =
            format!("declarations with the same name share the {kind}: give them the same numbers, or different names");
        diagnostics.push(disagreement.with_hint(hint));
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Limit(count) => write!(formatter, "{count}"),
            Bound::Rate(count, per) => write!(formatter, "{count} per {per} s"),
        }
    }
}
