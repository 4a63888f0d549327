//! The dependencies of a function.

use std::collections::HashSet;

use hark_bytecode::{Executable, FunctionIndex, Instruction, Literal, NameIndex};

use crate::flow::{Locals, follow};

/// The global names that a function may read, because it may not have bound them itself.
pub(super) fn global_reads(executable: &Executable, function: FunctionIndex) -> HashSet<NameIndex> {
    let function = &executable.functions[function.0 as usize];
    let code = &executable.code[function.start as usize..function.end as usize];
    let locals = Locals::of(code, function.captures.iter().map(|capture| capture.name));
    let certain = function.captures.iter().filter(|capture| capture.is_certain).map(|capture| capture.name);
    let mut reads = HashSet::new();
    follow(&executable.code, function, &locals, locals.set(certain), |_, instruction, bound| {
        if let Instruction::PushBinding(name) = instruction
            && !locals.is_bound(*name, bound)
        {
            reads.insert(*name);
        }
    });
    reads
}

/// The lambdas that a function makes.
pub(super) fn lambdas(executable: &Executable, function: FunctionIndex) -> Vec<FunctionIndex> {
    let function = &executable.functions[function.0 as usize];
    let code = &executable.code[function.start as usize..function.end as usize];
    let made = code.iter().filter_map(|instruction| match instruction {
        Instruction::PushValue(Literal::Function(index)) | Instruction::Close(index) => Some(*index),
        _ => None,
    });
    made.collect()
}
