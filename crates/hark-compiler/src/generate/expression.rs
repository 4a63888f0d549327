//! The code of each kind of expression.

use std::sync::Arc;

use hark_bytecode::{FunctionIndex, Instruction, Literal, Operator, Pattern, Span};

use super::code::{FunctionCode, JumpKind, Work};
use super::{Generator, Lambda};
use crate::ast::{Body, Expression, Function, Name, NodeId};

impl<'t, 'p> Generator<'t, 'p> {
    /// Schedules the work for a node. As a stack, the last step is pushed first.
    pub(super) fn generate_node(&mut self, body: &mut FunctionCode<'t>, id: NodeId, is_tail: bool) {
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
                let constructor = self.constructor("list", "[]", body.bound.list);
                body.push_call(items, constructor, span);
            }
            Expression::Hash(items) => {
                let constructor = self.constructor("hash", "{}", body.bound.hash);
                body.push_call(items, constructor, span);
            }
            Expression::Call { callee, arguments, is_async } => {
                self.generate_call(body, *callee, arguments, Call { is_async: *is_async, is_tail, span });
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
                // If the left side does not decide, the result is the right side, which must be a boolean as well.
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
            Expression::Assign { name, value } => self.generate_assign(body, *name, *value, span),
            Expression::Unpack { pattern, names, value } => {
                self.generate_unpack(body, pattern, names, span);
                body.push_value(*value);
            }
            Expression::If { branches, otherwise } => {
                body.push_if(branches, otherwise.as_ref(), is_tail, span, program);
            }
            Expression::Try { body: tried, name, handler } => {
                self.generate_catch(body, *name, handler, is_tail, span);
                body.work.push(Work::EndTry);
                // Not in tail position: its last call must return here, so that its error can be caught.
                body.push_body(tried, false, program);
                body.work.push(Work::BeginTry);
            }
            Expression::Lambda(function) => self.generate_lambda(body, function, None, span),
        }
    }

    fn generate_call(&mut self, body: &mut FunctionCode<'t>, callee: NodeId, arguments: &[NodeId], call: Call) {
        let name = match self.program.node(callee).expression {
            Expression::Name(name) => Some(name),
            _ => None,
        };
        let count = arguments.len() as u32;
        let is_own = name.is_some() && body.own == name.map(|name| (name, arguments.len()));
        if is_own && call.is_tail && !call.is_async {
            body.work.push(Work::Repeat(count, call.span));
        } else {
            let call_it = if call.is_async { Instruction::AsyncCall(count) } else { Instruction::Call(count) };
            body.work.push(Work::Emit(call_it, call.span));
            body.push_value(callee);
        }
        arguments.iter().rev().for_each(|argument| body.push_value(*argument));
    }

    fn generate_assign(&mut self, body: &mut FunctionCode<'t>, name: Name<'t>, value: NodeId, span: Span) {
        let index = self.name(name.text);
        body.work.push(Work::Emit(Instruction::Bind(index), span));
        match &self.program.node(value).expression {
            Expression::Lambda(function) => {
                self.generate_lambda(body, function, Some(name.text), self.program.node(value).span);
            }
            _ => body.push_value(value),
        }
    }

    /// Schedules the bindings after the value is on the stack.
    fn generate_unpack(&mut self, body: &mut FunctionCode<'t>, pattern: &Arc<Pattern>, names: &[Name<'t>], span: Span) {
        for name in names.iter().rev() {
            let index = self.name(name.text);
            body.work.push(Work::Emit(Instruction::Pop, name.span));
            body.work.push(Work::Emit(Instruction::Bind(index), name.span));
        }
        body.work.push(Work::Emit(Instruction::Unpack(Arc::clone(pattern)), span));
    }

    /// Schedules the handler after the body of a `try`.
    fn generate_catch(
        &mut self,
        body: &mut FunctionCode<'t>,
        name: Option<Name<'t>>,
        handler: &Body,
        is_tail: bool,
        span: Span,
    ) {
        let end = body.label();
        body.work.push(Work::Place(end));
        body.push_body(handler, is_tail, self.program);
        let place = name.map_or(span, |name| name.span);
        body.work.push(Work::Emit(Instruction::Pop, place));
        if let Some(name) = name {
            body.work.push(Work::Emit(Instruction::Bind(self.name(name.text)), place));
        }
        body.work.push(Work::BeginCatch);
        body.work.push(Work::Jump(JumpKind::Always, end, span));
    }

    /// Emits a lambda; its own code is generated later.
    fn generate_lambda(
        &mut self,
        body: &mut FunctionCode<'t>,
        function: &'p Function<'t>,
        variable: Option<&'t str>,
        span: Span,
    ) {
        let index = FunctionIndex(self.next_lambda);
        self.next_lambda += 1;
        let variable = variable.map(|name| self.name(name));
        self.lambdas.push_back(Lambda { function, bound: body.bound, variable });
        body.emit(Instruction::PushValue(Literal::Function(index)), span);
    }
}

/// How a call is made.
#[derive(Clone, Copy)]
struct Call {
    is_async: bool,
    is_tail: bool,
    span: Span,
}
