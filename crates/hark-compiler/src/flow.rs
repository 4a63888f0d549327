//! Which variables may be read before they are assigned. All jumps of generated code but the tail call of itself lead
//! forwards, so one pass in the order of the code sees every way.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use hark_bytecode::{Instruction, NameIndex, Span};

use crate::diagnostic::{Code, Diagnostic};

/// The names that are bound, as bits. Jumps share them, so that a chain of many conditions takes little memory.
type Bound = Rc<Vec<u64>>;

/// Warns of each name that the function binds and may read before.
pub(crate) fn find_unbound(code: &[Instruction], spans: &[Span], names: &[Arc<str>]) -> Vec<(Arc<str>, Diagnostic)> {
    let locals = number_locals(code);
    let mut at_target: HashMap<usize, Bound> = HashMap::new();
    let mut bound: Option<Bound> = Some(Rc::new(vec![0; locals.len().div_ceil(64)]));
    let mut found = Vec::new();
    let mut reported = HashSet::new();
    for (at, instruction) in code.iter().enumerate() {
        if let Some(other) = at_target.remove(&at) {
            bound = Some(match bound {
                Some(bound) => intersect(bound, &other),
                None => other,
            });
        }
        // Nothing comes here.
        let Some(now) = bound.as_mut() else { continue };
        match instruction {
            Instruction::Bind(name) => insert(now, locals[name]),
            Instruction::PushBinding(name) => {
                if let Some(&local) = locals.get(name)
                    && !contains(now, local)
                    && reported.insert(*name)
                {
                    let text = names[name.0 as usize].clone();
                    let message = format!("`{text}` may be read before it is assigned");
                    let hint = format!("assign `{text}` on every way that leads here");
                    let warning = Diagnostic::warning(Code::MaybeUnbound, message, spans[at]).with_hint(hint);
                    found.push((text, warning));
                }
            }
            Instruction::Jump(distance) => {
                let target = at as i64 + 1 + i64::from(*distance);
                if target > at as i64 {
                    meet(&mut at_target, target as usize, now);
                }
                bound = None;
            }
            Instruction::JumpIf(distance) | Instruction::And(distance) | Instruction::Or(distance) => {
                meet(&mut at_target, (at as i64 + 1 + i64::from(*distance)) as usize, now);
            }
            Instruction::Return => bound = None,
            _ => {}
        }
    }
    found
}

fn number_locals(code: &[Instruction]) -> HashMap<NameIndex, usize> {
    let mut locals = HashMap::new();
    for instruction in code {
        if let Instruction::Bind(name) = instruction {
            let next = locals.len();
            locals.entry(*name).or_insert(next);
        }
    }
    locals
}

fn meet(at_target: &mut HashMap<usize, Bound>, target: usize, bound: &Bound) {
    match at_target.remove(&target) {
        Some(other) => at_target.insert(target, intersect(other, bound)),
        None => at_target.insert(target, Rc::clone(bound)),
    };
}

fn intersect(mut left: Bound, right: &Bound) -> Bound {
    if !Rc::ptr_eq(&left, right) {
        Rc::make_mut(&mut left).iter_mut().zip(right.iter()).for_each(|(left, right)| *left &= right);
    }
    left
}

fn insert(bound: &mut Bound, local: usize) {
    if !contains(bound, local) {
        Rc::make_mut(bound)[local / 64] |= 1 << (local % 64);
    }
}

fn contains(bound: &Bound, local: usize) -> bool {
    bound[local / 64] & (1 << (local % 64)) != 0
}
