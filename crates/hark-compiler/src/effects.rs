//! Warnings about `a() + b()` if both sides have side effects: the right side runs first, which few people expect.
//!
//! Side effects are output and calls of Python functions. A function has effects if it mentions a name that has
//! effects. Calls through variables are unknown and count as harmless, so that only certain cases are reported. If both
//! sides only call the same Python function, as in `day(x) < day(y)`, the order hardly matters.

use std::collections::{HashMap, HashSet};

use hark_bytecode::Operator;

use crate::ast::{Expression, Function, Item, NodeId, Program};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::imports::{Imports, Member};

/// The builtins with side effects.
const BUILTINS: [&str; 2] = ["print", "signal"];

/// The names of a file's functions and imports that have effects.
pub(crate) fn effectful<'t>(program: &Program<'t>, imports: &Imports<'t>) -> HashSet<&'t str> {
    let mut found = HashSet::new();
    let mut callers: HashMap<&str, Vec<&'t str>> = HashMap::new();
    let mut open: Vec<&'t str> = Vec::new();
    for item in &program.items {
        match item {
            Item::Import(import) => open.push(import.name.text),
            Item::Function(function) => {
                let name = function.name.text;
                for named in Named::collect(program, function).names() {
                    callers.entry(named).or_default().push(name);
                    if is_effect_elsewhere(named, imports) {
                        open.push(name);
                    }
                }
            }
        }
    }
    while let Some(name) = open.pop() {
        if found.insert(name) {
            open.extend(callers.get(name).into_iter().flatten());
        }
    }
    found
}

/// Warns about expressions of a file with effects on both sides.
pub(crate) fn check<'t>(program: &Program<'t>, imports: &Imports<'t>, diagnostics: &mut Diagnostics) {
    if !has_candidates(program) {
        return;
    }
    let effectful = effectful(program, imports);
    let of_python = |item: &Item<'t>| match item {
        Item::Import(import) => Some(import.name.text),
        Item::Function(_) => None,
    };
    let python: HashSet<&str> = program.items.iter().filter_map(of_python).collect();
    for item in &program.items {
        // Only a function with effects can contain such an expression.
        if let Item::Function(function) = item
            && effectful.contains(function.name.text)
        {
            let named = Named::collect(program, function);
            let effects_of = |name: &'t str| {
                let has_some = effectful.contains(name) || is_effect_elsewhere(name, imports);
                match has_some && !named.bound.contains(name) {
                    false => Effects::None,
                    true if python.contains(name) => Effects::Python(name),
                    true => Effects::Some,
                }
            };
            check_function(program, &named.order, effects_of, diagnostics);
        }
    }
}

/// Whether a name from outside the file has effects.
fn is_effect_elsewhere(name: &str, imports: &Imports<'_>) -> bool {
    BUILTINS.contains(&name)
        || matches!(imports.member(name), Some(Member::Function(_, member, _)) if imports.is_effectful(name, member))
}

/// Whether an operator has calls on both sides. Most files have none and need no further analysis.
fn has_candidates(program: &Program<'_>) -> bool {
    let mut calls = vec![false; program.nodes.len()];
    let mut parts = Vec::new();
    for (index, node) in program.nodes.iter().enumerate() {
        node.expression.add_parts(&mut parts);
        if is_ordered(&node.expression) && parts.iter().all(|part| calls[part.0 as usize]) {
            return true;
        }
        let is_call = matches!(node.expression, Expression::Call { .. });
        calls[index] = is_call || parts.iter().any(|part| calls[part.0 as usize]);
        parts.clear();
    }
    false
}

/// Whether this is an operator that evaluates its right side first.
fn is_ordered(expression: &Expression<'_>) -> bool {
    matches!(expression, Expression::Binary { operator, .. } if !matches!(operator, Operator::And | Operator::Or))
}

/// The expressions of a function, parents before children.
struct Named<'t> {
    order: Vec<NodeId>,
    read: Vec<&'t str>,
    /// The names bound by the function and its lambdas.
    bound: HashSet<&'t str>,
}

impl<'t> Named<'t> {
    fn collect(program: &Program<'t>, function: &Function<'t>) -> Named<'t> {
        let mut named = Named { order: Vec::new(), read: Vec::new(), bound: HashSet::new() };
        named.bound.extend(function.parameters.iter().map(|name| name.text));
        let mut open = function.body.clone();
        while let Some(id) = open.pop() {
            let expression = &program.node(id).expression;
            named.order.push(id);
            named.bound.extend(expression.bound().iter().map(|name| name.text));
            if let Expression::Name(name) = expression {
                named.read.push(name);
            }
            expression.add_parts(&mut open);
        }
        named
    }

    /// The names it reads other than its own variables.
    fn names(&self) -> impl Iterator<Item = &'t str> {
        self.read.iter().copied().filter(|name| !self.bound.contains(name))
    }
}

/// The side effects of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effects<'t> {
    None,
    /// It calls this Python function, and nothing else.
    Python(&'t str),
    Some,
}

impl Effects<'_> {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, Effects::None) | (Effects::None, one) => one,
            (one, other) if one == other => one,
            _ => Effects::Some,
        }
    }
}

fn check_function<'t>(
    program: &Program<'t>,
    order: &[NodeId],
    effects_of: impl Fn(&'t str) -> Effects<'t>,
    diagnostics: &mut Diagnostics,
) {
    // Whether an expression contains a call, and the effects of the names in it.
    let mut known: HashMap<u32, (bool, Effects<'t>)> = HashMap::with_capacity(order.len());
    let mut warned: HashSet<u32> = HashSet::new();
    let mut parts = Vec::new();
    for id in order.iter().rev() {
        let expression = &program.node(*id).expression;
        expression.add_parts(&mut parts);
        let of_part = |part: &NodeId| known.get(&part.0).copied().unwrap_or((false, Effects::None));
        let does = |part: &NodeId| matches!(of_part(part), (true, Effects::Some | Effects::Python(_)));
        let effects = parts.iter().fold(Effects::None, |effects, part| effects.and(of_part(part).1));
        if is_ordered(expression) && parts.iter().all(does) && effects == Effects::Some {
            warned.insert(id.0);
            // In `a() + b() + c()`, only the innermost sum is reported.
            if !parts.iter().any(|part| warned.contains(&part.0)) {
                warn(program, expression, diagnostics);
            }
        }
        let calls = matches!(expression, Expression::Call { .. }) || parts.iter().any(|part| of_part(part).0);
        let effects = match expression {
            Expression::Name(name) => effects_of(name),
            _ => effects,
        };
        known.insert(id.0, (calls, effects));
        parts.clear();
    }
}

fn warn(program: &Program<'_>, expression: &Expression<'_>, diagnostics: &mut Diagnostics) {
    let Expression::Binary { operator, left, right } = expression else { return };
    let message = format!("both sides of `{}` have effects, and the right one runs first", operator.symbol());
    let doubt = Diagnostic::warning(Code::OrderOfEffects, message, program.node(*right).span).saying("runs first");
    let doubt = doubt.with_label(program.node(*left).span, "runs second");
    let sum = format!("x {} y", operator.symbol());
    let hint = format!("assign the values in the intended order: `x = a(); y = b(); {sum}`");
    diagnostics.push(doubt.with_hint(hint));
}
