//! The encoding of instructions and literals.

use std::sync::Arc;

use num_bigint::BigInt;

use crate::wire::{Reader, WireError, Writer};
use crate::{ForeignIndex, FunctionIndex, Instruction, Literal, NameIndex, Pattern, PatternPart};

pub(super) fn write_instruction(writer: &mut Writer, instruction: &Instruction) {
    match instruction {
        Instruction::PushValue(literal) => {
            writer.byte(0);
            write_literal(writer, literal);
        }
        Instruction::PushBinding(name) => {
            writer.byte(1);
            writer.unsigned(name.0.into());
        }
        Instruction::Bind(name) => {
            writer.byte(2);
            writer.unsigned(name.0.into());
        }
        Instruction::Pop => writer.byte(3),
        Instruction::Call(count) => {
            writer.byte(4);
            writer.unsigned((*count).into());
        }
        Instruction::AsyncCall(count) => {
            writer.byte(5);
            writer.unsigned((*count).into());
        }
        Instruction::Wait => writer.byte(6),
        Instruction::Jump(distance) => {
            writer.byte(7);
            writer.signed((*distance).into());
        }
        Instruction::JumpIf(distance) => {
            writer.byte(8);
            writer.signed((*distance).into());
        }
        Instruction::And(distance) => {
            writer.byte(9);
            writer.signed((*distance).into());
        }
        Instruction::Or(distance) => {
            writer.byte(10);
            writer.signed((*distance).into());
        }
        Instruction::Return => writer.byte(11),
        Instruction::Close(function) => {
            writer.byte(12);
            writer.unsigned(function.0.into());
        }
        Instruction::Unpack(pattern) => {
            writer.byte(13);
            write_pattern(writer, pattern);
        }
    }
}

pub(super) fn read_instruction(reader: &mut Reader<'_>) -> Result<Instruction, WireError> {
    Ok(match reader.byte()? {
        0 => Instruction::PushValue(read_literal(reader)?),
        1 => Instruction::PushBinding(NameIndex(reader.unsigned32()?)),
        2 => Instruction::Bind(NameIndex(reader.unsigned32()?)),
        3 => Instruction::Pop,
        4 => Instruction::Call(reader.unsigned32()?),
        5 => Instruction::AsyncCall(reader.unsigned32()?),
        6 => Instruction::Wait,
        7 => Instruction::Jump(reader.signed32()?),
        8 => Instruction::JumpIf(reader.signed32()?),
        9 => Instruction::And(reader.signed32()?),
        10 => Instruction::Or(reader.signed32()?),
        11 => Instruction::Return,
        12 => Instruction::Close(FunctionIndex(reader.unsigned32()?)),
        13 => Instruction::Unpack(Arc::new(read_pattern(reader)?)),
        _ => return Err(reader.invalid("an instruction")),
    })
}

fn write_pattern(writer: &mut Writer, pattern: &Pattern) {
    writer.unsigned(pattern.parts().len() as u64);
    for part in pattern.parts() {
        match part {
            PatternPart::Any => writer.unsigned(0),
            PatternPart::Name => writer.unsigned(1),
            PatternPart::List(length) => writer.unsigned(u64::from(*length) + 2),
        }
    }
}

fn read_pattern(reader: &mut Reader<'_>) -> Result<Pattern, WireError> {
    let mut parts = Vec::new();
    for _ in 0..reader.count()? {
        parts.push(match reader.unsigned()? {
            0 => PatternPart::Any,
            1 => PatternPart::Name,
            other => match u32::try_from(other - 2) {
                Ok(length) => PatternPart::List(length),
                Err(_) => return Err(reader.invalid("a pattern")),
            },
        });
    }
    Pattern::new(parts).map_err(|_| reader.invalid("a pattern"))
}

fn write_literal(writer: &mut Writer, literal: &Literal) {
    match literal {
        Literal::Null => writer.byte(0),
        Literal::Boolean(false) => writer.byte(1),
        Literal::Boolean(true) => writer.byte(2),
        Literal::Integer(value) => {
            writer.byte(3);
            writer.signed(*value);
        }
        Literal::BigInteger(value) => {
            writer.byte(4);
            writer.bytes(&value.to_signed_bytes_le());
        }
        Literal::Float(value) => {
            writer.byte(5);
            writer.float(*value);
        }
        Literal::String(value) => {
            writer.byte(6);
            writer.string(value);
        }
        Literal::Function(function) => {
            writer.byte(7);
            writer.unsigned(function.0.into());
        }
        Literal::Foreign(foreign) => {
            writer.byte(8);
            writer.unsigned(foreign.0.into());
        }
    }
}

fn read_literal(reader: &mut Reader<'_>) -> Result<Literal, WireError> {
    Ok(match reader.byte()? {
        0 => Literal::Null,
        1 => Literal::Boolean(false),
        2 => Literal::Boolean(true),
        3 => Literal::Integer(reader.signed()?),
        4 => {
            let value = BigInt::from_signed_bytes_le(reader.bytes()?);
            if i64::try_from(&value).is_ok() {
                return Err(reader.invalid("an integer"));
            }
            Literal::BigInteger(Arc::new(value))
        }
        5 => Literal::Float(reader.float()?),
        6 => Literal::String(reader.string()?.into()),
        7 => Literal::Function(FunctionIndex(reader.unsigned32()?)),
        8 => Literal::Foreign(ForeignIndex(reader.unsigned32()?)),
        _ => return Err(reader.invalid("a literal")),
    })
}
