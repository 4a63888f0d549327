//! The tree to portable instructions.
//!
//! What is still to be generated lies on a stack of its own, so that long chains of operators need none of the native
//! one.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use hark_bytecode::{
    Attributes, Binding, Executable, Foreign, ForeignIndex, FunctionIndex, Instruction, Literal, NameIndex, Operator,
    Span,
};

use crate::ast::{Body, Expression, Function, Import, Item, NodeId, Program};
use crate::diagnostic::Diagnostics;
use crate::flow;
use crate::imports::Imports;
use crate::scope::{Globals, Scope};

/// Generates a file's program, without its sources. Mistakes are reported; then what is made must not be used.
pub(crate) fn generate<'t>(
    program: &Program<'t>,
    imports: Rc<Imports<'t>>,
    diagnostics: &mut Diagnostics,
) -> Executable {
    let globals = Globals::collect(program, imports, diagnostics);
    let executable = Executable::default();
    let mut generator = Generator {
        program,
        globals,
        executable,
        names: HashMap::new(),
        lambdas: VecDeque::new(),
        lambda_count: 0,
        diagnostics,
    };
    generator.generate_items();
    let Generator { globals, executable, .. } = generator;
    globals.finish(diagnostics);
    debug_assert!(diagnostics.has_errors() || executable.verify().is_ok(), "{:?}", executable.verify());
    executable
}

struct Generator<'t, 'p> {
    program: &'p Program<'t>,
    globals: Globals<'t>,
    executable: Executable,
    names: HashMap<&'t str, NameIndex>,
    /// Lambdas that are still to be generated, with the functions around them.
    lambdas: VecDeque<(&'p Function<'t>, Rc<Scope<'t>>)>,
    lambda_count: u32,
    diagnostics: &'p mut Diagnostics,
}

/// What is still to be done, the next thing on top.
enum Work {
    Node {
        id: NodeId,
        is_tail: bool,
    },
    Emit(Instruction, Span),
    Jump(JumpKind, Label, Span),
    /// A jump to the function's start.
    Repeat(Span),
    Place(Label),
}

#[derive(Clone, Copy)]
enum JumpKind {
    Always,
    If,
    And,
    Or,
}

#[derive(Clone, Copy)]
struct Label(usize);

/// The code of one function while it is made.
struct FunctionCode<'t> {
    /// The name that a tail call of itself uses, and the number of its arguments.
    own: Option<(&'t str, usize)>,
    scope: Rc<Scope<'t>>,
    code: Vec<Instruction>,
    spans: Vec<Span>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
    work: Vec<Work>,
}

impl<'t, 'p> Generator<'t, 'p> {
    fn generate_items(&mut self) {
        for item in &self.program.items {
            match item {
                Item::Function(function) => self.generate_function(function, None),
                Item::Import(import) => self.generate_import(import),
            }
        }
        while let Some((lambda, around)) = self.lambdas.pop_front() {
            self.generate_function(lambda, Some(around));
        }
    }

    fn name(&mut self, name: &'t str) -> NameIndex {
        let names = &mut self.executable.names;
        *self.names.entry(name).or_insert_with(|| {
            names.push(Arc::from(name));
            NameIndex((names.len() - 1) as u32)
        })
    }

    fn bind_top_level(&mut self, name: &'t str, binding: Binding) {
        let name = self.name(name);
        self.executable.bindings.push((name, binding));
    }

    fn generate_import(&mut self, import: &Import<'t>) {
        let foreign = ForeignIndex(self.executable.foreign.len() as u32);
        self.executable.foreign.push(Foreign {
            name: import.name.text.into(),
            module: import.module.into(),
            function: import.function.into(),
            arity: import.arity,
            attributes: import.attributes.clone(),
        });
        self.bind_top_level(import.name.text, Binding::Foreign(foreign));
        let name = self.name(import.name.text);
        let code = vec![Instruction::PushBinding(name), Instruction::Call(import.arity), Instruction::Return];
        let spans = vec![import.span; code.len()];
        self.add_function(code, spans, import.name.text, Vec::new(), Some(foreign), import.span, &import.attributes);
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a function, put together in one place")]
    fn add_function(
        &mut self,
        code: Vec<Instruction>,
        spans: Vec<Span>,
        name: &str,
        parameters: Vec<NameIndex>,
        foreign: Option<ForeignIndex>,
        span: Span,
        attributes: &Attributes,
    ) {
        let start = self.executable.code.len() as u32;
        self.executable.code.extend(code);
        self.executable.spans.extend(spans);
        self.executable.functions.push(hark_bytecode::Function {
            name: name.into(),
            parameters,
            captures: Vec::new(),
            handlers: Vec::new(),
            foreign,
            start,
            end: self.executable.code.len() as u32,
            span,
            attributes: attributes.clone(),
        });
    }

    /// A function of the top level, or a lambda with what is around it.
    fn generate_function(&mut self, function: &'p Function<'t>, around: Option<Rc<Scope<'t>>>) {
        let is_top_level = around.is_none();
        let scope = self.globals.enter(self.program, function, around, self.diagnostics);
        let name = function.name.text;
        if is_top_level {
            let index = FunctionIndex(self.executable.functions.len() as u32);
            self.bind_top_level(name, Binding::Function(index));
        }
        let own = (is_top_level && !scope.binds(name)).then_some((name, function.parameters.len()));
        let mut body = FunctionCode {
            own,
            scope,
            code: Vec::new(),
            spans: Vec::new(),
            labels: Vec::new(),
            jumps: Vec::new(),
            work: Vec::new(),
        };
        let parameters: Vec<NameIndex> =
            function.parameters.iter().map(|parameter| self.name(parameter.text)).collect();
        for (index, parameter) in parameters.iter().zip(&function.parameters).rev() {
            body.emit(Instruction::Bind(*index), parameter.span);
            body.emit(Instruction::Pop, parameter.span);
        }
        body.work.push(Work::Emit(Instruction::Return, function.span));
        body.push_body(&function.body, true, self.program);
        while let Some(work) = body.work.pop() {
            self.generate_work(&mut body, work);
        }
        body.resolve_jumps();
        if function.damage.is_none() {
            let found = flow::find_unbound(&body.code, &body.spans, &self.executable.names);
            for (name, warning) in found {
                if !self.globals.knows(self.executable.name(name)) {
                    self.diagnostics.push(warning);
                }
            }
        }
        self.add_function(body.code, body.spans, name, parameters, None, function.span, &function.attributes);
    }

    fn generate_work(&mut self, body: &mut FunctionCode<'t>, work: Work) {
        match work {
            Work::Emit(instruction, span) => body.emit(instruction, span),
            Work::Place(label) => body.labels[label.0] = Some(body.code.len()),
            Work::Jump(kind, label, span) => {
                body.jumps.push((body.code.len(), label));
                let jump = match kind {
                    JumpKind::Always => Instruction::Jump(0),
                    JumpKind::If => Instruction::JumpIf(0),
                    JumpKind::And => Instruction::And(0),
                    JumpKind::Or => Instruction::Or(0),
                };
                body.emit(jump, span);
            }
            Work::Repeat(span) => {
                let distance = -(body.code.len() as i32) - 1;
                body.emit(Instruction::Jump(distance), span);
            }
            Work::Node { id, is_tail } => self.generate_node(body, id, is_tail),
        }
    }

    fn push_name(&mut self, name: &'t str) -> Instruction {
        Instruction::PushBinding(self.name(name))
    }

    /// The name that a literal calls to make its value: one that the program cannot have bound.
    fn constructor(&mut self, name: &'static str, unshadowed: &'static str, body: &FunctionCode<'t>) -> Instruction {
        let is_shadowed = body.scope.binds(name) || self.globals.defines(name);
        self.push_name(if is_shadowed { unshadowed } else { name })
    }

    /// Puts what a node needs onto the stack of work, the last thing first.
    fn generate_node(&mut self, body: &mut FunctionCode<'t>, id: NodeId, is_tail: bool) {
        let program = self.program;
        let node = program.node(id);
        let span = node.span;
        match &node.expression {
            Expression::Literal(literal) => body.emit(Instruction::PushValue(literal.clone()), span),
            Expression::Name(name) => {
                let push = self.push_name(name);
                body.emit(push, span);
            }
            Expression::Operator(operator) => {
                let push = self.push_name(operator.symbol());
                body.emit(push, span);
            }
            Expression::List(items) => {
                let constructor = self.constructor("list", "[]", body);
                body.push_call(items, constructor, span);
            }
            Expression::Hash(items) => {
                let constructor = self.constructor("hash", "{}", body);
                body.push_call(items, constructor, span);
            }
            Expression::Call { callee, arguments, is_async } => {
                let name = match program.node(*callee).expression {
                    Expression::Name(name) => Some(name),
                    _ => None,
                };
                if is_tail && !is_async && name.is_some() && body.own == name.map(|name| (name, arguments.len())) {
                    body.work.push(Work::Repeat(span));
                } else {
                    let count = arguments.len() as u32;
                    let call = if *is_async { Instruction::AsyncCall(count) } else { Instruction::Call(count) };
                    body.work.push(Work::Emit(call, span));
                    body.push_value(*callee);
                }
                arguments.iter().rev().for_each(|argument| body.push_value(*argument));
            }
            Expression::Await(operand) => {
                body.work.push(Work::Emit(Instruction::Wait, span));
                body.push_value(*operand);
            }
            Expression::Unary { operator, operand } => {
                let push = self.push_name(operator.symbol());
                body.work.push(Work::Emit(Instruction::Call(1), span));
                body.work.push(Work::Emit(push, span));
                body.push_value(*operand);
            }
            Expression::Binary { operator: operator @ (Operator::And | Operator::Or), left, right } => {
                let push = self.push_name(operator.symbol());
                let is_and = *operator == Operator::And;
                let kind = if is_and { JumpKind::And } else { JumpKind::Or };
                let end = body.label();
                // What is left when the left side does not decide is the right side, which must be a boolean too.
                body.work.push(Work::Place(end));
                body.work.push(Work::Emit(Instruction::Call(2), span));
                body.work.push(Work::Emit(push, span));
                body.work.push(Work::Emit(Instruction::PushValue(Literal::Boolean(is_and)), span));
                body.push_value(*right);
                body.work.push(Work::Jump(kind, end, span));
                body.push_value(*left);
            }
            Expression::Binary { operator, left, right } => {
                let push = self.push_name(operator.symbol());
                body.work.push(Work::Emit(Instruction::Call(2), span));
                body.work.push(Work::Emit(push, span));
                body.push_value(*left);
                body.push_value(*right);
            }
            Expression::Assign { name, value } => {
                let name = self.name(name.text);
                body.work.push(Work::Emit(Instruction::Bind(name), span));
                body.push_value(*value);
            }
            Expression::If { branches, otherwise } => {
                body.push_if(branches, otherwise.as_ref(), is_tail, span, program);
            }
            Expression::Lambda(function) => {
                let index = FunctionIndex(program.items.len() as u32 + self.lambda_count);
                self.lambda_count += 1;
                self.lambdas.push_back((function, Rc::clone(&body.scope)));
                body.emit(Instruction::PushValue(Literal::Function(index)), span);
            }
        }
    }
}

impl FunctionCode<'_> {
    fn emit(&mut self, instruction: Instruction, span: Span) {
        self.code.push(instruction);
        self.spans.push(span);
    }

    fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    fn push_value(&mut self, id: NodeId) {
        self.work.push(Work::Node { id, is_tail: false });
    }

    fn push_call(&mut self, items: &[NodeId], constructor: Instruction, span: Span) {
        self.work.push(Work::Emit(Instruction::Call(items.len() as u32), span));
        self.work.push(Work::Emit(constructor, span));
        items.iter().rev().for_each(|item| self.push_value(*item));
    }

    /// The expressions of a body, of which only the last one's value stays.
    fn push_body(&mut self, body: &Body, is_tail: bool, program: &Program<'_>) {
        let Some((last, others)) = body.split_last() else {
            self.work.push(Work::Emit(Instruction::PushValue(Literal::Null), Span::default()));
            return;
        };
        self.work.push(Work::Node { id: *last, is_tail });
        for id in others.iter().rev() {
            self.work.push(Work::Emit(Instruction::Pop, program.node(*id).span));
            self.push_value(*id);
        }
    }

    /// The conditions in turn, then the last body, then the others from the innermost to the outermost.
    fn push_if(
        &mut self,
        branches: &[(NodeId, Body)],
        otherwise: Option<&Body>,
        is_tail: bool,
        span: Span,
        program: &Program<'_>,
    ) {
        let labels: Vec<(Label, Label)> = branches.iter().map(|_| (self.label(), self.label())).collect();
        for ((_, body), (then, end)) in branches.iter().zip(&labels) {
            self.work.push(Work::Place(*end));
            self.push_body(body, is_tail, program);
            self.work.push(Work::Place(*then));
            self.work.push(Work::Jump(JumpKind::Always, *end, span));
        }
        match otherwise {
            Some(body) => self.push_body(body, is_tail, program),
            None => self.work.push(Work::Emit(Instruction::PushValue(Literal::Null), span)),
        }
        for ((condition, _), (then, _)) in branches.iter().zip(&labels).rev() {
            self.work.push(Work::Jump(JumpKind::If, *then, program.node(*condition).span));
            self.push_value(*condition);
        }
    }

    fn resolve_jumps(&mut self) {
        for (at, label) in std::mem::take(&mut self.jumps) {
            let target = self.labels[label.0].expect("every label is placed");
            let distance = target as i32 - at as i32 - 1;
            match &mut self.code[at] {
                Instruction::Jump(to) | Instruction::JumpIf(to) | Instruction::And(to) | Instruction::Or(to) => {
                    *to = distance;
                }
                _ => {}
            }
        }
    }
}
