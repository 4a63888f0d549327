//! The builtins: what each one does with its arguments.
//!
//! No builtin calls back into the program, so each runs to completion. A builtin that fails leaves its arguments
//! unchanged; one that succeeds may consume them. The size of a result is checked before it is built, so that no
//! builtin allocates more memory than a value may have.

mod argument;
mod chance;
mod control;
mod flow;
mod format;
mod hash;
mod json;
mod limit;
mod list;
mod number;
mod order;
mod promise;
mod round;
mod search;
mod sequence;
mod split;
mod text;
mod time;
mod types;
mod waiting;

use hark_bytecode::builtins::Builtin;
use hark_bytecode::{Executable, shortened};

use crate::effect::{Cancelled, ForeignCall, Host, Take, Wait};
use crate::error::Error;
use crate::value::Value;

pub(crate) use hash::{get, set};
pub use limit::{DeclaredGate, declared_gates};
pub(crate) use list::{append, check_append, check_rest, first, length, nth, rest};
pub(crate) use types::is_empty;
pub(crate) use waiting::answered;

/// The outcome of a builtin.
pub(crate) enum Outcome {
    /// It returns this value.
    Value(Value),
    /// It returns a value and has printed this many bytes.
    Printed(Value, usize),
    /// The thread sleeps, then continues with this value.
    Sleep(Value),
    /// The thread waits, then continues with the value that [`answered`] makes of the answer.
    Wait(Wait),
    /// The thread calls an import and continues with its value.
    Call(ForeignCall),
    /// The thread cancels this and continues with `null`.
    Cancel(Cancelled),
    /// The thread needs to acquire a limit or rate, and continues with whether it has newly acquired it.
    Take(Take),
}

type Result<T> = std::result::Result<T, Error>;

/// Calls a builtin with a valid number of arguments.
pub(crate) fn call(
    builtin: Builtin,
    arguments: &mut [Value],
    executable: &Executable,
    host: &mut impl Host,
) -> Result<Outcome> {
    use Builtin as B;
    let value = match (builtin, arguments) {
        (B::Print, [value]) => return control::print(value, executable, host),
        (B::Sleep, [seconds]) => return control::sleep(seconds),
        (B::Any, [items]) => return waiting::any(items),
        (B::AwaitFor, [value, seconds]) => return waiting::await_for(value, seconds),
        (B::Cancel, [future]) => return waiting::cancel(future),
        (B::CancelStarted, _) => return Ok(Outcome::Cancel(Cancelled::Started)),
        (B::Signal, [kind, message]) => return control::signal(kind, message, executable, host),
        (B::Error, [value]) => return Err(control::error(value, executable)),
        (B::Error, [message, data]) => return Err(control::raised("error", message, data.clone(), executable)),
        (B::Assert, [condition]) => control::assert(condition, None, executable)?,
        (B::Assert, [condition, message]) => control::assert(condition, Some(message), executable)?,
        (B::AssertEqual, [left, right]) => control::assert_equal(left, right, executable)?,

        (B::Nullp, [value]) => Value::Boolean(is_empty(value)),
        (B::Atomp, [value]) => Value::Boolean(!value.is_container()),
        (B::TypeOf, [value]) => types::type_of(value),
        (B::ToString, [value]) => types::to_string(value, executable)?,

        (B::List, items) => Value::list(items.iter_mut().map(std::mem::take).collect()),
        (B::First, [list]) => first(list)?,
        (B::Rest, [list]) => {
            check_rest(list)?;
            rest(std::mem::take(list))
        }
        (B::Last, [list]) => list::last(list)?,
        (B::Nth, [list, index]) => nth(list, index)?,
        (B::Length, [of]) => length(of)?,
        (B::Append, [list, item]) => {
            check_append(list)?;
            append(list, std::mem::take(item));
            std::mem::take(list)
        }
        (B::Conc, [front, back]) => list::conc(front, back)?,
        (B::Slice, [of, from]) => sequence::slice(of, from, &Value::Null)?,
        (B::Slice, [of, from, to]) => sequence::slice(of, from, to)?,
        (B::Contains, [within, part]) => search::contains(within, part)?,
        (B::IndexOf, [within, part]) => search::index_of(within, part)?,
        (B::Range, [to]) => sequence::range(&Value::Integer(0), to, &Value::Integer(1))?,
        (B::Range, [from, to]) => sequence::range(from, to, &Value::Integer(1))?,
        (B::Range, [from, to, step]) => sequence::range(from, to, step)?,
        (B::Reverse, [list]) => sequence::reverse(list)?,
        (B::Sort, [list]) => order::sort(list)?,
        (B::Need, [value, type_name, text]) => argument::need(value, type_name, text)?,
        (B::NeedKey, [key, name]) => argument::need_key(key, name)?,
        (B::SortByKeys, [list, keys]) => order::sort_by_keys(list, keys)?,
        (B::GroupByKeys, [list, keys]) => order::group_by_keys(list, keys)?,
        (B::Zip, [left, right]) => sequence::zip(left, right)?,
        (B::Enumerate, [list]) => sequence::enumerate(list)?,
        (B::Flatten, [list]) => sequence::flatten(list)?,
        (B::Unique, [list]) => search::unique(list)?,
        (B::Chunk, [list, length]) => sequence::chunk(list, length)?,
        (B::Repeat, [of, times]) => sequence::repeat(of, times)?,
        (B::Sum, [list]) => number::sum(list)?,
        (B::Min, [list]) => order::min(list)?,
        (B::Max, [list]) => order::max(list)?,

        (B::Hash, items) => hash::hash(items)?,
        (B::Get, [hash, key]) => get(hash, key)?.cloned().unwrap_or_default(),
        (B::Get, [hash, key, default]) => match get(hash, key)? {
            Some(value) => value.clone(),
            None => std::mem::take(default),
        },
        (B::Set, [hash, key, value]) => {
            set(hash, key, value)?;
            std::mem::take(hash)
        }
        (B::Has, [hash, key]) => hash::has("has", hash, key)?,
        (B::Remove, [hash, key]) => hash::remove(hash, key)?,
        (B::Merge, [under, over]) => hash::merge(under, over)?,
        (B::Keys, [hash]) => hash::keys(hash)?,
        (B::Values, [hash]) => hash::values(hash)?,
        (B::Items, [hash]) => hash::items(hash)?,
        (B::FromItems, [list]) => hash::from_items(list)?,

        (B::Split, [text]) => split::at_blanks(text)?,
        (B::Split, [text, separator]) => split::at(text, separator)?,
        (B::Join, [list, separator]) => split::join(list, separator)?,
        (B::Lines, [text]) => split::lines(text)?,
        (B::Upper, [text]) => text::upper(text)?,
        (B::Lower, [text]) => text::lower(text)?,
        (B::Trim, [text]) => text::trim(text)?,
        (B::Replace, [text, old, new]) => text::replace(text, old, new)?,
        (B::StartsWith, [text, part]) => text::starts_with(text, part)?,
        (B::EndsWith, [text, part]) => text::ends_with(text, part)?,
        (B::PadLeft, [text, length]) => text::pad_left(text, length)?,
        (B::PadRight, [text, length]) => text::pad_right(text, length)?,
        (B::Format, [template, arguments @ ..]) => format::format(template, arguments, executable)?,

        (B::ParseInt, [value]) => number::int("parse_int", value)?,
        (B::ParseFloat, [value]) => number::float("parse_float", value)?,
        (B::Int, [value]) => number::int("int", value)?,
        (B::Float, [value]) => number::float("float", value)?,
        (B::Abs, [value]) => number::abs(value)?,
        (B::Floor, [value]) => round::floor(value)?,
        (B::Ceil, [value]) => round::ceil(value)?,
        (B::Round, [value]) => round::round(value)?,
        (B::Round, [value, digits]) => round::round_to(value, digits)?,
        (B::Sqrt, [value]) => number::sqrt(value)?,
        (B::Pow, [base, exponent]) => number::pow(base, exponent)?,

        (B::JsonEncode, [value]) => json::encode(value)?,
        (B::JsonDecode, [text]) => json::decode(text)?,

        (B::Now, []) => Value::Float(host.now() as f64 / 1e6),
        (B::FormatTime, [time]) => time::format_time(time)?,
        (B::ParseTime, [text]) => time::parse_time(text)?,
        (B::Random, []) => chance::random(host),
        (B::Uuid, []) => chance::uuid(host),
        (B::Env, [name]) => control::environment(name, host)?.unwrap_or_default(),
        (B::Env, [name, default]) => match control::environment(name, host)? {
            Some(value) => value,
            None => std::mem::take(default),
        },

        (B::Call, arguments) => return flow::call(arguments, executable),
        (B::WaitFor, [future, seconds]) => return flow::wait_for(future, seconds),
        (B::FirstDone, [threads]) => return flow::first_done(threads),
        (B::Raise | B::GiveUp, [error]) => return Err(flow::raise(error)),
        (B::TimedOut, [function, seconds]) => flow::timed_out(function, seconds, executable),
        (B::TriesAgain, arguments) => flow::tries_again(arguments, executable, host)?,
        (B::Steady, []) => Value::Float(host.steady_now() as f64 / 1e6),

        (B::Promise, []) => promise::promise(host),
        (B::Future, [name, id]) => promise::future(name, id, executable)?,
        (B::FutureId, [future]) => promise::future_id(future, host)?,
        (B::Sid, []) => Value::string(host.session()),
        (B::Tid, []) => Value::Integer(host.thread() as i64),

        (B::Take, [name, count, time]) => return limit::take(name, count, time, executable),
        (B::Start, [name, count, per, time]) => return limit::start(name, count, per, time, executable),
        (B::GiveBack, [value, name, was_taken]) => limit::give_back(value, name, was_taken, executable, host)?,

        (builtin, arguments) => return Err(wrong_count(builtin, arguments.len())),
    };
    Ok(Outcome::Value(value))
}

/// The error of a call with a number of arguments that the builtin does not take.
pub(crate) fn wrong_count(builtin: Builtin, count: usize) -> Error {
    let (minimum, maximum) = builtin.arity();
    let wanted = match maximum {
        u32::MAX => format!("at least {minimum}"),
        _ if minimum == maximum => minimum.to_string(),
        _ => format!("{minimum} to {maximum}"),
    };
    arity_error(builtin.name(), &wanted, count)
}

/// The error of a call with a wrong number of arguments.
pub(crate) fn arity_error(name: &str, wanted: &str, count: usize) -> Error {
    let noun = if wanted == "1" { "argument" } else { "arguments" };
    let name = shortened(name);
    Error::new("arity", format!("`{name}` takes {wanted} {noun}, but was called with {count}"))
}
