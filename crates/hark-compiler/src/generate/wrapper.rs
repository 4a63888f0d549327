//! What stands for a function or import with `#[retry]` or `#[timeout]`: a *wrapper*, which gives what is to be tried, and
//! the attributes' values, to the prelude.
//!
//! A function is three then. The wrapper has its name and parameters. The *guard* is what a thread of its own runs for each
//! try: it calls the *body*, which is as it is written, but for the parameters, which it captures. The guard gives the
//! body's value in a list of one, as a Future would be awaited otherwise. With `#[retry]` it also cancels what a body that
//! fails has started.

use hark_bytecode::{
    Attributes, ForeignIndex, Function, FunctionIndex, Instruction, Literal, NameIndex, Passing, Span,
};

use super::Generator;
use crate::ast::{self, Import, Item};
use crate::closures::Origin;
use crate::prelude::{ATTEMPT, RETRY, RETRY_CALL, WITHIN};
use crate::scope::Bound;

/// The name of an import's arguments in its wrapper.
const ARGUMENTS: &str = "%arguments";

/// Whether these attributes take a wrapper.
pub(super) fn is_needed(attributes: &Attributes) -> bool {
    attributes.retry.is_some() || attributes.timeout_seconds.is_some()
}

/// How many functions an item becomes, without the lambdas in it.
pub(super) fn functions_of(item: &Item<'_>) -> u32 {
    match item {
        Item::Function(function) if is_needed(&function.attributes) => 3,
        Item::Import(import) if is_needed(&import.attributes) => 2,
        Item::Function(_) | Item::Import(_) => 1,
    }
}

impl<'t, 'p> Generator<'t, 'p> {
    /// The wrapper of a function that has this index, its guard and its body.
    pub(super) fn wrap_function(&mut self, function: &'p ast::Function<'t>, bound: Bound, index: FunctionIndex) {
        let [guard, body] = [1, 2].map(|behind| FunctionIndex(index.0 + behind));
        let parameters: Vec<NameIndex> =
            function.parameters.iter().map(|parameter| self.name(parameter.text)).collect();
        let mut code = self.bound(&parameters);
        code.push(Instruction::PushValue(Literal::Function(guard)));
        let runner = match &function.attributes.retry {
            Some(_) => RETRY,
            None => WITHIN,
        };
        self.push_policy(&function.attributes, &mut code);
        code.extend([self.push_name(runner), Instruction::Call(2), Instruction::Return]);
        let is_damaged = function.damage.is_some();
        let wrapper = Function { parameters, ..wrapping(function.name.text, function.span, &function.attributes) };
        self.add_native(wrapper, code, Origin { is_damaged, ..Origin::default() });
        let origin = Origin { is_lambda: true, is_damaged, ..Origin::default() };
        self.add_guard(function, body, origin);
        self.generate_function(function, &[], None, bound, origin);
    }

    /// What the thread of a try runs.
    fn add_guard(&mut self, function: &ast::Function<'t>, body: FunctionIndex, origin: Origin) {
        let body = Instruction::PushValue(Literal::Function(body));
        let mut code = match &function.attributes.retry {
            Some(_) => vec![body, self.push_name(ATTEMPT)],
            None => vec![body, Instruction::Call(0), self.push_name("[]")],
        };
        code.extend([Instruction::Call(1), Instruction::Return]);
        self.add_native(wrapping(function.name.text, function.span, &Attributes::default()), code, origin);
    }

    /// The wrapper of an import.
    pub(super) fn wrap_import(&mut self, import: &Import<'t>, foreign: ForeignIndex) {
        let arguments = self.name(ARGUMENTS);
        let mut code = self.bound(&[arguments]);
        code.extend([Instruction::PushValue(Literal::Foreign(foreign)), Instruction::PushBinding(arguments)]);
        self.push_policy(&import.attributes, &mut code);
        if import.attributes.retry.is_some() {
            code.extend([self.push_name(RETRY_CALL), Instruction::Call(3)]);
        } else {
            let is_again = Instruction::PushValue(Literal::Boolean(false));
            code.extend([is_again, self.push_name("%call"), Instruction::Call(4)]);
        }
        code.push(Instruction::Return);
        let wrapper = Function {
            parameters: vec![arguments],
            passing: Passing::AsList { most: import.arity },
            ..wrapping(import.name.text, import.span, &import.attributes)
        };
        self.add_native(wrapper, code, Origin::default());
    }

    /// Takes the arguments of a call from the stack, the last one first.
    fn bound(&self, parameters: &[NameIndex]) -> Vec<Instruction> {
        parameters.iter().rev().flat_map(|name| [Instruction::Bind(*name), Instruction::Pop]).collect()
    }

    /// Pushes what the prelude has to know: the timeout, or all of a retry's arguments and the timeout as a list.
    fn push_policy(&mut self, attributes: &Attributes, code: &mut Vec<Instruction>) {
        let timeout = seconds(attributes.timeout_seconds);
        let Some(retry) = &attributes.retry else {
            code.push(Instruction::PushValue(timeout));
            return;
        };
        let numbers = [retry.backoff_seconds, retry.factor, retry.max_backoff_seconds].map(Literal::Float);
        let simple = [Literal::Integer(retry.attempts.into())].into_iter().chain(numbers);
        code.extend(simple.chain([Literal::Boolean(retry.jitter)]).map(Instruction::PushValue));
        match &retry.on {
            Some(on) => self.push_names(on, code),
            None => code.push(Instruction::PushValue(Literal::Null)),
        }
        self.push_names(&retry.except, code);
        code.extend([seconds(retry.deadline_seconds), timeout].map(Instruction::PushValue));
        code.extend([self.push_name("[]"), Instruction::Call(9)]);
    }

    fn push_names(&mut self, names: &[String], code: &mut Vec<Instruction>) {
        code.extend(names.iter().map(|name| Instruction::PushValue(Literal::String(name.as_str().into()))));
        code.extend([self.push_name("[]"), Instruction::Call(names.len() as u32)]);
    }

    /// Adds what is no function of the text.
    fn add_native(&mut self, function: Function, code: Vec<Instruction>, origin: Origin) {
        let spans = vec![Span::NOWHERE; code.len()];
        self.add_function(function, code, spans, Vec::new());
        self.origins.push(origin);
    }
}

fn wrapping(name: &str, span: Span, attributes: &Attributes) -> Function {
    Function { name: name.into(), is_native: true, span, attributes: attributes.clone(), ..Function::default() }
}

fn seconds(seconds: Option<f64>) -> Literal {
    seconds.map_or(Literal::Null, Literal::Float)
}
