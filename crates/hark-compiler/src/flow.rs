//! Data flow: which names are bound at each instruction of a function on every path. All jumps of generated code lead
//! forward, except for a self tail call, and a handler's range is entered only at its start. So one pass in code order
//! sees every path.

use std::collections::HashMap;

use hark_bytecode::{Function, Handler, Instruction, LocalSet, NameIndex};

/// The names that a function may bind, numbered.
pub(crate) struct Locals(HashMap<NameIndex, u32>);

impl Locals {
    /// The names bound by this code, and those bound before it begins.
    pub fn of(code: &[Instruction], before: impl IntoIterator<Item = NameIndex>) -> Locals {
        let mut locals = Locals(HashMap::new());
        before.into_iter().for_each(|name| locals.add(name));
        for instruction in code {
            if let Instruction::Bind(name) = instruction {
                locals.add(*name);
            }
        }
        locals
    }

    fn add(&mut self, name: NameIndex) {
        let next = self.0.len() as u32;
        self.0.entry(name).or_insert(next);
    }

    /// All names, in unspecified order.
    pub fn names(&self) -> impl Iterator<Item = NameIndex> {
        self.0.keys().copied()
    }

    /// Whether the function may bind the name.
    pub fn contains(&self, name: NameIndex) -> bool {
        self.0.contains_key(&name)
    }

    /// Whether the name is definitely bound.
    pub fn is_bound(&self, name: NameIndex, bound: &LocalSet) -> bool {
        self.0.get(&name).is_some_and(|local| bound.contains(*local))
    }

    /// The set of these names.
    pub fn set(&self, names: impl IntoIterator<Item = NameIndex>) -> LocalSet {
        let mut set = LocalSet::empty(self.0.len());
        names.into_iter().filter_map(|name| self.0.get(&name)).for_each(|local| set.insert(*local));
        set
    }
}

/// Calls `see` for each reachable instruction of a function, with its index in `code` and the names bound before it.
/// The code is the whole program's; `bound` are the names bound at the function's start.
pub(crate) fn follow(
    code: &[Instruction],
    function: &Function,
    locals: &Locals,
    bound: LocalSet,
    mut see: impl FnMut(usize, &Instruction, &LocalSet),
) {
    let mut at_target: HashMap<usize, LocalSet> = HashMap::new();
    let mut bound = Some(bound);
    let mut handlers = Handlers::of(function);
    let body = function.start as usize..function.end as usize;
    for (at, instruction) in body.clone().zip(&code[body]) {
        if let Some(other) = at_target.remove(&at) {
            match &mut bound {
                Some(bound) => bound.intersect(&other),
                None => bound = Some(other),
            }
        }
        // Unreachable.
        let Some(now) = bound.as_mut() else { continue };
        see(at, instruction, now);
        for target in handlers.entered_at(at, instruction) {
            meet(&mut at_target, target, now);
        }
        let target = |distance: i32| (at as i64 + 1 + i64::from(distance)) as usize;
        match instruction {
            Instruction::Bind(name) => now.insert(locals.0[name]),
            Instruction::Jump(distance) => {
                if target(*distance) > at {
                    meet(&mut at_target, target(*distance), now);
                }
                bound = None;
            }
            Instruction::JumpIf(distance) | Instruction::And(distance) | Instruction::Or(distance) => {
                meet(&mut at_target, target(*distance), now);
            }
            Instruction::Return => bound = None,
            _ => {}
        }
    }
}

fn meet(at_target: &mut HashMap<usize, LocalSet>, target: usize, bound: &LocalSet) {
    at_target.entry(target).and_modify(|known| known.intersect(bound)).or_insert_with(|| bound.clone());
}

/// The handlers of a function, while its code is traversed.
struct Handlers {
    /// Handlers whose ranges begin later, the next one last.
    ahead: Vec<Handler>,
    /// Handlers in whose ranges no instruction can have failed yet.
    unreached: Vec<Handler>,
}

impl Handlers {
    fn of(function: &Function) -> Handlers {
        let mut ahead = function.handlers.clone();
        ahead.sort_by_key(|handler| std::cmp::Reverse(handler.start));
        Handlers { ahead, unreached: Vec::new() }
    }

    /// The targets of the handlers for which this instruction is the first that can fail. Later instructions of the
    /// ranges have at least the same names bound, so this one is decisive. A jump counts as well, because the first
    /// instruction to fail may lie on either side of it.
    fn entered_at(&mut self, at: usize, instruction: &Instruction) -> impl Iterator<Item = usize> {
        while let Some(next) = self.ahead.pop_if(|handler| handler.start as usize <= at) {
            self.unreached.push(next);
        }
        let leads_on = !matches!(
            instruction,
            Instruction::PushValue(_) | Instruction::Bind(_) | Instruction::Pop | Instruction::Return
        );
        let entered = if leads_on { std::mem::take(&mut self.unreached) } else { Vec::new() };
        entered.into_iter().filter(move |handler| at < handler.end as usize).map(|handler| handler.target as usize)
    }
}
