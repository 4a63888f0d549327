//! The interpreter loop. Each arm handles the frequent case itself and leaves the rest to a function.
//!
//! Every arm stores its own result: a value passed from several arms to a shared store would go through the native
//! stack and take twice the time. An operation that fails or stops the thread has changed nothing, so that it can be
//! run again.

use hark_bytecode::Operator;
use triomphe::Arc;

use super::slow::{self, Source};
use super::{Exit, Limit, call, counting};
use crate::builtin;
use crate::compare;
use crate::effect::{Effect, Host};
use crate::limits::PRINTED_BYTES_PER_FUEL;
use crate::program::operation::{CONSUME_FIRST, CONSUME_SECOND, Operation};
use crate::program::{CodeId, Program};
use crate::registers::{Cursor, Window};
use crate::thread::{Record, State, Thread};
use crate::value::Value;
use crate::wait;

/// Runs a thread's operations until it stops.
pub(super) fn execute<H: Host, const COUNTED: bool>(
    thread: &mut Thread,
    program: &Program,
    fuel_left: &mut u32,
    limit: &mut Limit,
    host: &mut H,
) -> Exit {
    let mut fuel = *fuel_left;
    let Some(&Record { code, operation, base }) = thread.records.last() else {
        return Exit::Effect(Effect::Finished(Value::Null));
    };
    let mut base = base;
    let mut code_id: CodeId = code;
    let mut code = program.code(code_id);
    let mut cursor = Cursor::new(code, operation as usize);
    let mut window = Window::new(&mut thread.registers, base as usize, code);

    // Leaves the loop and saves the position in the record.
    macro_rules! leave {
        ($exit:expr) => {{
            let exit: Exit = $exit;
            if let Some(record) = thread.records.last_mut() {
                record.operation = cursor.index();
            }
            *fuel_left = fuel;
            return exit;
        }};
    }
    macro_rules! next {
        () => {{
            cursor.advance();
            continue;
        }};
    }
    // Continues according to the result of a slow path, which is a separate function.
    macro_rules! or_slow {
        ($done:expr) => {
            match $done {
                Ok(()) => next!(),
                Err(error) => leave!(Exit::from(error)),
            }
        };
    }
    macro_rules! arithmetic {
        ($operator:ident, $checked:ident, $float:tt, $consume:expr, $to:expr, registers $left:expr, $right:expr) => {{
            match (window.get($left), window.get($right)) {
                (Value::Integer(left), Value::Integer(right)) => {
                    if let Some(result) = left.$checked(*right) {
                        window.set($to, Value::Integer(result));
                        next!();
                    }
                }
                (Value::Float(left), Value::Float(right)) => {
                    let result = left $float right;
                    window.set($to, Value::Float(result));
                    next!();
                }
                _ => {}
            }
            or_slow!(slow::binary(window, Operator::$operator, $consume, $to, Source::Register($left), Source::Register($right)))
        }};
        ($operator:ident, $checked:ident, $float:tt, $consume:expr, $to:expr, integer $left:expr, $right:expr) => {{
            match window.get($left) {
                Value::Integer(left) => {
                    if let Some(result) = left.$checked(i64::from($right)) {
                        window.set($to, Value::Integer(result));
                        next!();
                    }
                }
                Value::Float(left) => {
                    let result = left $float f64::from($right);
                    window.set($to, Value::Float(result));
                    next!();
                }
                _ => {}
            }
            or_slow!(slow::binary(window, Operator::$operator, $consume, $to, Source::Register($left), Source::Integer($right)))
        }};
    }
    macro_rules! arithmetic_constant {
        ($operator:ident, $float:tt, $consume:expr, $to:expr, $left:expr, $constant:expr) => {{
            if let (Value::Float(left), Value::Float(right)) = (window.get($left), cursor.constant($constant)) {
                let result = left $float right;
                window.set($to, Value::Float(result));
                next!();
            }
            or_slow!(slow::binary(window, Operator::$operator, $consume, $to, Source::Register($left), Source::Constant(cursor.constant($constant))))
        }};
    }
    macro_rules! constant_arithmetic {
        ($operator:ident, $checked:ident, $float:tt, $consume:expr, $to:expr, $constant:expr, $right:expr) => {{
            match (cursor.constant($constant), window.get($right)) {
                (Value::Float(left), Value::Float(right)) => {
                    let result = left $float right;
                    window.set($to, Value::Float(result));
                    next!();
                }
                (Value::Integer(left), Value::Integer(right)) => {
                    if let Some(result) = left.$checked(*right) {
                        window.set($to, Value::Integer(result));
                        next!();
                    }
                }
                _ => {}
            }
            or_slow!(slow::binary(window, Operator::$operator, $consume, $to, Source::Constant(cursor.constant($constant)), Source::Register($right)))
        }};
    }
    // Jumps if a comparison holds.
    macro_rules! jump_when {
        ($holds:expr, $target:expr) => {{
            if $holds {
                cursor.jump($target);
            } else {
                cursor.advance();
            }
            continue;
        }};
    }
    macro_rules! compare {
        ($operator:ident, $compare:tt, $consume:expr, $target:expr, registers $left:expr, $right:expr) => {{
            match (window.get($left), window.get($right)) {
                (Value::Integer(left), Value::Integer(right)) => jump_when!(left $compare right, $target),
                (Value::Float(left), Value::Float(right)) => jump_when!(left $compare right, $target),
                _ => {}
            }
            match slow::compare(window, Operator::$operator, $consume, Source::Register($left), Source::Register($right)) {
                Ok(holds) => jump_when!(holds, $target),
                Err(error) => leave!(Exit::from(error)),
            }
        }};
        ($operator:ident, $compare:tt, $consume:expr, $target:expr, integer $left:expr, $right:expr) => {{
            match window.get($left) {
                Value::Integer(left) => jump_when!(*left $compare i64::from($right), $target),
                Value::Float(left) => jump_when!(*left $compare f64::from($right), $target),
                _ => {}
            }
            match slow::compare(window, Operator::$operator, $consume, Source::Register($left), Source::Integer($right)) {
                Ok(holds) => jump_when!(holds, $target),
                Err(error) => leave!(Exit::from(error)),
            }
        }};
        ($operator:ident, $compare:tt, $consume:expr, $target:expr, constant $left:expr, $constant:expr) => {{
            if let (Value::Float(left), Value::Float(right)) = (window.get($left), cursor.constant($constant)) {
                jump_when!(left $compare right, $target);
            }
            match slow::compare(window, Operator::$operator, $consume, Source::Register($left), Source::Constant(cursor.constant($constant))) {
                Ok(holds) => jump_when!(holds, $target),
                Err(error) => leave!(Exit::from(error)),
            }
        }};
    }
    // Enters a function whose arguments start at register `base`.
    macro_rules! enter {
        ($call_base:expr, $function:expr) => {
            enter!($call_base, $function, with())
        };
        // `$fill` adds more values to its window.
        ($call_base:expr, $function:expr, with $fill:expr) => {{
            if fuel == 0 {
                leave!(Exit::Effect(Effect::OutOfFuel));
            }
            fuel -= 1;
            let (callee_id, callee) = program.entry($function);
            let callee_base = base + $call_base;
            if callee_base as usize + callee.registers as usize > thread.registers.len() {
                if let Err(error) = call::grow(&mut thread.registers, callee_base as usize + callee.registers as usize)
                {
                    leave!(Exit::from(error));
                }
                window = Window::new(&mut thread.registers, callee_base as usize, callee);
            } else {
                window = window.inner($call_base);
            }
            if thread.records.len() == thread.records.capacity()
                && let Err(error) = call::grow_records(&mut thread.records)
            {
                leave!(Exit::from(error));
            }
            if let Some(record) = thread.records.last_mut() {
                record.operation = cursor.index();
            }
            $fill;
            thread.records.push(Record { code: callee_id, operation: 0, base: callee_base });
            base = callee_base;
            code_id = callee_id;
            code = callee;
            cursor = Cursor::new(code, 0);
            continue;
        }};
    }
    // The result is in the window's first register: continues in the caller after its call.
    macro_rules! give_back {
        () => {{
            thread.records.pop();
            match thread.records.last() {
                Some(record) => {
                    base = record.base;
                    if record.code != code_id {
                        code_id = record.code;
                        code = program.code(code_id);
                    }
                    cursor = Cursor::new(code, record.operation as usize + 1);
                    window = Window::new(&mut thread.registers, base as usize, code);
                    continue;
                }
                None => {
                    thread.state = State::Ended(Value::Null);
                    let value = std::mem::take(&mut thread.registers[base as usize]);
                    return Exit::Effect(Effect::Finished(value));
                }
            }
        }};
    }

    loop {
        if COUNTED && limit.is_reached(code, cursor.index() as usize) {
            leave!(Exit::Effect(Effect::OutOfFuel));
        }
        match *cursor.operation() {
            Operation::Nop => next!(),
            Operation::Copy { to, from } => {
                window.copy(to, from);
                next!();
            }
            Operation::Take { to, from } => {
                window.take(to, from);
                next!();
            }
            Operation::Load { to, constant } => {
                let value = cursor.constant(constant).clone();
                window.set(to, value);
                next!();
            }
            Operation::LoadInteger { to, value } => {
                window.set(to, Value::Integer(i64::from(value)));
                next!();
            }
            Operation::LoadOptional { to, local, constant } => {
                or_slow!(slow::load_optional(window, code, cursor, to, local, constant, program.executable()))
            }
            Operation::Drop { register } => {
                window.clear(register);
                next!();
            }
            Operation::DropAllBut { kept } => {
                slow::drop_all_but(window, code, kept);
                next!();
            }
            Operation::TakeRow { to, from, count } => {
                slow::take_row(window, to, from, count);
                next!();
            }

            Operation::Add { consume, to, left, right } => {
                arithmetic!(Add, checked_add, +, consume, to, registers left, right)
            }
            Operation::Subtract { consume, to, left, right } => {
                arithmetic!(Subtract, checked_sub, -, consume, to, registers left, right)
            }
            Operation::Multiply { consume, to, left, right } => {
                arithmetic!(Multiply, checked_mul, *, consume, to, registers left, right)
            }
            Operation::Divide { consume, to, left, right } => {
                match (window.get(left), window.get(right)) {
                    (Value::Float(dividend), Value::Float(divisor)) if *divisor != 0.0 => {
                        let result = dividend / divisor;
                        window.set(to, Value::Float(result));
                        next!();
                    }
                    (Value::Integer(dividend), Value::Integer(divisor)) => {
                        if let Some(result) = dividend.checked_div(*divisor) {
                            window.set(to, Value::Integer(result));
                            next!();
                        }
                    }
                    _ => {}
                }
                let (left, right) = (Source::Register(left), Source::Register(right));
                or_slow!(slow::binary(window, Operator::Divide, consume, to, left, right))
            }
            Operation::Modulo { consume, to, left, right } => {
                if let (Value::Integer(dividend), Value::Integer(divisor)) = (window.get(left), window.get(right))
                    && let Some(result) = modulo(*dividend, *divisor)
                {
                    window.set(to, Value::Integer(result));
                    next!();
                }
                let (left, right) = (Source::Register(left), Source::Register(right));
                or_slow!(slow::binary(window, Operator::Modulo, consume, to, left, right))
            }
            Operation::AddInteger { consume, to, left, right } => {
                arithmetic!(Add, checked_add, +, consume, to, integer left, right)
            }
            Operation::SubtractInteger { consume, to, left, right } => {
                arithmetic!(Subtract, checked_sub, -, consume, to, integer left, right)
            }
            Operation::MultiplyInteger { consume, to, left, right } => {
                arithmetic!(Multiply, checked_mul, *, consume, to, integer left, right)
            }
            Operation::DivideInteger { consume, to, left, right } => {
                // The compiler never emits a zero here.
                arithmetic!(Divide, checked_div, /, consume, to, integer left, right)
            }
            Operation::ModuloInteger { consume, to, left, right } => {
                if let Value::Integer(dividend) = window.get(left)
                    && let Some(result) = modulo(*dividend, i64::from(right))
                {
                    window.set(to, Value::Integer(result));
                    next!();
                }
                let (left, right) = (Source::Register(left), Source::Integer(right));
                or_slow!(slow::binary(window, Operator::Modulo, consume, to, left, right))
            }
            Operation::AddConstant { consume, to, left, constant } => {
                arithmetic_constant!(Add, +, consume, to, left, constant)
            }
            Operation::SubtractConstant { consume, to, left, constant } => {
                arithmetic_constant!(Subtract, -, consume, to, left, constant)
            }
            Operation::MultiplyConstant { consume, to, left, constant } => {
                arithmetic_constant!(Multiply, *, consume, to, left, constant)
            }
            Operation::DivideConstant { consume, to, left, constant } => {
                if let (Value::Float(dividend), Value::Float(divisor)) = (window.get(left), cursor.constant(constant))
                    && *divisor != 0.0
                {
                    let result = dividend / divisor;
                    window.set(to, Value::Float(result));
                    next!();
                }
                let right = Source::Constant(cursor.constant(constant));
                or_slow!(slow::binary(window, Operator::Divide, consume, to, Source::Register(left), right))
            }
            Operation::ConstantAdd { consume, to, constant, right } => {
                constant_arithmetic!(Add, checked_add, +, consume, to, constant, right)
            }
            Operation::ConstantSubtract { consume, to, constant, right } => {
                constant_arithmetic!(Subtract, checked_sub, -, consume, to, constant, right)
            }
            Operation::ConstantMultiply { consume, to, constant, right } => {
                constant_arithmetic!(Multiply, checked_mul, *, consume, to, constant, right)
            }
            Operation::ConstantDivide { consume, to, constant, right } => {
                let left = Source::Constant(cursor.constant(constant));
                or_slow!(slow::binary(window, Operator::Divide, consume, to, left, Source::Register(right)))
            }
            Operation::Compare { consume, operator, to, left, right } => {
                if let (Value::Integer(left), Value::Integer(right)) = (window.get(left), window.get(right))
                    && let Some(holds) = compare::integers(operator, *left, *right)
                {
                    window.set(to, Value::Boolean(holds));
                    next!();
                }
                or_slow!(slow::compare_value(window, operator, consume, to, left, right))
            }
            Operation::CompareInteger { consume, operator, to, left, right } => {
                if let Value::Integer(left) = window.get(left)
                    && let Some(holds) = compare::integers(operator, *left, i64::from(right))
                {
                    window.set(to, Value::Boolean(holds));
                    next!();
                }
                or_slow!(slow::compare_integer(window, operator, consume, to, left, right))
            }
            Operation::Negate { consume, to, from } => or_slow!(slow::negate(window, consume, to, from)),
            Operation::Not { consume, to, from } => {
                let result = !window.get(from).is_truthy();
                window.clear_if(consume & CONSUME_FIRST != 0, from);
                window.set(to, Value::Boolean(result));
                next!();
            }
            Operation::CheckBoolean { operator, register } => {
                if matches!(window.get(register), Value::Boolean(_)) {
                    next!();
                }
                leave!(Exit::from(slow::not_boolean(operator, window.get(register))));
            }

            Operation::Jump { target } => {
                cursor.jump(target);
                continue;
            }
            Operation::Repeat { target } => {
                if fuel == 0 {
                    leave!(Exit::Effect(Effect::OutOfFuel));
                }
                fuel -= 1;
                cursor.jump(target);
                continue;
            }
            Operation::TakeAndRepeat { to, from, target } => {
                if fuel == 0 {
                    leave!(Exit::Effect(Effect::OutOfFuel));
                }
                fuel -= 1;
                window.take(to, from);
                cursor.jump(target);
                continue;
            }
            Operation::RepeatCounting { target } => {
                if fuel == 0 {
                    leave!(Exit::Effect(Effect::OutOfFuel));
                }
                fuel -= 1;
                if !COUNTED && let Some(counting) = &code.counting {
                    fuel = counting::run(counting, &mut window, fuel);
                }
                cursor.jump(target);
                continue;
            }
            Operation::JumpIf { consume, condition, target } => {
                let holds = window.get(condition).is_truthy();
                window.clear_if(consume & CONSUME_FIRST != 0, condition);
                jump_when!(holds, target)
            }
            Operation::JumpUnless { consume, condition, target } => {
                let holds = window.get(condition).is_truthy();
                window.clear_if(consume & CONSUME_FIRST != 0, condition);
                jump_when!(!holds, target)
            }
            Operation::And { register, target } => match window.get(register) {
                Value::Boolean(holds) => jump_when!(!*holds, target),
                other => leave!(Exit::from(slow::not_boolean(Operator::And, other))),
            },
            Operation::Or { register, target } => match window.get(register) {
                Value::Boolean(holds) => jump_when!(*holds, target),
                other => leave!(Exit::from(slow::not_boolean(Operator::Or, other))),
            },
            Operation::JumpEmpty { consume, register, target } => {
                let holds = builtin::is_empty(window.get(register));
                window.clear_if(consume & CONSUME_FIRST != 0, register);
                jump_when!(holds, target)
            }
            Operation::JumpEqual { consume, left, right, target } => {
                compare!(Equal, ==, consume, target, registers left, right)
            }
            Operation::JumpNotEqual { consume, left, right, target } => {
                compare!(NotEqual, !=, consume, target, registers left, right)
            }
            Operation::JumpLess { consume, left, right, target } => {
                compare!(Less, <, consume, target, registers left, right)
            }
            Operation::JumpLessOrEqual { consume, left, right, target } => {
                compare!(LessOrEqual, <=, consume, target, registers left, right)
            }
            Operation::JumpGreater { consume, left, right, target } => {
                compare!(Greater, >, consume, target, registers left, right)
            }
            Operation::JumpGreaterOrEqual { consume, left, right, target } => {
                compare!(GreaterOrEqual, >=, consume, target, registers left, right)
            }
            Operation::JumpEqualInteger { consume, left, right, target } => {
                compare!(Equal, ==, consume, target, integer left, right)
            }
            Operation::JumpNotEqualInteger { consume, left, right, target } => {
                compare!(NotEqual, !=, consume, target, integer left, right)
            }
            Operation::JumpLessInteger { consume, left, right, target } => {
                compare!(Less, <, consume, target, integer left, right)
            }
            Operation::JumpLessOrEqualInteger { consume, left, right, target } => {
                compare!(LessOrEqual, <=, consume, target, integer left, right)
            }
            Operation::JumpGreaterInteger { consume, left, right, target } => {
                compare!(Greater, >, consume, target, integer left, right)
            }
            Operation::JumpGreaterOrEqualInteger { consume, left, right, target } => {
                compare!(GreaterOrEqual, >=, consume, target, integer left, right)
            }
            Operation::JumpEqualConstant { consume, left, constant, target } => {
                compare!(Equal, ==, consume, target, constant left, constant)
            }
            Operation::JumpLessConstant { consume, left, constant, target } => {
                compare!(Less, <, consume, target, constant left, constant)
            }
            Operation::JumpGreaterConstant { consume, left, constant, target } => {
                compare!(Greater, >, consume, target, constant left, constant)
            }

            Operation::First { consume, to, list } => {
                if let Some(items) = window.get(list).as_list()
                    && let Some(Value::Integer(item)) = items.get(0)
                {
                    let item = *item;
                    window.clear_if(consume & CONSUME_FIRST != 0, list);
                    window.set(to, Value::Integer(item));
                    next!();
                }
                or_slow!(slow::first(window, consume, to, list))
            }
            Operation::Rest { consume, to, list } => {
                if consume & CONSUME_FIRST != 0
                    && let Value::List(start, ref body) = *window.get(list)
                    && (start as usize) < body.len()
                {
                    window.take_list(to, list, start + 1);
                    next!();
                }
                or_slow!(slow::rest(window, consume, to, list))
            }
            Operation::RestAndFirst { rest, list, first } => {
                if let Value::List(start, ref body) = *window.get(list)
                    && let Some(Value::Integer(item)) = body.get(start as usize)
                {
                    let item = *item;
                    window.take_list(rest, list, start + 1);
                    window.set(first, Value::Integer(item));
                    cursor.advance();
                    next!();
                }
                or_slow!(slow::rest(window, 0, rest, list))
            }
            Operation::Nth { consume, to, list, index } => {
                if let (Some(items), Value::Integer(place)) = (window.get(list).as_list(), window.get(index))
                    && *place >= 0
                    && let Some(Value::Integer(item)) = items.get(*place as usize)
                {
                    let item = *item;
                    window.clear_if(consume & CONSUME_FIRST != 0, list);
                    window.set(to, Value::Integer(item));
                    next!();
                }
                or_slow!(slow::nth(window, consume, to, list, index))
            }
            Operation::Length { consume, to, of } => {
                if let Some(items) = window.get(of).as_list() {
                    let length = items.len();
                    window.clear_if(consume & CONSUME_FIRST != 0, of);
                    window.set(to, Value::Integer(length as i64));
                    next!();
                }
                or_slow!(slow::length(window, consume, to, of))
            }
            Operation::Append { consume, to, list, item } => {
                if consume & CONSUME_FIRST != 0
                    && list == to
                    && let Value::Integer(item) = *window.get(item)
                    && let Value::List(_, body) = window.get_mut(list)
                    && let Some(own) = Arc::get_mut(body)
                    && own.has_room()
                {
                    own.push(Value::Integer(item));
                    next!();
                }
                or_slow!(slow::append(window, consume, to, list, item))
            }
            Operation::Get { consume, to, hash, key } => or_slow!(slow::get(window, consume, to, hash, key)),
            Operation::Set { base } => or_slow!(slow::set(window, base)),
            Operation::Nullp { consume, to, from } => {
                let result = builtin::is_empty(window.get(from));
                window.clear_if(consume & CONSUME_FIRST != 0, from);
                window.set(to, Value::Boolean(result));
                next!();
            }

            Operation::CallFunction { base: call_base, function } => enter!(call_base, function),
            Operation::CallValue { consume, base: call_base, count, callee } => match *window.get(callee) {
                Value::Function(function) => {
                    if program.entry(function.0).1.arguments != count {
                        if !call::may_differ(program, function, count) {
                            leave!(Exit::from(call::wrong_function_count(program, function, count)));
                        }
                        if call::takes_list(program, function) {
                            enter!(call_base, function.0, with {
                                let _ = window;
                                let first = (base + call_base) as usize;
                                call::gather(&mut thread.registers[first..], count);
                                let callee = program.entry(function.0).1;
                                window = Window::new(&mut thread.registers, first, callee);
                            })
                        }
                        // This register may still hold the callee.
                        window.set(call_base + count, Value::Null);
                    }
                    enter!(call_base, function.0)
                }
                Value::Closure(ref closure) => {
                    let function = closure.function();
                    if program.entry(function.0).1.parameters != count {
                        leave!(Exit::from(call::wrong_function_count(program, function, count)));
                    }
                    enter!(call_base, function.0, with {
                        call::hand_over(window, call_base, callee, consume, program.entry(function.0).1)
                    })
                }
                ref other => {
                    let callee = other.clone();
                    let first = (base + call_base) as usize;
                    let arguments = &mut thread.registers[first..first + count as usize];
                    match call::call_other(&callee, arguments, program, host) {
                        Ok((value, printed)) => {
                            window = Window::new(&mut thread.registers, base as usize, code);
                            window.clear_row(call_base, count);
                            window.set(call_base, value);
                            fuel = fuel.saturating_sub(fuel_of_printing(printed));
                            next!();
                        }
                        Err(exit) => {
                            window = Window::new(&mut thread.registers, base as usize, code);
                            let _ = window;
                            leave!(exit)
                        }
                    }
                }
            },
            Operation::Close { to, site } => or_slow!(slow::close(window, code, to, site, program.executable())),
            Operation::Unpack { from, base: first, pattern } => {
                or_slow!(slow::unpack(window, code, from, first, pattern))
            }
            Operation::CallForeign { base: call_base, count, foreign } => {
                let first = (base + call_base) as usize;
                let arguments = &thread.registers[first..first + count as usize];
                leave!(call::foreign(foreign, arguments))
            }
            Operation::CallBuiltin { builtin, base: call_base, count } => {
                let first = (base + call_base) as usize;
                let arguments = &mut thread.registers[first..first + count as usize];
                let outcome = builtin::call(builtin, arguments, program.executable(), host);
                window = Window::new(&mut thread.registers, base as usize, code);
                match outcome {
                    Ok(builtin::Outcome::Value(value)) => {
                        window.clear_row(call_base, count);
                        window.set(call_base, value);
                        next!();
                    }
                    Ok(builtin::Outcome::Printed(value, bytes)) => {
                        window.clear_row(call_base, count);
                        window.set(call_base, value);
                        fuel = fuel.saturating_sub(fuel_of_printing(bytes));
                        next!();
                    }
                    Ok(builtin::Outcome::Sleep(seconds)) => leave!(Exit::Effect(Effect::Sleep(seconds))),
                    Ok(builtin::Outcome::Wait(wait)) => leave!(Exit::Effect(Effect::Await(wait))),
                    Ok(builtin::Outcome::Call(call)) => leave!(Exit::Effect(Effect::Call(call))),
                    Ok(builtin::Outcome::Cancel(what)) => leave!(Exit::Effect(Effect::Cancel(what))),
                    Ok(builtin::Outcome::Take(take)) => leave!(Exit::Effect(Effect::Take(take))),
                    Err(error) => leave!(Exit::from(error)),
                }
            }
            Operation::Spawn { base: call_base, count, callee } => {
                let first = (base + call_base) as usize;
                let instruction = call::place_of(thread, program, code.points[cursor.index() as usize].instruction);
                let arguments = &mut thread.registers[first..first + count as usize];
                let future = match call::spawn(cursor.constant(callee), arguments, instruction, program, host) {
                    Ok(future) => future,
                    Err(error) => leave!(Exit::from(error)),
                };
                window = Window::new(&mut thread.registers, base as usize, code);
                window.set(call_base, Value::Future(future));
                next!();
            }
            Operation::SpawnValue { base: call_base, count } => {
                let first = (base + call_base) as usize;
                let callee = &mut thread.registers[first + count as usize];
                if let Err(error) = call::check_callable(callee) {
                    leave!(Exit::from(error));
                }
                let callee = std::mem::take(callee);
                let instruction = call::place_of(thread, program, code.points[cursor.index() as usize].instruction);
                let arguments = &mut thread.registers[first..first + count as usize];
                let future = match call::spawn(&callee, arguments, instruction, program, host) {
                    Ok(future) => future,
                    Err(error) => {
                        thread.registers[first + count as usize] = callee;
                        leave!(Exit::from(error));
                    }
                };
                window = Window::new(&mut thread.registers, base as usize, code);
                window.set(call_base, Value::Future(future));
                next!();
            }
            Operation::Wait { consume, to, from } => match wait::all(window.get(from), None) {
                Some(wait) => leave!(Exit::Effect(Effect::Await(wait))),
                None => {
                    if consume & CONSUME_FIRST != 0 {
                        window.take(to, from);
                    } else {
                        window.copy(to, from);
                    }
                    next!();
                }
            },
            Operation::Return { consume, from } => {
                if from != 0 {
                    if consume & CONSUME_FIRST != 0 {
                        window.take(0, from);
                    } else {
                        window.copy(0, from);
                    }
                }
                give_back!()
            }
            Operation::ReturnConstant { constant } => {
                let value = cursor.constant(constant).clone();
                window.set(0, value);
                give_back!()
            }
        }
    }
}

/// The fuel used by printing, which bounds the output that the host must keep per turn.
fn fuel_of_printing(bytes: usize) -> u32 {
    u32::try_from(bytes / PRINTED_BYTES_PER_FUEL).unwrap_or(u32::MAX)
}

/// The remainder with the sign of the divisor; `None` for a division by zero.
#[inline(always)]
fn modulo(dividend: i64, divisor: i64) -> Option<i64> {
    let rest = dividend.checked_rem(divisor)?;
    Some(if rest != 0 && (rest ^ divisor) < 0 { rest + divisor } else { rest })
}

/// Whether the second operand dies.
#[inline(always)]
pub(super) fn second_dies(consume: u8) -> bool {
    consume & CONSUME_SECOND != 0
}
