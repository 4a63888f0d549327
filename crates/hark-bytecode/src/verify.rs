//! Checks that an executable is well-formed, whatever its origin. Machines rely on these checks.

use crate::{
    Binding, Executable, ExecutableError, FOREIGN_ARITY_MAX, Function, HandlerIndex, Instruction, Literal, Passing,
};

impl Executable {
    /// Checks every index, jump and stack height.
    ///
    /// # Errors
    /// If anything points outside, a function does not end in `RETURN` or `JUMP`, or stack heights disagree where paths
    /// meet.
    pub fn verify(&self) -> Result<(), ExecutableError> {
        let bad = |what: String| Err(ExecutableError(what));
        if self.spans.len() != self.code.len() {
            return bad("spans and instructions differ in number".into());
        }
        for (name, binding) in &self.bindings {
            let inside = match binding {
                Binding::Function(function) => {
                    let bound = self.functions.get(function.0 as usize);
                    bound.is_some_and(|function| function.captures.is_empty())
                }
                Binding::Foreign(foreign) => (foreign.0 as usize) < self.foreign.len(),
                Binding::Builtin(_) => true,
            };
            if !inside || name.0 as usize >= self.names.len() {
                return bad("a binding points outside".into());
            }
        }
        if let Some(foreign) = self.foreign.iter().find(|foreign| foreign.arity > FOREIGN_ARITY_MAX) {
            return bad(format!("import {} takes too many arguments", foreign.name));
        }
        let mut next = 0;
        for function in &self.functions {
            if function.start != next || function.end <= function.start || function.end as usize > self.code.len() {
                return bad(format!("function {} has an invalid range in the code", function.name));
            }
            next = function.end;
            let captured = function.captures.iter().map(|capture| &capture.name);
            if function.foreign.is_some_and(|foreign| foreign.0 as usize >= self.foreign.len())
                || function.parameters.iter().chain(captured).any(|name| name.0 as usize >= self.names.len())
            {
                return bad(format!("function {} points outside", function.name));
            }
            let is_wrapper = matches!(function.passing, Passing::AsList { .. });
            if is_wrapper
                && !(function.parameters.len() == 1 && function.captures.is_empty() && function.foreign.is_none())
                || matches!(function.passing, Passing::AsList { most } if most > FOREIGN_ARITY_MAX)
            {
                return bad(format!("function {} does not take one list", function.name));
            }
            if function.foreign.is_some() && !(function.captures.is_empty() && function.handlers.is_empty()) {
                return bad(format!("import {} captures or handles something", function.name));
            }
            for at in function.start..function.end {
                self.verify_operands(function, at)?;
            }
            self.verify_heights(function, &HandlerIndex::new(function)?)?;
        }
        if next as usize != self.code.len() {
            return bad("code outside of every function".into());
        }
        Ok(())
    }

    /// Checks the operands of an instruction, whether it is reachable or not.
    fn verify_operands(&self, function: &Function, at: u32) -> Result<(), ExecutableError> {
        let bad = |what: &str| Err(ExecutableError(format!("instruction {at}: {what}")));
        match &self.code[at as usize] {
            Instruction::PushValue(Literal::Function(index)) | Instruction::Close(index)
                if index.0 as usize >= self.functions.len() =>
            {
                bad("no such function")
            }
            Instruction::PushValue(Literal::Function(index))
                if !self.functions[index.0 as usize].captures.is_empty() =>
            {
                bad("a function with captures cannot be a literal")
            }
            Instruction::PushValue(Literal::Foreign(index)) if index.0 as usize >= self.foreign.len() => {
                bad("no such import")
            }
            Instruction::PushBinding(name) | Instruction::Bind(name) if name.0 as usize >= self.names.len() => {
                bad("no such name")
            }
            Instruction::Jump(distance)
            | Instruction::JumpIf(distance)
            | Instruction::And(distance)
            | Instruction::Or(distance)
                if !(i64::from(function.start)..i64::from(function.end)).contains(&target(at, *distance)) =>
            {
                bad("a jump leads out of its function")
            }
            _ => Ok(()),
        }
    }

    /// Follows every path through a function and checks the stack height at each instruction.
    fn verify_heights(&self, function: &Function, handlers: &HandlerIndex) -> Result<(), ExecutableError> {
        let bad = |at: u32, what: &str| Err(ExecutableError(format!("instruction {at}: {what}")));
        let (start, end) = (function.start, function.end);
        let mut heights: Vec<Option<u32>> = vec![None; (end - start) as usize];
        let entry =
            if function.foreign.is_some() { self.foreign_arity(function) } else { function.parameters.len() as u32 };
        let mut reached = vec![false; function.handlers.len()];
        let mut open = vec![(start, entry)];
        while let Some((at, height)) = open.pop() {
            if at >= end {
                return bad(at, "a path leaves its function");
            }
            let known = &mut heights[(at - start) as usize];
            match known {
                Some(known) if *known == height => continue,
                Some(_) => return bad(at, "paths meet with stacks of different heights"),
                None => *known = Some(height),
            }
            for index in handlers.around(at) {
                let handler = &function.handlers[index];
                if height < handler.height {
                    return bad(at, "the stack is too low for its handler");
                }
                if std::mem::replace(&mut reached[index], true) {
                    // The outer handlers were checked with it: they keep no more of the stack.
                    break;
                }
                open.push((handler.target, handler.height + 1));
            }
            let need = |count: u32| if height < count { bad(at, "the stack is too low") } else { Ok(()) };
            // Inside the function, as checked above.
            let target = |distance: i32| target(at, distance) as u32;
            match &self.code[at as usize] {
                Instruction::PushValue(_) | Instruction::PushBinding(_) | Instruction::Close(_) => {
                    open.push((at + 1, height + 1));
                }
                Instruction::Unpack(pattern) => {
                    need(1)?;
                    let names = u32::try_from(pattern.names()).ok();
                    let Some(after) = names.and_then(|names| height.checked_add(names)) else {
                        return bad(at, "the stack is too high");
                    };
                    open.push((at + 1, after));
                }
                Instruction::Bind(_) => {
                    need(1)?;
                    open.push((at + 1, height));
                }
                Instruction::Pop => {
                    need(1)?;
                    open.push((at + 1, height - 1));
                }
                Instruction::Call(count) | Instruction::AsyncCall(count) => {
                    let Some(operands) = count.checked_add(1) else { return bad(at, "too many arguments") };
                    need(operands)?;
                    open.push((at + 1, height - count));
                }
                Instruction::Wait => {
                    need(1)?;
                    open.push((at + 1, height));
                }
                Instruction::Jump(distance) => open.push((target(*distance), height)),
                Instruction::JumpIf(distance) => {
                    need(1)?;
                    open.push((target(*distance), height - 1));
                    open.push((at + 1, height - 1));
                }
                Instruction::And(distance) | Instruction::Or(distance) => {
                    need(1)?;
                    open.push((target(*distance), height));
                    open.push((at + 1, height - 1));
                }
                Instruction::Return => {
                    if height != 1 {
                        return bad(at, "a return needs exactly one value");
                    }
                }
            }
        }
        Ok(())
    }

    fn foreign_arity(&self, function: &Function) -> u32 {
        function.foreign.map_or(0, |foreign| self.foreign[foreign.0 as usize].arity)
    }
}

/// The target of a jump: distances count from the next instruction.
fn target(at: u32, distance: i32) -> i64 {
    i64::from(at) + 1 + i64::from(distance)
}
