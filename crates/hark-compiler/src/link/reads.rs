//! What a function needs from outside itself.

use std::collections::HashSet;

use hark_bytecode::{Executable, FunctionIndex, Instruction, Literal, NameIndex};

use crate::flow;

/// The names that a function reads where it may not have bound them itself.
pub(super) fn global_reads(executable: &Executable, function: FunctionIndex) -> HashSet<NameIndex> {
    let function = &executable.functions[function.0 as usize];
    let range = function.start as usize..function.end as usize;
    let code = &executable.code[range.clone()];
    let bound: HashSet<NameIndex> = code.iter().filter_map(bound_name).collect();
    let read = code.iter().filter_map(|instruction| match instruction {
        Instruction::PushBinding(name) if !bound.contains(name) => Some(*name),
        _ => None,
    });
    let mut reads: HashSet<NameIndex> = read.collect();
    if !bound.is_empty() {
        let unbound = flow::find_unbound(code, &executable.spans[range], &executable.names);
        reads.extend(unbound.into_iter().map(|(name, _)| name));
    }
    reads
}

fn bound_name(instruction: &Instruction) -> Option<NameIndex> {
    match instruction {
        Instruction::Bind(name) => Some(*name),
        _ => None,
    }
}

/// The lambdas that a function makes.
pub(super) fn lambdas(executable: &Executable, function: FunctionIndex) -> Vec<FunctionIndex> {
    let function = &executable.functions[function.0 as usize];
    let code = &executable.code[function.start as usize..function.end as usize];
    let made = code.iter().filter_map(|instruction| match instruction {
        Instruction::PushValue(Literal::Function(index)) => Some(*index),
        _ => None,
    });
    made.collect()
}
