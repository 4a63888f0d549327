//! Wrappers: the functions that callers see if a function or import has `#[retry]`, `#[timeout]`, `#[limit]` or
//! `#[rate]`.
//!
//! With `#[retry]`, and for a function with `#[timeout]`, the wrapper passes the callee and the attributes' values to
//! the prelude. A function then becomes three. The *wrapper* has its name and parameters. The *guard* runs in a thread
//! of its own for each attempt and calls the *body*, which is the code as written, with the parameters as captures. With
//! `#[retry]` the guard also cancels the threads that a failed body has started.
//!
//! Otherwise the wrapper acquires the limit, calls the body or import itself, and releases the limit. If an error
//! leaves the wrapper, the limit is released together with its record.

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

/// The variable of a wrapper that stores whether it has acquired the limit.
const PLACE: &str = "%place";

/// Whether these attributes need a wrapper.
pub(super) fn is_needed(attributes: &Attributes) -> bool {
    attributes.retry.is_some() || attributes.timeout_seconds.is_some() || has_gates(attributes)
}

fn has_gates(attributes: &Attributes) -> bool {
    attributes.limit.is_some() || attributes.rate.is_some()
}

/// Whether each attempt of a function runs in a thread of its own.
fn has_tries(attributes: &Attributes) -> bool {
    attributes.retry.is_some() || attributes.timeout_seconds.is_some()
}

/// The number of functions generated for an item, not counting its lambdas.
pub(super) fn functions_of(item: &Item<'_>) -> u32 {
    match item {
        Item::Function(function) if has_tries(&function.attributes) => 3,
        Item::Function(function) if is_needed(&function.attributes) => 2,
        Item::Import(import) if is_needed(&import.attributes) => 2,
        Item::Function(_) | Item::Import(_) => 1,
    }
}

impl<'t, 'p> Generator<'t, 'p> {
    /// Generates the wrapper of a function, at this index, then its guard if needed, and its body.
    pub(super) fn wrap_function(&mut self, function: &'p ast::Function<'t>, bound: Bound, index: FunctionIndex) {
        let attributes = &function.attributes;
        let inner = FunctionIndex(index.0 + 1);
        let parameters: Vec<NameIndex> =
            function.parameters.iter().map(|parameter| self.name(parameter.text)).collect();
        let mut code = self.bound(&parameters);
        if has_tries(attributes) {
            code.push(Instruction::PushValue(Literal::Function(inner)));
            let runner = self.push_policy(attributes, &mut code);
            code.extend([self.push_name(runner), Instruction::Call(2)]);
        } else {
            let count = parameters.len() as u32;
            let calls = parameters.iter().map(|name| Instruction::PushBinding(*name));
            let calls = calls.chain([Instruction::PushValue(Literal::Function(inner)), Instruction::Call(count)]);
            self.push_in_place(attributes, &Literal::Function(inner), calls.collect(), &mut code);
        }
        code.push(Instruction::Return);
        let is_damaged = function.damage.is_some();
        let wrapper = Function { parameters, ..wrapping(function.name.text, function.span, attributes) };
        self.add_native(wrapper, code, Origin { is_damaged, ..Origin::default() });
        let origin = Origin { is_damaged, ..Origin::default() };
        if has_tries(attributes) {
            let origin = Origin { is_lambda: true, ..origin };
            self.add_guard(function, FunctionIndex(inner.0 + 1), origin);
            self.generate_function(function, &[], None, bound, origin);
        } else {
            // A self tail call keeps the limit already acquired, but must count as another start for a rate.
            let repeats = attributes.rate.is_none() && !bound.itself;
            let own = repeats.then_some((function.name.text, function.parameters.len()));
            self.generate_function(function, &function.parameters, own, bound, origin);
        }
    }

    /// Generates the guard, which runs in the thread of an attempt.
    fn add_guard(&mut self, function: &ast::Function<'t>, body: FunctionIndex, origin: Origin) {
        let body = Instruction::PushValue(Literal::Function(body));
        // Reading each parameter makes it a capture, also if the body does not use it: so the captures are the arguments.
        let parameters = function.parameters.iter();
        let mut code: Vec<Instruction> =
            parameters.flat_map(|name| [Instruction::PushBinding(self.name(name.text)), Instruction::Pop]).collect();
        code.push(body);
        match &function.attributes.retry {
            Some(_) => code.extend([self.push_name(ATTEMPT), Instruction::Call(1)]),
            None => code.push(Instruction::Call(0)),
        }
        code.push(Instruction::Return);
        let guard = wrapping(function.name.text, function.span, &Attributes::default());
        self.add_native(Function { is_try: true, ..guard }, code, origin);
    }

    /// Generates the wrapper of an import.
    pub(super) fn wrap_import(&mut self, import: &Import<'t>, foreign: ForeignIndex) {
        let attributes = &import.attributes;
        let arguments = self.name(ARGUMENTS);
        let mut code = self.bound(&[arguments]);
        let mut calls = vec![Instruction::PushValue(Literal::Foreign(foreign)), Instruction::PushBinding(arguments)];
        if attributes.retry.is_some() {
            self.push_policy(attributes, &mut calls);
            calls.extend([self.push_name(RETRY_CALL), Instruction::Call(3)]);
            code.append(&mut calls);
        } else {
            let rest = [seconds(attributes.timeout_seconds), Literal::Boolean(false)].map(Instruction::PushValue);
            calls.extend(rest.into_iter().chain([self.push_name("%call"), Instruction::Call(4)]));
            self.push_in_place(attributes, &Literal::Foreign(foreign), calls, &mut code);
        }
        code.push(Instruction::Return);
        let wrapper = Function {
            parameters: vec![arguments],
            passing: Passing::AsList { most: import.arity },
            ..wrapping(import.name.text, import.span, attributes)
        };
        self.add_native(wrapper, code, Origin::default());
    }

    /// Surrounds calls with acquiring and releasing the limit and rate. `own` identifies those without a name.
    fn push_in_place(
        &mut self,
        attributes: &Attributes,
        own: &Literal,
        calls: Vec<Instruction>,
        code: &mut Vec<Instruction>,
    ) {
        let name = |name: &Option<String>| {
            let name = name.as_ref().map_or_else(|| own.clone(), |name| Literal::String(name.as_str().into()));
            Instruction::PushValue(name)
        };
        let place = self.name(PLACE);
        if let Some(limit) = &attributes.limit {
            code.extend([name(&limit.name), Instruction::PushValue(Literal::Integer(limit.count.into()))]);
            code.push(Instruction::PushValue(Literal::Null));
            code.extend([self.push_name("%take"), Instruction::Call(3), Instruction::Bind(place), Instruction::Pop]);
        }
        if let Some(rate) = &attributes.rate {
            let bound = [Literal::Integer(rate.count.into()), Literal::Float(rate.per_seconds)];
            code.extend([name(&rate.name)].into_iter().chain(bound.map(Instruction::PushValue)));
            code.push(Instruction::PushValue(Literal::Null));
            code.extend([self.push_name("%start"), Instruction::Call(4), Instruction::Pop]);
        }
        code.extend(calls);
        if let Some(limit) = &attributes.limit {
            code.extend([name(&limit.name), Instruction::PushBinding(place)]);
            code.extend([self.push_name("%give_back"), Instruction::Call(3)]);
        }
    }

    /// Pops the arguments of a call into parameters, the last one first.
    fn bound(&self, parameters: &[NameIndex]) -> Vec<Instruction> {
        parameters.iter().rev().flat_map(|name| [Instruction::Bind(*name), Instruction::Pop]).collect()
    }

    /// Pushes the policy for the prelude and returns the function that takes it. For a retry, the policy is a list of
    /// its arguments, the timeout and the gates; otherwise only of the last two.
    fn push_policy(&mut self, attributes: &Attributes, code: &mut Vec<Instruction>) -> &'static str {
        let timeout = seconds(attributes.timeout_seconds);
        let Some(retry) = &attributes.retry else {
            code.push(Instruction::PushValue(timeout));
            self.push_gates(attributes, code);
            code.extend([self.push_name("[]"), Instruction::Call(2)]);
            return WITHIN;
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
        self.push_gates(attributes, code);
        code.extend([self.push_name("[]"), Instruction::Call(10)]);
        RETRY
    }

    /// Pushes a list of the limit's name and count, the rate's name and count, and the rate's period; null if there is
    /// neither. A name of `true` means that of the function or import; missing values are null.
    fn push_gates(&mut self, attributes: &Attributes, code: &mut Vec<Instruction>) {
        if !has_gates(attributes) {
            code.push(Instruction::PushValue(Literal::Null));
            return;
        }
        let of = |bound: Option<(&Option<String>, u32)>| match bound {
            Some((name, count)) => {
                let name = name.as_ref().map_or(Literal::Boolean(true), |name| Literal::String(name.as_str().into()));
                [name, Literal::Integer(count.into())]
            }
            None => [Literal::Null, Literal::Null],
        };
        let limit = of(attributes.limit.as_ref().map(|limit| (&limit.name, limit.count)));
        let rate = of(attributes.rate.as_ref().map(|rate| (&rate.name, rate.count)));
        let per = seconds(attributes.rate.as_ref().map(|rate| rate.per_seconds));
        code.extend(limit.into_iter().chain(rate).chain([per]).map(Instruction::PushValue));
        code.extend([self.push_name("[]"), Instruction::Call(5)]);
    }

    fn push_names(&mut self, names: &[String], code: &mut Vec<Instruction>) {
        code.extend(names.iter().map(|name| Instruction::PushValue(Literal::String(name.as_str().into()))));
        code.extend([self.push_name("[]"), Instruction::Call(names.len() as u32)]);
    }

    /// Adds a function that is not in the program text.
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
