//! The captures of lambdas, and warnings about names that may be read before they are bound.
//!
//! A lambda captures the names that it may read before it binds them itself, provided that an enclosing function binds
//! them. Lambdas in between capture them as well, to pass them on. So captures are found from the innermost lambda
//! outward, and whether they are certain to be bound from the outermost function inward.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use hark_bytecode::{Capture, Executable, FunctionIndex, Instruction, Literal, NameIndex, Span};

use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::flow::{Locals, follow};
use crate::globals::Globals;
use crate::limits::CAPTURES_MAX;

/// Information about a function that its code does not contain.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin {
    pub is_lambda: bool,
    /// The variable to which a lambda is assigned where it is made.
    pub variable: Option<NameIndex>,
    /// Whether part of it could not be parsed.
    pub is_damaged: bool,
}

/// Turns lambdas with captures into closures: their `PUSHV` becomes `CLOSE`. `origins` has an entry for each function;
/// a lambda comes after the function that makes it.
pub(crate) fn close(
    executable: &mut Executable,
    origins: &[Origin],
    globals: &Globals<'_>,
    diagnostics: &mut Diagnostics,
) {
    let has_lambdas = origins.iter().any(|origin| origin.is_lambda);
    if has_lambdas && find_captures(executable, origins).is_err() {
        let message = format!("the lambdas of this program capture more than {CAPTURES_MAX} names altogether");
        let span = executable.functions.last().map_or(Span::default(), |function| function.span);
        let large = Diagnostic::error(Code::TooLarge, message, span);
        diagnostics.push(large.with_hint("nest fewer lambdas, or pass them values as arguments"));
        return;
    }
    for (index, origin) in origins.iter().enumerate() {
        let unbound = find_unbound(executable, index);
        if !origin.is_damaged {
            for (name, span) in unbound {
                let is_known = globals.knows(executable.name(name));
                if is_known && origin.variable == Some(name) {
                    diagnostics.push(warning_of_another(executable.name(name), span));
                } else if !is_known {
                    diagnostics.push(warning(executable, index, *origin, name, span));
                }
            }
        }
    }
    let functions = &executable.functions;
    for instruction in &mut executable.code {
        if let Some(index) = lambda(instruction).filter(|index| !functions[index.0 as usize].captures.is_empty()) {
            *instruction = Instruction::Close(index);
        }
    }
}

/// The lambda made by an instruction, if any.
fn lambda(instruction: &Instruction) -> Option<FunctionIndex> {
    match instruction {
        Instruction::PushValue(Literal::Function(index)) => Some(*index),
        _ => None,
    }
}

/// The program exceeds the limit on captures.
struct TooMany;

/// A function whose lambdas are being visited.
struct Visit {
    index: usize,
    locals: Locals,
    /// The instructions not yet searched for lambdas.
    rest: Range<usize>,
}

/// Fills in the captures of all lambdas, marked as certain.
fn find_captures(executable: &mut Executable, origins: &[Origin]) -> Result<(), TooMany> {
    let mut total = 0;
    // The number of functions being visited that may bind a name.
    let mut binders: HashMap<NameIndex, usize> = HashMap::new();
    for index in (0..origins.len()).filter(|index| !origins[*index].is_lambda) {
        let mut visits = vec![Visit::begin(executable, index, &mut binders)];
        while let Some(visit) = visits.last_mut() {
            if let Some(inner) = visit.rest.find_map(|at| lambda(&executable.code[at])) {
                visits.push(Visit::begin(executable, inner.0 as usize, &mut binders));
                continue;
            }
            let Some(visit) = visits.pop() else { break };
            for name in visit.locals.names() {
                binders.entry(name).and_modify(|count| *count -= 1);
            }
            if !visits.is_empty() {
                let captures = visit.captures(executable, |name| binders.get(&name).is_some_and(|count| *count > 0));
                total += captures.len();
                if total > CAPTURES_MAX {
                    return Err(TooMany);
                }
                executable.functions[visit.index].captures = captures;
            }
        }
    }
    Ok(())
}

impl Visit {
    fn begin(executable: &Executable, index: usize, binders: &mut HashMap<NameIndex, usize>) -> Visit {
        let function = &executable.functions[index];
        let rest = function.start as usize..function.end as usize;
        let locals = Locals::of(&executable.code[rest.clone()], []);
        for name in locals.names() {
            *binders.entry(name).or_default() += 1;
        }
        Visit { index, locals, rest }
    }

    /// The captures of a lambda, given those of the lambdas in it.
    fn captures(&self, executable: &Executable, is_bound_around: impl Fn(NameIndex) -> bool) -> Vec<Capture> {
        let mut captures = Vec::new();
        let mut seen = HashSet::new();
        let function = &executable.functions[self.index];
        follow(&executable.code, function, &self.locals, self.locals.set([]), |_, instruction, bound| {
            let mut read = |name: NameIndex| {
                if !self.locals.is_bound(name, bound) && is_bound_around(name) && seen.insert(name) {
                    captures.push(Capture { name, is_certain: true });
                }
            };
            if let Instruction::PushBinding(name) = instruction {
                read(*name);
            } else if let Some(inner) = lambda(instruction) {
                executable.functions[inner.0 as usize].captures.iter().for_each(|capture| read(capture.name));
            }
        });
        captures
    }
}

/// Finds the first read of each name that may be unbound there, and marks the captures that may be unbound when a
/// lambda is made as uncertain.
fn find_unbound(executable: &mut Executable, index: usize) -> Vec<(NameIndex, Span)> {
    let function = &executable.functions[index];
    let code = &executable.code[function.start as usize..function.end as usize];
    let locals = Locals::of(code, function.captures.iter().map(|capture| capture.name));
    let certain = function.captures.iter().filter(|capture| capture.is_certain).map(|capture| capture.name);
    let (mut unbound, mut uncertain) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    follow(&executable.code, function, &locals, locals.set(certain), |at, instruction, bound| {
        if let Instruction::PushBinding(name) = instruction {
            if locals.contains(*name) && !locals.is_bound(*name, bound) && seen.insert(*name) {
                unbound.push((*name, executable.spans[at]));
            }
        } else if let Some(inner) = lambda(instruction) {
            let captures = executable.functions[inner.0 as usize].captures.iter().enumerate();
            let missing = captures.filter(|(_, capture)| !locals.is_bound(capture.name, bound));
            uncertain.extend(missing.map(|(capture, _)| (inner, capture)));
        }
    });
    for (inner, capture) in uncertain {
        executable.functions[inner.0 as usize].captures[capture].is_certain = false;
    }
    unbound
}

/// The warning about a lambda that seems to call itself but calls the program's or the language's function of that
/// name.
fn warning_of_another(name: &str, span: Span) -> Diagnostic {
    let message = format!("a lambda cannot call itself by its variable `{name}`: use `fn`");
    let hint = format!(
        "this `{name}` is the function of the program or the language: define an `fn` with another name at the top level"
    );
    Diagnostic::warning(Code::NotCaptured, message, span).with_hint(hint)
}

fn warning(executable: &Executable, index: usize, origin: Origin, name: NameIndex, span: Span) -> Diagnostic {
    let is_captured = executable.functions[index].captures.iter().any(|capture| capture.name == name);
    let text = executable.name(name);
    if is_captured && origin.variable == Some(name) {
        let message = format!("a lambda cannot call itself by its variable `{text}`: use `fn`");
        let hint = format!(
            "define `fn {text}` at the top level; a lambda captures only values that are bound before it is made"
        );
        return Diagnostic::warning(Code::NotCaptured, message, span).with_hint(hint);
    }
    if is_captured {
        let message = format!("`{text}` may not be bound yet when this lambda is made");
        let hint = format!("assign `{text}` before the lambda, which captures the values of names when it is made");
        return Diagnostic::warning(Code::NotCaptured, message, span).with_hint(hint);
    }
    let message = format!("`{text}` may be read before it is assigned");
    let hint = format!("assign `{text}` on every path that leads here");
    Diagnostic::warning(Code::MaybeUnbound, message, span).with_hint(hint)
}
