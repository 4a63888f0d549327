//! The code of a function under construction: instructions, labels, handlers and pending work.

use hark_bytecode::{Handler, Instruction, Literal, Span};

use crate::ast::{Body, NodeId, Program};
use crate::scope::Bound;

/// A unit of pending work. The last one on the stack is done first.
pub(super) enum Work {
    Node {
        id: NodeId,
        is_tail: bool,
    },
    Emit(Instruction, Span),
    Jump(JumpKind, Label, Span),
    /// A jump to the function's start, with this many arguments on the stack.
    Repeat(u32, Span),
    Place(Label),
    /// The body of a `try` begins.
    BeginTry,
    /// The body of a `try` ends.
    EndTry,
    /// The handler of a `try` begins.
    BeginCatch,
}

#[derive(Clone, Copy)]
pub(super) enum JumpKind {
    Always,
    If,
    And,
    Or,
}

#[derive(Clone, Copy)]
pub(super) struct Label(usize);

/// The position of a label and the stack height there, once known.
#[derive(Clone, Copy, Default)]
struct Target {
    at: Option<usize>,
    height: Option<u32>,
}

pub(super) struct FunctionCode<'t> {
    /// The name that identifies a self tail call, and the number of its arguments.
    pub own: Option<(&'t str, usize)>,
    pub bound: Bound,
    pub code: Vec<Instruction>,
    pub spans: Vec<Span>,
    /// Relative to the function's start.
    pub handlers: Vec<Handler>,
    pub work: Vec<Work>,
    /// The current height of the stack.
    height: u32,
    labels: Vec<Target>,
    jumps: Vec<(usize, Label)>,
    /// For each `try` whose body is being generated: its start, and the stack height there.
    tries: Vec<(u32, u32)>,
}

impl<'t> FunctionCode<'t> {
    /// The code of a function that begins with its arguments on the stack.
    pub fn new(own: Option<(&'t str, usize)>, bound: Bound, parameters: usize) -> FunctionCode<'t> {
        FunctionCode {
            own,
            bound,
            code: Vec::new(),
            spans: Vec::new(),
            handlers: Vec::new(),
            work: Vec::new(),
            height: parameters as u32,
            labels: Vec::new(),
            jumps: Vec::new(),
            tries: Vec::new(),
        }
    }

    pub fn emit(&mut self, instruction: Instruction, span: Span) {
        match &instruction {
            Instruction::PushValue(_) | Instruction::PushBinding(_) | Instruction::Close(_) => self.height += 1,
            Instruction::Unpack(pattern) => self.height += pattern.names() as u32,
            Instruction::Call(count) | Instruction::AsyncCall(count) => self.height -= count,
            Instruction::Pop
            | Instruction::JumpIf(_)
            | Instruction::And(_)
            | Instruction::Or(_)
            | Instruction::Return => self.height -= 1,
            Instruction::Bind(_) | Instruction::Wait | Instruction::Jump(_) => {}
        }
        self.code.push(instruction);
        self.spans.push(span);
    }

    pub fn label(&mut self) -> Label {
        self.labels.push(Target::default());
        Label(self.labels.len() - 1)
    }

    pub fn place(&mut self, label: Label) {
        let target = &mut self.labels[label.0];
        target.at = Some(self.code.len());
        self.height = target.height.unwrap_or(self.height);
    }

    pub fn jump(&mut self, kind: JumpKind, label: Label, span: Span) {
        self.jumps.push((self.code.len(), label));
        let (jump, dropped) = match kind {
            JumpKind::Always => (Instruction::Jump(0), 0),
            JumpKind::If => (Instruction::JumpIf(0), 1),
            JumpKind::And => (Instruction::And(0), 0),
            JumpKind::Or => (Instruction::Or(0), 0),
        };
        self.labels[label.0].height = Some(self.height - dropped);
        self.emit(jump, span);
    }

    /// Emits a self tail call.
    pub fn repeat(&mut self, arguments: u32, span: Span) {
        let distance = -(self.code.len() as i32) - 1;
        self.emit(Instruction::Jump(distance), span);
        // Unreachable from here; the height is set as if the call had returned.
        self.height = self.height - arguments + 1;
    }

    pub fn begin_try(&mut self) {
        self.tries.push((self.code.len() as u32, self.height));
    }

    pub fn end_try(&mut self) {
        let (start, height) = self.tries.pop().expect("what ends has begun");
        self.handlers.push(Handler { start, end: self.code.len() as u32, target: 0, height });
    }

    /// Must follow the body of the `try` and the jump after it.
    pub fn begin_catch(&mut self) {
        let handler = self.handlers.last_mut().expect("the body of a `try` has just ended");
        handler.target = self.code.len() as u32;
        self.height = handler.height + 1;
    }

    pub fn push_value(&mut self, id: NodeId) {
        self.work.push(Work::Node { id, is_tail: false });
    }

    pub fn push_call(&mut self, items: &[NodeId], constructor: Instruction, span: Span) {
        self.work.push(Work::Emit(Instruction::Call(items.len() as u32), span));
        self.work.push(Work::Emit(constructor, span));
        items.iter().rev().for_each(|item| self.push_value(*item));
    }

    /// Schedules the expressions of a body; only the last one's value is kept.
    pub fn push_body(&mut self, body: &Body, is_tail: bool, program: &Program<'_>) {
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

    /// Schedules the conditions in order, then the last body, then the others from the innermost to the outermost.
    pub fn push_if(
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

    pub fn resolve_jumps(&mut self) {
        for (at, label) in std::mem::take(&mut self.jumps) {
            let target = self.labels[label.0].at.expect("every label is placed");
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
