//! What names mean: the program's own, a function's locals, and what is wrong with either.

use std::collections::{HashMap, HashSet};

use hark_bytecode::Span;
use hark_bytecode::builtins::Builtin;

use crate::ast::{Body, Expression, Function, Item, Name, NodeId, Program};
use crate::diagnostic::{Code, Diagnostic};
use crate::nearest::nearest;

/// A function or import of the program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Definition {
    /// The fewest and the most arguments.
    pub arity: (u32, u32),
    pub span: Span,
}

/// The names that the top level binds.
#[derive(Debug, Default)]
pub(crate) struct Globals<'t> {
    pub definitions: HashMap<&'t str, Definition>,
}

/// The names that a function binds.
#[derive(Debug, Default)]
pub(crate) struct Locals<'t> {
    /// Its parameters and what it assigns.
    pub bound: HashSet<&'t str>,
    assigned: HashSet<&'t str>,
}

impl<'t> Globals<'t> {
    /// Collects the top level's names; reports those that are defined twice.
    pub fn collect(program: &Program<'t>, diagnostics: &mut Vec<Diagnostic>) -> Globals<'t> {
        let mut globals = Globals::default();
        for item in &program.items {
            let (name, arity, span) = match item {
                Item::Function(function) => {
                    let count = function.parameters.len() as u32;
                    (function.name, (count, count), function.name.span)
                }
                Item::Import(import) => (import.name, (0, import.arity), import.span),
            };
            let definition = Definition { arity, span };
            if let Some(first) = globals.definitions.get(name.text) {
                let message = format!("`{}` is defined twice", name.text);
                let twice = Diagnostic::error(Code::DuplicateDefinition, message, name.span);
                diagnostics.push(twice.with_label(first.span, "first defined here").with_hint("rename one of them"));
                continue;
            }
            globals.definitions.insert(name.text, definition);
        }
        globals
    }

    /// Whether the program or the language knows the name.
    pub fn knows(&self, name: &str) -> bool {
        self.definitions.contains_key(name) || Builtin::from_name(name).is_some()
    }

    /// The fewest and the most arguments of what this name means, and where it is defined.
    fn arity(&self, name: &str) -> Option<((u32, u32), Option<Span>)> {
        match self.definitions.get(name) {
            Some(definition) => Some((definition.arity, Some(definition.span))),
            None => Builtin::from_name(name).map(|builtin| (builtin.arity(), None)),
        }
    }
}

/// Calls `see` for each expression of a body, in no order that matters; lambdas are seen, but not entered.
pub(crate) fn walk<'t>(program: &Program<'t>, body: &Body, mut see: impl FnMut(NodeId, &Expression<'t>)) {
    let mut open: Vec<NodeId> = body.clone();
    while let Some(id) = open.pop() {
        let expression = &program.node(id).expression;
        see(id, expression);
        match expression {
            Expression::List(items) | Expression::Hash(items) => open.extend(items),
            Expression::Call { callee, arguments, .. } => {
                open.push(*callee);
                open.extend(arguments);
            }
            Expression::Await(operand) | Expression::Unary { operand, .. } => open.push(*operand),
            Expression::Binary { left, right, .. } => open.extend([*left, *right]),
            Expression::Assign { value, .. } => open.push(*value),
            Expression::If { branches, otherwise } => {
                for (condition, body) in branches {
                    open.push(*condition);
                    open.extend(body);
                }
                open.extend(otherwise.iter().flatten());
            }
            Expression::Literal(_) | Expression::Name(_) | Expression::Operator(_) | Expression::Lambda(_) => {}
        }
    }
}

impl<'t> Locals<'t> {
    /// Collects a function's names and reports what is wrong with them: doubled parameters, names that mean nothing,
    /// wrong numbers of arguments, variables that nobody reads. `outer` are the locals of the functions around.
    pub fn collect(
        program: &Program<'t>,
        function: &Function<'t>,
        globals: &Globals<'t>,
        outer: &HashSet<&'t str>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Locals<'t> {
        let mut locals = Locals::default();
        check_parameters(function, diagnostics);
        locals.bound.extend(function.parameters.iter().map(|parameter| parameter.text));
        let mut assignments: Vec<Name<'t>> = Vec::new();
        let mut reads: Vec<(&'t str, Span)> = Vec::new();
        let mut callees: HashSet<u32> = HashSet::new();
        walk(program, &function.body, |id, expression| match expression {
            Expression::Assign { name, .. } => assignments.push(*name),
            Expression::Name(name) => reads.push((name, program.node(id).span)),
            Expression::Call { callee, .. } => {
                callees.insert(callee.0);
            }
            _ => {}
        });
        locals.assigned.extend(assignments.iter().map(|name| name.text));
        locals.bound.extend(&locals.assigned);
        locals.check_reads(&reads, globals, outer, diagnostics);
        locals.check_calls(program, function, globals, diagnostics);
        check_unused(function, &assignments, &reads, diagnostics);
        locals
    }

    fn check_reads(
        &self,
        reads: &[(&'t str, Span)],
        globals: &Globals<'t>,
        outer: &HashSet<&'t str>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        for (name, span) in reads {
            if self.bound.contains(name) || globals.knows(name) {
                continue;
            }
            let message = format!("nothing named `{name}` is known here");
            let mut unknown = Diagnostic::error(Code::UnknownName, message, *span);
            let mut known: Vec<&str> = Builtin::all().map(Builtin::name).collect();
            known.extend(self.bound.iter().chain(globals.definitions.keys()));
            if outer.contains(name) {
                let hint = format!("a lambda cannot use the variables around it: give it `{name}` as an argument");
                unknown.hint = Some(hint);
            } else if let Some(nearest) = nearest(name, known) {
                unknown.hint = Some(format!("did you mean `{nearest}`?"));
            }
            diagnostics.push(unknown);
        }
    }

    /// Where a callee is certain, so is the number of arguments that it takes.
    fn check_calls(
        &self,
        program: &Program<'t>,
        function: &Function<'t>,
        globals: &Globals<'t>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        walk(program, &function.body, |id, expression| {
            let Expression::Call { callee, arguments, .. } = expression else { return };
            let Expression::Name(name) = program.node(*callee).expression else { return };
            if self.bound.contains(name) {
                return;
            }
            let Some(((fewest, most), defined)) = globals.arity(name) else { return };
            let count = arguments.len() as u32;
            if (fewest..=most).contains(&count) {
                return;
            }
            let wanted = match (fewest, most) {
                (fewest, u32::MAX) => format!("at least {fewest} arguments"),
                (1, 1) => "1 argument".to_owned(),
                (fewest, most) if fewest == most => format!("{most} arguments"),
                (0, most) => format!("at most {most} arguments"),
                (fewest, most) => format!("{fewest} to {most} arguments"),
            };
            let message = format!("`{name}` takes {wanted}, but is called with {count}");
            let mut wrong =
                Diagnostic::error(Code::ArgumentCount, message, program.node(id).span).saying("called here");
            if let Some(span) = defined {
                wrong = wrong.with_label(span, "defined here");
            }
            diagnostics.push(wrong);
        });
    }
}

fn check_parameters(function: &Function<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for parameter in &function.parameters {
        if let Some(first) = seen.insert(parameter.text, parameter.span) {
            let message = format!("two parameters are named `{}`", parameter.text);
            let twice = Diagnostic::error(Code::DuplicateParameter, message, parameter.span);
            diagnostics.push(twice.with_label(first, "the first one").with_hint("rename one of them"));
        }
    }
}

fn check_unused(
    function: &Function<'_>,
    assignments: &[Name<'_>],
    reads: &[(&str, Span)],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let read: HashSet<&str> = reads.iter().map(|(name, _)| *name).collect();
    let parameters: HashSet<&str> = function.parameters.iter().map(|parameter| parameter.text).collect();
    let mut first: HashMap<&str, Span> = HashMap::new();
    for name in assignments {
        let place = first.entry(name.text).or_insert(name.span);
        *place = if name.span.start < place.start { name.span } else { *place };
    }
    for (name, span) in first {
        if !read.contains(name) && !parameters.contains(name) && !name.starts_with('_') {
            let unused = Diagnostic::warning(Code::UnusedVariable, format!("`{name}` is never read"), span);
            diagnostics.push(unused.with_hint(format!("leave it out, or name it `_{name}`")));
        }
    }
}
