//! Checks the names in a function and its lambdas: duplicate parameters, unknown names, wrong numbers of arguments,
//! unused variables.
//!
//! A lambda may use names bound by enclosing functions. Which values it gets is decided in
//! [`closures`](crate::closures).

use std::collections::HashMap;

use hark_bytecode::Span;

use crate::ast::{Body, Expression, Function, Name, NodeId, Program};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::globals::{Arity, Globals};
use crate::habits;

/// Names bound by a function or its lambdas that affect its code.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bound {
    /// Whether one of them binds `list`.
    pub list: bool,
    /// Whether one of them binds `hash`.
    pub hash: bool,
    /// Whether the function binds its own name.
    pub itself: bool,
}

/// Checks a top-level function and all lambdas in it.
pub(crate) fn check<'t>(
    globals: &mut Globals<'t>,
    program: &Program<'t>,
    function: &Function<'t>,
    diagnostics: &mut Diagnostics,
) -> Bound {
    let mut checker = Checker {
        globals,
        program,
        diagnostics,
        variables: Vec::new(),
        visible: HashMap::new(),
        unused: Vec::new(),
        is_damaged: false,
        bound: Bound::default(),
    };
    // A lambda is checked while the variables of all enclosing functions are in scope.
    let mut work = vec![Work::Enter(function)];
    while let Some(next) = work.pop() {
        match next {
            Work::Enter(function) => {
                let is_top_level = work.is_empty();
                work.push(Work::Leave { variables: checker.variables.len() });
                let lambdas = checker.enter(function);
                if is_top_level {
                    checker.bound.itself = checker.visible.contains_key(function.name.text);
                }
                work.extend(lambdas.into_iter().map(Work::Enter));
            }
            Work::Leave { variables } => checker.leave(variables),
        }
    }
    checker.report_unused();
    checker.bound
}

enum Work<'t, 'p> {
    Enter(&'p Function<'t>),
    /// The function is done; `variables` is the number of variables of the enclosing functions.
    Leave {
        variables: usize,
    },
}

struct Checker<'t, 'p, 'a> {
    globals: &'a mut Globals<'t>,
    program: &'p Program<'t>,
    diagnostics: &'a mut Diagnostics,
    /// The variables of the functions being checked, the innermost function's last.
    variables: Vec<Variable<'t>>,
    /// The innermost variable of each name.
    visible: HashMap<&'t str, u32>,
    unused: Vec<(Name<'t>, Kind)>,
    /// Whether a part could not be parsed, so that unused variables are unknown.
    is_damaged: bool,
    bound: Bound,
}

/// A variable of a function.
struct Variable<'t> {
    /// The first binding.
    name: Name<'t>,
    kind: Kind,
    is_read: bool,
    /// The variable of the same name in an enclosing function.
    outer: Option<u32>,
}

/// How a variable is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Parameter,
    Assignment,
    Pattern,
    /// By a `catch`, or by code that could not be parsed.
    Other,
}

/// The role of a name that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Value,
    /// It is called.
    Callee,
    /// It is the key of a hash.
    Key,
}

/// The uses of names in a function, in traversal order.
#[derive(Default)]
struct Uses<'t, 'p> {
    bound: Vec<(Name<'t>, Kind)>,
    reads: Vec<(Name<'t>, Role)>,
    calls: Vec<NodeId>,
    lambdas: Vec<&'p Function<'t>>,
}

impl<'t, 'p> Checker<'t, 'p, '_> {
    /// Checks a function and returns the lambdas in it.
    fn enter(&mut self, function: &'p Function<'t>) -> Vec<&'p Function<'t>> {
        check_parameters(function, self.diagnostics);
        let uses = Uses::collect(self.program, &function.body);
        let first = self.variables.len();
        for name in &function.parameters {
            self.bind(first, *name, Kind::Parameter);
        }
        for (name, kind) in &uses.bound {
            self.bind(first, *name, *kind);
        }
        for text in function.damage.iter().flatten() {
            self.bind(first, Name { text, span: function.span }, Kind::Other);
        }
        self.is_damaged |= function.damage.is_some();
        self.bound.list |= self.visible.contains_key("list");
        self.bound.hash |= self.visible.contains_key("hash");
        for name in &uses.bound {
            self.doubt_dot(name.0);
        }
        for (name, role) in uses.reads {
            self.read(name, role);
        }
        for call in uses.calls {
            self.check_call(call);
        }
        uses.lambdas
    }

    /// Binds a name in the function whose variables start at `first`.
    fn bind(&mut self, first: usize, name: Name<'t>, kind: Kind) {
        let outer = self.visible.get(name.text).copied();
        if let Some(known) = outer.filter(|known| *known as usize >= first) {
            let known = &mut self.variables[known as usize];
            if kind != Kind::Other && known.kind != Kind::Parameter && name.span.start < known.name.span.start {
                known.name = name;
            }
            return;
        }
        self.visible.insert(name.text, self.variables.len() as u32);
        self.variables.push(Variable { name, kind, is_read: false, outer });
    }

    /// A read may get the value from an enclosing function if the inner ones have not bound the name yet, so all these
    /// variables count as used. A parameter is always bound.
    fn read(&mut self, name: Name<'t>, role: Role) {
        let next = self.visible.get(name.text).copied();
        if next.is_none() && !self.globals.knows(name.text) {
            self.report_unknown(name, role);
        } else if next.is_none() && role == Role::Key {
            self.doubt_key(name);
        }
        self.mark_read(next);
    }

    fn mark_read(&mut self, mut next: Option<u32>) {
        while let Some(index) = next {
            let variable = &mut self.variables[index as usize];
            if std::mem::replace(&mut variable.is_read, true) || variable.kind == Kind::Parameter {
                return;
            }
            next = variable.outer;
        }
    }

    #[cold]
    fn report_unknown(&mut self, name: Name<'t>, role: Role) {
        if let Some(missing) = self.globals.explain_missing(name.text, name.span) {
            self.diagnostics.push(missing);
            return;
        }
        let message = format!("nothing named `{}` is known here", name.text);
        let unknown = Diagnostic::error(Code::UnknownName, message, name.span);
        let hint = self.advice(name.text, role);
        self.diagnostics.push(Diagnostic { hint, ..unknown });
    }

    /// A hint for an unknown name.
    fn advice(&mut self, name: &'t str, role: Role) -> Option<String> {
        if role == Role::Key {
            return Some(format!("a key is an expression, and a string is written in quotes: `{{\"{name}\": ...}}`"));
        }
        let (word, function) = (habits::advice(name), habits::counterpart(name));
        if let Some(advice) = if role == Role::Callee { function.or(word) } else { word.or(function) } {
            return Some(advice.to_owned());
        }
        if let Some((object, member)) = name.split_once('.') {
            if let Some(variable) = self.visible.get(object).copied() {
                // The name was meant to read this variable.
                self.mark_read(Some(variable));
                return Some(self.advice_on_member(object, member, role));
            }
            let last = name.rsplit('.').next().unwrap_or(name);
            if self.globals.arity(last).is_some() {
                return Some(format!("did you mean `{last}`?"));
            }
        }
        let nearest = self.globals.nearest(name, &self.visible);
        nearest.map(|nearest| format!("did you mean `{nearest}`?"))
    }

    /// A hint for `object.member`, if `object` exists.
    fn advice_on_member(&self, object: &str, member: &str, role: Role) -> String {
        if role == Role::Callee {
            if let Some(counterpart) = habits::counterpart(member) {
                return format!("a `.` is part of the name here: {counterpart}");
            }
            let (object, member) = match member.rsplit_once('.') {
                Some((keys, member)) => (value_of_keys(object, keys), member),
                None => (object.to_owned(), member),
            };
            let is_single = self.globals.arity(member).is_none_or(|(arity, _)| arity.fewest <= 1);
            let others = if is_single { "" } else { ", ..." };
            return format!("a `.` is part of the name here: a function is called like `{member}({object}{others})`");
        }
        format!("a `.` is part of the name here: the value of a key is `{}`", value_of_keys(object, member))
    }

    /// Warns about `order.state = "paid"`, which does not change the hash `order`.
    fn doubt_dot(&mut self, name: Name<'t>) {
        let Some((object, key)) = name.text.split_once('.') else { return };
        let Some(variable) = self.visible.get(object).copied() else { return };
        self.mark_read(Some(variable));
        self.mark_read(self.visible.get(name.text).copied());
        let message = format!("this binds the name `{}`, and leaves `{object}` as it is", name.text);
        let doubt = Diagnostic::warning(Code::DottedName, message, name.span);
        let hint = match key.contains('.') {
            false => format!("a hash with another value: `{object} = set({object}, \"{key}\", ...)`"),
            true => format!(
                "`set(h, key, value)` gives a hash with another value; or name it `{}`",
                name.text.replace('.', "_")
            ),
        };
        self.diagnostics.push(doubt.with_hint(hint));
    }

    /// Warns about `{count: 1}`, whose key is the function `count`.
    fn doubt_key(&mut self, name: Name<'t>) {
        if self.globals.arity(name.text).is_some() {
            let message = format!("the function `{}` cannot be a key: making this hash will fail", name.text);
            let doubt = Diagnostic::warning(Code::FunctionAsKey, message, name.span);
            self.diagnostics
                .push(doubt.with_hint(format!("a string is written in quotes: `{{\"{}\": ...}}`", name.text)));
        }
    }

    /// Checks the number of arguments, if the callee is certain.
    fn check_call(&mut self, call: NodeId) {
        let node = self.program.node(call);
        let Expression::Call { callee, arguments, .. } = &node.expression else { return };
        let Expression::Name(name) = self.program.node(*callee).expression else { return };
        if self.visible.contains_key(name) {
            return;
        }
        let Some((arity, defined)) = self.globals.arity(name) else { return };
        let count = arguments.len() as u32;
        if (arity.fewest..=arity.most).contains(&count) {
            return;
        }
        let message = format!("`{name}` takes {}, but is called with {count}", arguments_text(arity));
        let mut wrong = Diagnostic::error(Code::ArgumentCount, message, node.span).saying("called here");
        if name == "print" && count > 1 {
            wrong.hint = habits::counterpart("println").map(str::to_owned);
        }
        self.diagnostics.push(match defined {
            Some(span) => wrong.with_label(span, "defined here"),
            None => wrong,
        });
    }

    /// Removes a function's variables, and records the unused ones.
    fn leave(&mut self, variables: usize) {
        for variable in self.variables.drain(variables..).rev() {
            match variable.outer {
                Some(outer) => self.visible.insert(variable.name.text, outer),
                None => self.visible.remove(variable.name.text),
            };
            let is_wanted = variable.is_read || variable.name.text.starts_with('_');
            if !is_wanted && matches!(variable.kind, Kind::Assignment | Kind::Pattern) {
                self.unused.push((variable.name, variable.kind));
            }
        }
    }

    fn report_unused(&mut self) {
        if self.is_damaged {
            return;
        }
        for (name, kind) in self.unused.drain(..) {
            let hint = match kind {
                Kind::Pattern => "write `_` in its place".to_owned(),
                _ => format!("leave it out, or name it `_{}`", name.text),
            };
            let message = format!("`{}` is never read", name.text);
            self.diagnostics.push(Diagnostic::warning(Code::UnusedVariable, message, name.span).with_hint(hint));
        }
    }
}

impl<'t, 'p> Uses<'t, 'p> {
    /// Visits all expressions of a body, in unspecified order. Lambdas are collected, but not entered.
    fn collect(program: &'p Program<'t>, body: &Body) -> Uses<'t, 'p> {
        let mut uses = Uses::default();
        let mut open: Vec<NodeId> = body.clone();
        while let Some(id) = open.pop() {
            let node = program.node(id);
            match &node.expression {
                Expression::Literal(_) | Expression::Operator(_) => {}
                Expression::Name(text) => uses.reads.push((Name { text, span: node.span }, Role::Value)),
                Expression::List(items) => open.extend(items),
                Expression::Hash(items) => {
                    for pair in items.chunks_exact(2) {
                        uses.meet(program, pair[0], Role::Key, &mut open);
                        open.push(pair[1]);
                    }
                }
                Expression::Call { callee, arguments, .. } => {
                    uses.calls.push(id);
                    uses.meet(program, *callee, Role::Callee, &mut open);
                    open.extend(arguments);
                }
                Expression::Await(operand) | Expression::Unary { operand, .. } => open.push(*operand),
                Expression::Binary { left, right, .. } => open.extend([*left, *right]),
                Expression::Assign { name, value } => {
                    uses.bound.push((*name, Kind::Assignment));
                    open.push(*value);
                }
                Expression::Unpack { names, value, .. } => {
                    uses.bound.extend(names.iter().map(|name| (*name, Kind::Pattern)));
                    open.push(*value);
                }
                Expression::If { branches, otherwise } => {
                    for (condition, body) in branches {
                        open.push(*condition);
                        open.extend(body);
                    }
                    open.extend(otherwise.iter().flatten());
                }
                Expression::Try { body, name, handler } => {
                    uses.bound.extend(name.map(|name| (name, Kind::Other)));
                    open.extend(body);
                    open.extend(handler);
                }
                Expression::Lambda(function) => uses.lambdas.push(function),
            }
        }
        uses
    }

    /// Records a name with its role; other expressions are queued.
    fn meet(&mut self, program: &'p Program<'t>, id: NodeId, role: Role, open: &mut Vec<NodeId>) {
        let node = program.node(id);
        match node.expression {
            Expression::Name(text) => self.reads.push((Name { text, span: node.span }, role)),
            _ => open.push(id),
        }
    }
}

/// The expected number of arguments, in words.
fn arguments_text(arity: Arity) -> String {
    let counted = |count: u32| if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") };
    match (arity.fewest, arity.most) {
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

/// What reads a key of an object, or a key of that, and so on: `get(get(x, "a"), "b")` for `x` and `a.b`.
fn value_of_keys(object: &str, keys: &str) -> String {
    keys.split('.').fold(object.to_owned(), |object, key| format!("get({object}, \"{key}\")"))
}
