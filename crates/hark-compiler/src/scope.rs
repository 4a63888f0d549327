//! What names mean: the program's own, a function's locals, and what is wrong with either.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use hark_bytecode::Span;
use hark_bytecode::builtins::Builtin;

use crate::ast::{Body, Expression, Function, Item, Name, NodeId, Program};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::habits;
use crate::imports::{Imports, Member};
use crate::limits::COMPARISONS_MAX;
use crate::nearest::nearest;
use crate::prelude;

/// A function or import of the program.
#[derive(Debug, Clone, Copy)]
struct Definition {
    /// The fewest and the most arguments.
    arity: (u32, u32),
    span: Span,
}

/// The names that the top level binds, and what is remembered from function to function.
#[derive(Debug)]
pub(crate) struct Globals<'t> {
    imports: Rc<Imports<'t>>,
    definitions: HashMap<&'t str, Definition>,
    /// Names whose definitions have mistakes in them: whatever uses them is not wrong for that.
    presumed: HashSet<&'t str>,
    comparisons: usize,
    scopes: usize,
    /// Variables that lambdas tried to use, with the scopes that bind them. That is one mistake: nobody is told that
    /// they are not used as well.
    captured: HashSet<(usize, &'t str)>,
    unused: Vec<(usize, Name<'t>)>,
}

/// The names that a function binds, and the functions around it.
#[derive(Debug)]
pub(crate) struct Scope<'t> {
    number: usize,
    /// Its parameters and what it assigns.
    bound: HashSet<&'t str>,
    around: Option<Rc<Scope<'t>>>,
}

/// What a function's names are used for, in the order of a walk.
#[derive(Default)]
struct Uses<'t> {
    assignments: Vec<Name<'t>>,
    reads: Vec<Name<'t>>,
}

impl<'t> Globals<'t> {
    /// Collects the top level's names; reports those that are defined twice.
    pub fn collect(program: &Program<'t>, imports: Rc<Imports<'t>>, diagnostics: &mut Diagnostics) -> Globals<'t> {
        let mut globals = Globals {
            imports,
            definitions: HashMap::new(),
            presumed: program.presumed.clone(),
            comparisons: 0,
            scopes: 0,
            captured: HashSet::new(),
            unused: Vec::new(),
        };
        for item in &program.items {
            let (name, arity) = match item {
                Item::Function(function) => {
                    let count = function.parameters.len() as u32;
                    (function.name, (count, count))
                }
                Item::Import(import) => (import.name, (0, import.arity)),
            };
            let definition = Definition { arity, span: name.span };
            if let Some(first) = globals.definitions.get(name.text) {
                let message = format!("`{}` is defined twice", name.text);
                let twice = Diagnostic::error(Code::DuplicateDefinition, message, name.span);
                diagnostics.push(twice.with_label(first.span, "first defined here").with_hint("rename one of them"));
                // Calls may mean either of them.
                globals.presumed.insert(name.text);
                continue;
            }
            globals.definitions.insert(name.text, definition);
            if let Some(Member::Function(_, _, export)) = globals.imports.member(name.text) {
                let message = format!("`{}` is defined here and in an imported module", name.text);
                let twice = Diagnostic::error(Code::DuplicateDefinition, message, name.span);
                diagnostics.push(twice.with_label(export.span, "the module's").with_hint("rename one of them"));
            }
        }
        globals
    }

    /// Whether the program defines the name.
    pub fn defines(&self, name: &str) -> bool {
        self.definitions.contains_key(name)
    }

    /// Whether the program or the language knows the name.
    pub fn knows(&self, name: &str) -> bool {
        self.defines(name)
            || self.is_presumed(name)
            || Builtin::from_name(name).is_some()
            || prelude::arity(name).is_some()
            || matches!(self.imports.member(name), Some(Member::Function(..) | Member::Presumed))
    }

    /// Whether the name, or the module before its first dot, belongs to a definition with a mistake.
    fn is_presumed(&self, name: &str) -> bool {
        let module = name.split_once('.').map_or(name, |(module, _)| module);
        self.presumed.contains(name) || self.presumed.contains(module)
    }

    /// The fewest and the most arguments of what this name means, and where it is defined.
    fn arity(&self, name: &str) -> Option<((u32, u32), Option<Span>)> {
        if self.is_presumed(name) {
            return None;
        }
        match (self.definitions.get(name), self.imports.member(name)) {
            (Some(definition), _) => Some((definition.arity, Some(definition.span))),
            (None, Some(Member::Function(_, _, export))) => {
                Some(((export.parameters, export.parameters), Some(export.span)))
            }
            _ => {
                let prelude = || prelude::arity(name).map(|count| (count, count));
                let arity = Builtin::from_name(name).map(Builtin::arity).or_else(prelude);
                arity.map(|arity| (arity, None))
            }
        }
    }

    /// Collects a function's names and reports what is wrong with them: doubled parameters, names that mean nothing,
    /// wrong numbers of arguments.
    pub fn enter(
        &mut self,
        program: &Program<'t>,
        function: &Function<'t>,
        around: Option<Rc<Scope<'t>>>,
        diagnostics: &mut Diagnostics,
    ) -> Rc<Scope<'t>> {
        check_parameters(function, diagnostics);
        let uses = Uses::collect(program, &function.body);
        let mut bound: HashSet<&str> = function.parameters.iter().map(|parameter| parameter.text).collect();
        bound.extend(uses.assignments.iter().map(|name| name.text));
        let scope = Scope { number: self.scopes, bound, around };
        self.scopes += 1;
        self.check_reads(&scope, function, &uses.reads, diagnostics);
        self.check_calls(&scope, program, function, diagnostics);
        if function.damage.is_none() {
            self.unused.extend(unused(function, &uses).into_iter().map(|name| (scope.number, name)));
        }
        Rc::new(scope)
    }

    /// Reports variables that nobody reads, when all functions are known.
    pub fn finish(self, diagnostics: &mut Diagnostics) {
        for (scope, name) in self.unused {
            if !self.captured.contains(&(scope, name.text)) {
                let message = format!("`{}` is never read", name.text);
                let hint = format!("leave it out, or name it `_{}`", name.text);
                diagnostics.push(Diagnostic::warning(Code::UnusedVariable, message, name.span).with_hint(hint));
            }
        }
    }

    fn check_reads(
        &mut self,
        scope: &Scope<'t>,
        function: &Function<'t>,
        reads: &[Name<'t>],
        diagnostics: &mut Diagnostics,
    ) {
        for name in reads {
            let is_presumed = function.damage.as_ref().is_some_and(|presumed| presumed.contains(name.text));
            if scope.binds(name.text) || is_presumed || self.knows(name.text) {
                continue;
            }
            if let Some(missing) = self.imports.explain_missing(name.text, name.span) {
                diagnostics.push(missing);
                continue;
            }
            let message = format!("nothing named `{}` is known here", name.text);
            let unknown = Diagnostic::error(Code::UnknownName, message, name.span);
            let hint = match scope.binder_around(name.text) {
                Some(binder) => {
                    self.captured.insert((binder, name.text));
                    let text = name.text;
                    Some(format!("a lambda cannot use the variables around it: give it `{text}` as an argument"))
                }
                None => self.advice(scope, name.text),
            };
            diagnostics.push(match hint {
                Some(hint) => unknown.with_hint(hint),
                None => unknown,
            });
        }
    }

    /// What else may have been meant by a name that means nothing.
    fn advice(&mut self, scope: &Scope<'t>, name: &str) -> Option<String> {
        if let Some(advice) = habits::advice(name) {
            return Some(advice.to_owned());
        }
        if let Some((object, method)) = name.split_once('.')
            && scope.binds(object)
        {
            return Some(format!("a `.` is a part of a name here: a function is called like `{method}({object})`"));
        }
        self.comparisons += scope.bound.len() + self.definitions.len();
        if self.comparisons > COMPARISONS_MAX {
            return None;
        }
        let known = scope.bound.iter().chain(self.definitions.keys()).copied();
        let language = Builtin::all().map(Builtin::name).chain(prelude::names()).map(|name| -> &'t str { name });
        let nearest = nearest(name, known.chain(language));
        nearest.map(|nearest| format!("did you mean `{nearest}`?"))
    }

    /// Where a callee is certain, so is the number of arguments that it takes.
    fn check_calls(
        &self,
        scope: &Scope<'t>,
        program: &Program<'t>,
        function: &Function<'t>,
        diagnostics: &mut Diagnostics,
    ) {
        walk(program, &function.body, |id, expression| {
            let Expression::Call { callee, arguments, .. } = expression else { return };
            let Expression::Name(name) = program.node(*callee).expression else { return };
            if scope.binds(name) {
                return;
            }
            let Some(((fewest, most), defined)) = self.arity(name) else { return };
            let count = arguments.len() as u32;
            if (fewest..=most).contains(&count) {
                return;
            }
            let message = format!("`{name}` takes {}, but is called with {count}", arguments_text(fewest, most));
            let wrong = Diagnostic::error(Code::ArgumentCount, message, program.node(id).span).saying("called here");
            diagnostics.push(match defined {
                Some(span) => wrong.with_label(span, "defined here"),
                None => wrong,
            });
        });
    }
}

impl Scope<'_> {
    /// Whether the function binds this name anywhere.
    pub fn binds(&self, name: &str) -> bool {
        self.bound.contains(name)
    }

    /// The scope around this one that binds the name.
    fn binder_around(&self, name: &str) -> Option<usize> {
        let mut around = self.around.as_ref();
        while let Some(scope) = around {
            if scope.binds(name) {
                return Some(scope.number);
            }
            around = scope.around.as_ref();
        }
        None
    }
}

impl<'t> Uses<'t> {
    fn collect(program: &Program<'t>, body: &Body) -> Uses<'t> {
        let mut uses = Uses::default();
        walk(program, body, |id, expression| match expression {
            Expression::Assign { name, .. } => uses.assignments.push(*name),
            Expression::Name(text) => uses.reads.push(Name { text, span: program.node(id).span }),
            _ => {}
        });
        uses
    }
}

/// Calls `see` for each expression of a body, in no order that matters; lambdas are seen, but not entered.
fn walk<'t>(program: &Program<'t>, body: &Body, mut see: impl FnMut(NodeId, &Expression<'t>)) {
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

/// How many arguments are wanted, in words.
fn arguments_text(fewest: u32, most: u32) -> String {
    let counted = |count: u32| if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") };
    match (fewest, most) {
        (0, 0) => "no arguments".to_owned(),
        (fewest, u32::MAX) => format!("at least {}", counted(fewest)),
        (fewest, most) if fewest == most => counted(most),
        (0, most) => format!("at most {}", counted(most)),
        (fewest, most) => format!("{fewest} to {most} arguments"),
    }
}

fn check_parameters(function: &Function<'_>, diagnostics: &mut Diagnostics) {
    let mut seen: HashMap<&str, Span> = HashMap::with_capacity(function.parameters.len());
    for parameter in &function.parameters {
        if let Some(first) = seen.insert(parameter.text, parameter.span) {
            let message = format!("two parameters are named `{}`", parameter.text);
            let twice = Diagnostic::error(Code::DuplicateParameter, message, parameter.span);
            diagnostics.push(twice.with_label(first, "the first one").with_hint("rename one of them"));
        }
    }
}

/// The variables that are assigned and never read, each where it is assigned first.
fn unused<'t>(function: &Function<'t>, uses: &Uses<'t>) -> Vec<Name<'t>> {
    let mut known: HashSet<&str> = uses.reads.iter().map(|name| name.text).collect();
    known.extend(function.parameters.iter().map(|parameter| parameter.text));
    let mut first: HashMap<&str, Name<'t>> = HashMap::new();
    for name in uses.assignments.iter().filter(|name| !known.contains(name.text) && !name.text.starts_with('_')) {
        let place = first.entry(name.text).or_insert(*name);
        if name.span.start < place.span.start {
            *place = *name;
        }
    }
    let mut unused: Vec<Name<'t>> = first.into_values().collect();
    unused.sort_by_key(|name| name.span.start);
    unused
}
