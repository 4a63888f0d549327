//! The slow paths of operations. Operands that die are cleared last, when nothing can fail any more.

use std::cmp::Ordering;

use hark_bytecode::{Executable, Instruction, Operator, shortened};

use super::execute::second_dies;
use crate::builtin;
use crate::closure::ClosureBody;
use crate::compare;
use crate::error::Error;
use crate::join;
use crate::number::{self, article};
use crate::pattern;
use crate::program::operation::{CONSUME_FIRST, Register};
use crate::program::{Captured, CloseSite, Code};
use crate::registers::{Cursor, Window};
use crate::value::Value;
use triomphe::Arc;

/// The location of an operand.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Register(Register),
    Constant(&'a Value),
    Integer(i32),
}

type Result<T> = std::result::Result<T, Error>;

impl Source<'_> {
    /// A copy, which costs at most a reference count.
    fn value(self, window: &Window) -> Value {
        match self {
            Source::Register(register) => window.get(register).clone(),
            Source::Constant(value) => value.clone(),
            Source::Integer(value) => Value::Integer(i64::from(value)),
        }
    }

    fn register(self) -> Option<Register> {
        match self {
            Source::Register(register) => Some(register),
            _ => None,
        }
    }

    fn clear(self, window: &mut Window) {
        if let Source::Register(register) = self {
            window.clear(register);
        }
    }
}

fn first_dies(consume: u8) -> bool {
    consume & CONSUME_FIRST != 0
}

fn clear_dead(window: &mut Window, consume: u8, left: Source<'_>, right: Source<'_>) {
    if first_dies(consume) {
        left.clear(window);
    }
    if second_dies(consume) {
        right.clear(window);
    }
}

/// An arithmetic operator, in the cases that its operation does not handle.
#[inline(never)]
pub(super) fn binary(
    mut window: Window,
    operator: Operator,
    consume: u8,
    to: Register,
    left: Source<'_>,
    right: Source<'_>,
) -> Result<()> {
    let result = if operator == Operator::Add
        && let (Some(left_register), Some(right_register)) = (left.register(), right.register())
        && join::can_join(window.get(left_register), window.get(right_register))
    {
        join::check("+", window.get(left_register), window.get(right_register))?;
        let is_twice = left_register == right_register;
        let front = taken(&mut window, left, first_dies(consume) && !is_twice);
        let back = taken(&mut window, right, second_dies(consume) && !is_twice);
        join::join(front, back)
    } else {
        number::arithmetic(operator, &left.value(&window), &right.value(&window))?
    };
    clear_dead(&mut window, consume, left, right);
    window.set(to, result);
    Ok(())
}

/// `+` on values, which it consumes.
pub(super) fn add(left: &mut Value, right: &mut Value) -> Result<Value> {
    if !join::can_join(left, right) {
        return number::arithmetic(Operator::Add, left, right);
    }
    join::check("+", left, right)?;
    Ok(join::join(std::mem::take(left), std::mem::take(right)))
}

/// The operand itself if it dies here, else a copy.
fn taken(window: &mut Window, source: Source<'_>, owns: bool) -> Value {
    match source {
        Source::Register(register) if owns => std::mem::take(window.get_mut(register)),
        other => other.value(window),
    }
}

/// A comparison.
#[inline(never)]
pub(super) fn compare(
    mut window: Window,
    operator: Operator,
    consume: u8,
    left: Source<'_>,
    right: Source<'_>,
) -> Result<bool> {
    let holds = holds(operator, &left.value(&window), &right.value(&window))?;
    clear_dead(&mut window, consume, left, right);
    Ok(holds)
}

/// A comparison, `&&` or `||` whose result is used as a value.
#[inline(never)]
pub(super) fn compare_value(
    mut window: Window,
    operator: Operator,
    consume: u8,
    to: Register,
    left: Register,
    right: Register,
) -> Result<()> {
    let holds = holds(operator, window.get(left), window.get(right))?;
    clear_dead(&mut window, consume, Source::Register(left), Source::Register(right));
    window.set(to, Value::Boolean(holds));
    Ok(())
}

/// A comparison with a small integer whose result is used as a value.
#[inline(never)]
pub(super) fn compare_integer(
    mut window: Window,
    operator: Operator,
    consume: u8,
    to: Register,
    left: Register,
    right: i32,
) -> Result<()> {
    let holds = holds(operator, window.get(left), &Value::Integer(i64::from(right)))?;
    window.clear_if(first_dies(consume), left);
    window.set(to, Value::Boolean(holds));
    Ok(())
}

/// The result of an operator that returns a boolean.
pub(super) fn holds(operator: Operator, left: &Value, right: &Value) -> Result<bool> {
    match operator {
        Operator::Equal => return Ok(compare::equal(left, right)),
        Operator::NotEqual => return Ok(!compare::equal(left, right)),
        Operator::And | Operator::Or => {
            return match (left, right) {
                (Value::Boolean(left), Value::Boolean(right)) if operator == Operator::And => Ok(*left && *right),
                (Value::Boolean(left), Value::Boolean(right)) => Ok(*left || *right),
                (Value::Boolean(_), other) | (other, _) => Err(not_boolean(operator, other)),
            };
        }
        _ => {}
    }
    let order = compare::order(left, right).map_err(|(left, right)| {
        Error::of_type(format!(
            "`{}` needs two numbers, two strings or two lists, but got {} and {}",
            operator.symbol(),
            article(left.type_name()),
            article(right.type_name())
        ))
    })?;
    Ok(match (operator, order) {
        (_, None) => false,
        (Operator::Less, Some(order)) => order == Ordering::Less,
        (Operator::LessOrEqual, Some(order)) => order != Ordering::Greater,
        (Operator::Greater, Some(order)) => order == Ordering::Greater,
        (_, Some(order)) => order != Ordering::Less,
    })
}

#[cold]
pub(super) fn not_boolean(operator: Operator, value: &Value) -> Error {
    Error::of_type(format!("`{}` needs booleans, but got {}", operator.symbol(), article(value.type_name())))
}

#[inline(never)]
pub(super) fn negate(mut window: Window, consume: u8, to: Register, from: Register) -> Result<()> {
    let result = number::negate(window.get(from))?;
    window.clear_if(first_dies(consume), from);
    window.set(to, result);
    Ok(())
}

/// Drops the locals that are not in the set with this index.
#[cold]
#[inline(never)]
pub(super) fn drop_all_but(mut window: Window, code: &Code, kept: u32) {
    let kept = &code.kept[kept as usize];
    (0..code.analysis.locals.len() as Register)
        .filter(|local| !kept.contains(*local))
        .for_each(|local| window.clear(local));
}

#[cold]
#[inline(never)]
pub(super) fn take_row(mut window: Window, to: Register, from: Register, count: u32) {
    (0..count).for_each(|at| window.take(to + at, from + at));
}

#[inline(never)]
pub(super) fn load_optional(
    mut window: Window,
    code: &Code,
    cursor: Cursor<'_>,
    to: Register,
    local: Register,
    constant: u32,
    executable: &Executable,
) -> Result<()> {
    let locals = code.analysis.locals.len() as Register;
    if local != u32::MAX && matches!(window.get(local + locals), Value::Boolean(true)) {
        window.copy(to, local);
    } else if constant != u32::MAX {
        let value = cursor.constant(constant).clone();
        window.set(to, value);
    } else {
        let instruction = code.points[cursor.index() as usize].instruction;
        let name = match &executable.code[instruction as usize] {
            Instruction::PushBinding(name) => executable.name(*name),
            _ => "?",
        };
        return Err(unbound(name));
    }
    Ok(())
}

#[cold]
fn unbound(name: &str) -> Error {
    Error::new("name", format!("`{}` is not bound yet when it is read here", shortened(name)))
}

#[inline(never)]
pub(super) fn close(mut window: Window, code: &Code, to: Register, site: u32, executable: &Executable) -> Result<()> {
    let CloseSite { function, captured } = &code.sites[site as usize];
    let is_set = |window: &Window, flag: Register| matches!(window.get(flag), Value::Boolean(true));
    for captured in captured {
        if let Captured::Needed { name, local, .. } = captured
            && !local.is_some_and(|(_, flag)| is_set(&window, flag))
        {
            return Err(unbound(executable.name(*name)));
        }
    }
    let mut read = |local: Register, dies: bool| {
        let slot = window.get_mut(local);
        Some(if dies { std::mem::take(slot) } else { slot.clone() })
    };
    let mut values = Vec::with_capacity(captured.len());
    for captured in captured {
        values.push(match *captured {
            Captured::Nothing | Captured::Needed { local: None, .. } => None,
            Captured::Local { local, dies } | Captured::Needed { local: Some((local, _)), dies, .. } => {
                read(local, dies)
            }
            Captured::Flagged { local, flag, dies } => match read(flag, false) {
                Some(Value::Boolean(true)) => read(local, dies),
                _ => None,
            },
        });
    }
    let body = ClosureBody::new(*function, values.into_boxed_slice());
    window.set(to, Value::Closure(Arc::new(body)));
    Ok(())
}

#[inline(never)]
pub(super) fn unpack(mut window: Window, code: &Code, from: Register, base: Register, pattern: u32) -> Result<()> {
    let pattern = &code.patterns[pattern as usize];
    let parts = pattern::parts(pattern, window.get(from))?;
    for (to, value) in (base..).zip(parts.into_iter().rev()) {
        window.set(to, value);
    }
    Ok(())
}

#[inline(never)]
pub(super) fn first(mut window: Window, consume: u8, to: Register, list: Register) -> Result<()> {
    let item = builtin::first(window.get(list))?;
    window.clear_if(first_dies(consume), list);
    window.set(to, item);
    Ok(())
}

#[inline(never)]
pub(super) fn rest(mut window: Window, consume: u8, to: Register, list: Register) -> Result<()> {
    builtin::check_rest(window.get(list))?;
    let rest = builtin::rest(taken(&mut window, Source::Register(list), first_dies(consume)));
    window.set(to, rest);
    Ok(())
}

#[inline(never)]
pub(super) fn nth(mut window: Window, consume: u8, to: Register, list: Register, index: Register) -> Result<()> {
    let item = builtin::nth(window.get(list), window.get(index))?;
    clear_dead(&mut window, consume, Source::Register(list), Source::Register(index));
    window.set(to, item);
    Ok(())
}

#[inline(never)]
pub(super) fn length(mut window: Window, consume: u8, to: Register, of: Register) -> Result<()> {
    let length = builtin::length(window.get(of))?;
    window.clear_if(first_dies(consume), of);
    window.set(to, length);
    Ok(())
}

#[inline(never)]
pub(super) fn append(mut window: Window, consume: u8, to: Register, list: Register, item: Register) -> Result<()> {
    builtin::check_append(window.get(list))?;
    let owns = first_dies(consume) && list != item;
    let item_value = taken(&mut window, Source::Register(item), second_dies(consume) && list != item);
    let mut appended = taken(&mut window, Source::Register(list), owns);
    builtin::append(&mut appended, item_value);
    clear_dead(&mut window, consume, Source::Register(list), Source::Register(item));
    window.set(to, appended);
    Ok(())
}

#[inline(never)]
pub(super) fn get(mut window: Window, consume: u8, to: Register, hash: Register, key: Register) -> Result<()> {
    let value = builtin::get(window.get(hash), window.get(key))?.cloned().unwrap_or_default();
    clear_dead(&mut window, consume, Source::Register(hash), Source::Register(key));
    window.set(to, value);
    Ok(())
}

/// Sets a key of a hash. All three operands die; the hash stays in its register.
#[inline(never)]
pub(super) fn set(mut window: Window, base: Register) -> Result<()> {
    let [hash, key, value] = window.row(base);
    builtin::set(hash, key, value)
}
