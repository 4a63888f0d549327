//! Code generation: from the syntax tree to portable instructions.
//!
//! Pending work is kept on an explicit stack, so that long chains of operators do not exhaust the native one.

mod code;
mod expression;
mod wrapper;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use hark_bytecode::{
    Binding, Executable, Foreign, ForeignIndex, FunctionIndex, Handler, Instruction, Literal, NameIndex, Span,
};

use crate::ast::{Function, Import, Item, Name, Program};
use crate::closures::{self, Origin};
use crate::diagnostic::Diagnostics;
use crate::globals::Globals;
use crate::imports::Imports;
use crate::scope::{self, Bound};
use code::{FunctionCode, Work};

/// Generates the program of a file, without its sources. If errors are reported, the result must not be used.
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
        next_lambda: program.items.iter().map(wrapper::functions_of).sum(),
        origins: Vec::new(),
        diagnostics,
    };
    generator.generate_items();
    let Generator { globals, mut executable, origins, diagnostics, .. } = generator;
    closures::close(&mut executable, &origins, &globals, diagnostics);
    debug_assert!(diagnostics.has_errors() || executable.verify().is_ok(), "{:?}", executable.verify());
    executable
}

struct Generator<'t, 'p> {
    program: &'p Program<'t>,
    globals: Globals<'t>,
    executable: Executable,
    names: HashMap<&'t str, NameIndex>,
    /// Lambdas whose code is not generated yet.
    lambdas: VecDeque<Lambda<'t, 'p>>,
    /// The index of the next lambda. Lambdas follow all top-level functions.
    next_lambda: u32,
    /// One for each function of the executable.
    origins: Vec<Origin>,
    diagnostics: &'p mut Diagnostics,
}

/// A lambda, with the information about enclosing functions that its code needs.
struct Lambda<'t, 'p> {
    function: &'p Function<'t>,
    bound: Bound,
    /// The variable to which it is assigned.
    variable: Option<NameIndex>,
}

impl<'t, 'p> Generator<'t, 'p> {
    fn generate_items(&mut self) {
        for item in &self.program.items {
            match item {
                Item::Function(function) => self.generate_top_level(function),
                Item::Import(import) => self.generate_import(import),
            }
        }
        while let Some(Lambda { function, bound, variable }) = self.lambdas.pop_front() {
            let origin = Origin { is_lambda: true, variable, is_damaged: function.damage.is_some() };
            self.generate_function(function, &function.parameters, None, bound, origin);
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
        let wrapper = FunctionIndex(self.executable.functions.len() as u32 + 1);
        let push = if wrapper::is_needed(&import.attributes) {
            self.bind_top_level(import.name.text, Binding::Function(wrapper));
            Instruction::PushValue(Literal::Foreign(foreign))
        } else {
            self.bind_top_level(import.name.text, Binding::Foreign(foreign));
            self.push_name(import.name.text)
        };
        let code = vec![push, Instruction::Call(import.arity), Instruction::Return];
        let spans = vec![import.span; code.len()];
        let function = hark_bytecode::Function {
            name: import.name.text.into(),
            foreign: Some(foreign),
            span: import.span,
            attributes: import.attributes.clone(),
            ..hark_bytecode::Function::default()
        };
        self.add_function(function, code, spans, Vec::new());
        self.origins.push(Origin::default());
        if wrapper::is_needed(&import.attributes) {
            self.wrap_import(import, foreign);
        }
    }

    /// Appends a function's code. Its handlers are relative to the start of the function.
    fn add_function(
        &mut self,
        mut function: hark_bytecode::Function,
        code: Vec<Instruction>,
        spans: Vec<Span>,
        handlers: Vec<Handler>,
    ) {
        let start = self.executable.code.len() as u32;
        self.executable.code.extend(code);
        self.executable.spans.extend(spans);
        function.start = start;
        function.end = self.executable.code.len() as u32;
        function.handlers = handlers;
        for handler in &mut function.handlers {
            handler.start += start;
            handler.end += start;
            handler.target += start;
        }
        self.executable.functions.push(function);
    }

    fn generate_top_level(&mut self, function: &'p Function<'t>) {
        let bound = scope::check(&mut self.globals, self.program, function, self.diagnostics);
        let name = function.name.text;
        let index = FunctionIndex(self.executable.functions.len() as u32);
        self.bind_top_level(name, Binding::Function(index));
        if wrapper::is_needed(&function.attributes) {
            return self.wrap_function(function, bound, index);
        }
        let own = (!bound.itself).then_some((name, function.parameters.len()));
        let origin = Origin { is_damaged: function.damage.is_some(), ..Origin::default() };
        self.generate_function(function, &function.parameters, own, bound, origin);
    }

    /// Generates a top-level function or a lambda with these parameters. `own` identifies a self tail call.
    fn generate_function(
        &mut self,
        function: &'p Function<'t>,
        names: &[Name<'t>],
        own: Option<(&'t str, usize)>,
        bound: Bound,
        origin: Origin,
    ) {
        let mut body = FunctionCode::new(own, bound, names.len());
        let parameters: Vec<NameIndex> = names.iter().map(|parameter| self.name(parameter.text)).collect();
        for (index, parameter) in parameters.iter().zip(names).rev() {
            body.emit(Instruction::Bind(*index), parameter.span);
            body.emit(Instruction::Pop, parameter.span);
        }
        body.work.push(Work::Emit(Instruction::Return, function.span));
        body.push_body(&function.body, true, self.program);
        while let Some(work) = body.work.pop() {
            self.generate_work(&mut body, work);
        }
        body.resolve_jumps();
        let generated = hark_bytecode::Function {
            name: function.name.text.into(),
            parameters,
            span: function.span,
            attributes: function.attributes.clone(),
            ..hark_bytecode::Function::default()
        };
        self.add_function(generated, body.code, body.spans, body.handlers);
        self.origins.push(origin);
    }

    fn generate_work(&mut self, body: &mut FunctionCode<'t>, work: Work) {
        match work {
            Work::Emit(instruction, span) => body.emit(instruction, span),
            Work::Place(label) => body.place(label),
            Work::Jump(kind, label, span) => body.jump(kind, label, span),
            Work::Repeat(arguments, span) => body.repeat(arguments, span),
            Work::BeginTry => body.begin_try(),
            Work::EndTry => body.end_try(),
            Work::BeginCatch => body.begin_catch(),
            Work::Node { id, is_tail } => self.generate_node(body, id, is_tail),
        }
    }

    fn push_name(&mut self, name: &'t str) -> Instruction {
        Instruction::PushBinding(self.name(name))
    }

    /// The name that a literal calls to make its value: one that the program has not bound.
    fn constructor(&mut self, name: &'static str, unshadowed: &'static str, is_bound: bool) -> Instruction {
        let is_shadowed = is_bound || self.globals.defines(name);
        self.push_name(if is_shadowed { unshadowed } else { name })
    }
}
