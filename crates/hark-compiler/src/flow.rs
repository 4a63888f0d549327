//! Which variables may be read before they are assigned. All jumps of generated code but the tail call of itself lead
//! forwards, so one pass in the order of the code sees every way.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hark_bytecode::{Instruction, LocalSet, NameIndex, Span};

use crate::diagnostic::{Code, Diagnostic};

/// Warns of each name that the function binds and may read before.
pub(crate) fn find_unbound(code: &[Instruction], spans: &[Span], names: &[Arc<str>]) -> Vec<(NameIndex, Diagnostic)> {
    let locals = number_locals(code);
    let mut at_target: HashMap<usize, LocalSet> = HashMap::new();
    let mut bound = Some(LocalSet::empty(locals.len()));
    let mut found = Vec::new();
    let mut reported = HashSet::new();
    for (at, instruction) in code.iter().enumerate() {
        if let Some(other) = at_target.remove(&at) {
            match &mut bound {
                Some(bound) => bound.intersect(&other),
                None => bound = Some(other),
            }
        }
        // Nothing comes here.
        let Some(now) = bound.as_mut() else { continue };
        match instruction {
            Instruction::Bind(name) => now.insert(locals[name]),
            Instruction::PushBinding(name) => {
                if let Some(&local) = locals.get(name)
                    && !now.contains(local)
                    && reported.insert(*name)
                {
                    let text = &names[name.0 as usize];
                    let message = format!("`{text}` may be read before it is assigned");
                    let hint = format!("assign `{text}` on every way that leads here");
                    let warning = Diagnostic::warning(Code::MaybeUnbound, message, spans[at]).with_hint(hint);
                    found.push((*name, warning));
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

fn number_locals(code: &[Instruction]) -> HashMap<NameIndex, u32> {
    let mut locals = HashMap::new();
    for instruction in code {
        if let Instruction::Bind(name) = instruction {
            let next = locals.len() as u32;
            locals.entry(*name).or_insert(next);
        }
    }
    locals
}

fn meet(at_target: &mut HashMap<usize, LocalSet>, target: usize, bound: &LocalSet) {
    at_target.entry(target).and_modify(|known| known.intersect(bound)).or_insert_with(|| bound.clone());
}
