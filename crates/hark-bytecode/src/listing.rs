//! The listing: an executable in readable form, as printed by `hark asm`.

use std::fmt;

use crate::literal::{float_text, string_text};
use crate::{Binding, Executable, Function, FunctionIndex, Handler, Instruction, Literal};

/// Displays an executable's code and bindings.
pub struct Listing<'a>(pub &'a Executable);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let executable = self.0;
        writeln!(formatter, "BYTECODE:")?;
        writeln!(formatter, " /")?;
        for (index, function) in executable.functions.iter().enumerate() {
            writeln!(formatter, " | ;; {}:", function.label(FunctionIndex(index as u32)))?;
            for line in function.notes(executable) {
                writeln!(formatter, " | ;;   {line}")?;
            }
            for at in function.start..function.end {
                let (mnemonic, operand) = executable.code[at as usize].assembly(executable);
                let line = format!(" | {at:4} | {mnemonic:<8} {operand}");
                writeln!(formatter, "{}", line.trim_end())?;
            }
        }
        writeln!(formatter, " \\")?;
        writeln!(formatter)?;
        writeln!(formatter, "BINDINGS:")?;
        writeln!(formatter)?;
        self.bindings(formatter)
    }
}

impl Listing<'_> {
    /// Leader dots connect names and values; the column is as wide as the longest name or the heading.
    fn bindings(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let executable = self.0;
        let names = executable.bindings.iter().map(|(name, _)| executable.name(*name));
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0).max("NAME".len()) + 4;
        writeln!(formatter, " {:<width$} VALUE", "NAME")?;
        for (name, binding) in &executable.bindings {
            let name = executable.name(*name);
            let dots = ".".repeat(width - 1 - name.chars().count());
            writeln!(formatter, " {name} {dots} {}", executable.binding_text(*binding))?;
        }
        Ok(())
    }
}

impl Function {
    /// The lines above a function's code: its captures and handlers.
    fn notes(&self, executable: &Executable) -> Vec<String> {
        let captures = self.captures.iter().map(|capture| {
            format!(
                "captures {}{}",
                executable.name(capture.name),
                if capture.is_certain { "" } else { ", if it is bound" }
            )
        });
        let handlers = self.handlers.iter().map(|Handler { start, end, target, height }| {
            format!("try {start} to {}, catch {target}, height {height}", end - 1)
        });
        captures.chain(handlers).collect()
    }

    /// The function's label in the listing: `#1:bar`, or `#F:foo` for an import.
    pub fn label(&self, index: FunctionIndex) -> String {
        match self.foreign {
            Some(_) => format!("#F:{}", self.name),
            None => format!("#{}:{}", index.0, self.name),
        }
    }
}

impl Executable {
    /// The text of a binding in the listing.
    pub fn binding_text(&self, binding: Binding) -> String {
        match binding {
            Binding::Function(index) => self.function_text(index),
            Binding::Builtin(builtin) => format!("<BuiltinPtr {}>", builtin.name()),
            Binding::Foreign(index) => {
                let foreign = &self.foreign[index.0 as usize];
                format!("<ForeignPtr {}.{}>", foreign.module, foreign.function)
            }
        }
    }

    fn function_text(&self, index: FunctionIndex) -> String {
        format!("<FunctionPtr {}>", self.functions[index.0 as usize].label(index))
    }
}

impl Instruction {
    /// The instruction's mnemonic and its operand as text; the operand may be empty.
    pub fn assembly(&self, executable: &Executable) -> (&'static str, String) {
        match self {
            Instruction::PushValue(literal) => ("PUSHV", literal_text(literal, executable)),
            Instruction::PushBinding(name) => ("PUSHB", executable.name(*name).to_owned()),
            Instruction::Bind(name) => ("BIND", executable.name(*name).to_owned()),
            Instruction::Pop => ("POP", String::new()),
            Instruction::Call(count) => ("CALL", count.to_string()),
            Instruction::AsyncCall(count) => ("ACALL", count.to_string()),
            Instruction::Wait => ("WAIT", "0".to_owned()),
            Instruction::Jump(distance) => ("JUMP", distance.to_string()),
            Instruction::JumpIf(distance) => ("JUMPIF", distance.to_string()),
            Instruction::And(distance) => ("AND", distance.to_string()),
            Instruction::Or(distance) => ("OR", distance.to_string()),
            Instruction::Close(function) => ("CLOSE", executable.function_text(*function)),
            Instruction::Unpack(pattern) => ("UNPACK", pattern.to_string()),
            Instruction::Return => ("RETURN", String::new()),
        }
    }
}

fn literal_text(literal: &Literal, executable: &Executable) -> String {
    match literal {
        Literal::Null => "null".to_owned(),
        Literal::Boolean(value) => value.to_string(),
        Literal::Integer(value) => value.to_string(),
        Literal::BigInteger(value) => value.to_string(),
        Literal::Float(value) => float_text(*value),
        Literal::String(value) => string_text(value),
        Literal::Function(index) => executable.function_text(*index),
        Literal::Foreign(index) => executable.binding_text(Binding::Foreign(*index)),
    }
}
