//! Equality and order of values. Neither recurses natively, so nesting is unlimited. Pairs of shared values are
//! compared once, so that the time is proportional to the memory used.

use std::cmp::Ordering;
use std::collections::HashMap;

use hark_bytecode::Operator;
use num_bigint::BigInt;
use num_traits::FromPrimitive;
use triomphe::Arc;

use crate::closure::ClosureBody;
use crate::hash::{Entries, HashBody};
use crate::list::List;
use crate::value::Value;

/// `==` of the language: numbers by value, lists and hashes by content (hashes regardless of order), closures by their
/// function and captures.
pub fn equal(left: &Value, right: &Value) -> bool {
    // Most values hold no others and need no work list.
    if left.holds_values() {
        equal_containers(left, right, &mut ComparedPairs::default())
    } else {
        equal_atoms(left, right)
    }
}

/// Two containers with elements still to be compared.
enum Open<'a> {
    Lists {
        left: List<'a>,
        right: List<'a>,
        next: usize,
        end: usize,
    },
    /// Each entry of the first hash, to be compared with the second's value of the same key.
    Hashes {
        left: Entries<'a>,
        right: &'a HashBody,
    },
    Closures {
        left: &'a ClosureBody,
        right: &'a ClosureBody,
        next: usize,
    },
}

fn equal_containers(left: &Value, right: &Value, known: &mut ComparedPairs) -> bool {
    let mut open = Vec::new();
    if !begin_equal(left, right, known, &mut open) {
        return false;
    }
    while let Some(top) = open.last_mut() {
        let pair = match top {
            Open::Lists { left, right, next, end } => {
                let pair = if next < end { left.get(*next).zip(right.get(*next)) } else { None };
                *next += 1;
                pair
            }
            Open::Hashes { left, right } => match left.next() {
                Some((key, value)) => match right.get(key) {
                    Some(other) => Some((value, other)),
                    None => return false,
                },
                None => None,
            },
            // A variable that both lack needs no comparison.
            Open::Closures { left, right, next } => {
                let rest = left.captures().iter().zip(right.captures()).skip(*next);
                let mut held = rest.inspect(|_| *next += 1).filter(|pair| !matches!(pair, (None, None)));
                match held.next() {
                    Some((Some(left), Some(right))) => Some((left, right)),
                    Some(_) => return false,
                    None => None,
                }
            }
        };
        match pair {
            Some((left, right)) => {
                if !begin_equal(left, right, known, &mut open) {
                    return false;
                }
            }
            None => _ = open.pop(),
        }
    }
    true
}

/// Compares two values without descending into containers, whose elements are pushed to `open`. Returns false if the
/// values are already known to differ.
fn begin_equal<'a>(left: &'a Value, right: &'a Value, known: &mut ComparedPairs, open: &mut Vec<Open<'a>>) -> bool {
    match (left, right) {
        (Value::List(..), Value::List(..)) => {
            let (Some(left_list), Some(right_list)) = (left.as_list(), right.as_list()) else { return false };
            if left_list.len() != right_list.len() {
                return false;
            }
            let end = known.uncompared_length(left, right, left_list.len());
            if end > 0 && !is_one_without_nan(left, right) {
                open.push(Open::Lists { left: left_list, right: right_list, next: 0, end });
            }
            true
        }
        (Value::Hash(left_body), Value::Hash(right_body)) => {
            if left_body.len() != right_body.len() {
                return false;
            }
            if known.uncompared_length(left, right, left_body.len()) > 0 {
                open.push(Open::Hashes { left: left_body.iter(), right: right_body });
            }
            true
        }
        (Value::Closure(left_body), Value::Closure(right_body)) => {
            if left_body.function() != right_body.function() {
                return false;
            }
            if known.uncompared_length(left, right, 1) > 0 {
                open.push(Open::Closures { left: left_body, right: right_body, next: 0 });
            }
            true
        }
        (Value::String(left_text), Value::String(right_text)) if left_text.as_str().len() >= LONG_TEXT => {
            Arc::ptr_eq(left_text, right_text)
                || known.uncompared_length(left, right, 1) == 0
                || left_text.as_str() == right_text.as_str()
        }
        _ => equal_atoms(left, right),
    }
}

/// Whether both are the same list, and equal because it holds no nan. Checked only for integers and strings, where it
/// is cheap.
fn is_one_without_nan(left: &Value, right: &Value) -> bool {
    let (Value::List(left_start, left_body), Value::List(right_start, right_body)) = (left, right) else {
        return false;
    };
    left_start == right_start
        && Arc::ptr_eq(left_body, right_body)
        && List::new(*left_start, left_body).iter().all(|item| matches!(item, Value::Integer(_) | Value::String(_)))
}

/// Strings of at least this length are remembered like containers.
const LONG_TEXT: usize = 1024;

/// The number of pairs before pairs are recorded; most comparisons end sooner.
const UNRECORDED_PAIRS_MAX: usize = 64;

/// The pairs of shared values compared so far. A comparison ends at the first difference, so a pair that recurs is
/// equal. (A value need not equal itself, as it may hold nan.)
#[derive(Default)]
struct ComparedPairs {
    met: usize,
    /// Keyed by the addresses of the bodies and the distance between the views' starts. The value is the left index
    /// from which on they were compared.
    pairs: Option<Pairs>,
}

type Pairs = HashMap<(usize, usize, i64), u32, foldhash::fast::RandomState>;

impl ComparedPairs {
    /// How many elements from the start are still to be compared; these count as compared from now on.
    fn uncompared_length(&mut self, left: &Value, right: &Value, length: usize) -> usize {
        self.met += 1;
        if self.met <= UNRECORDED_PAIRS_MAX {
            return length;
        }
        // A pair with unique references recurs only if the pair that holds it does.
        let (Some(left), Some(right)) = (Body::of(left), Body::of(right)) else { return length };
        if left.is_unique && right.is_unique {
            return length;
        }
        let apart = i64::from(left.start) - i64::from(right.start);
        let compared_from =
            self.pairs.get_or_insert_default().entry((left.address, right.address, apart)).or_insert(u32::MAX);
        if *compared_from <= left.start {
            return 0;
        }
        let length = length.min((*compared_from - left.start) as usize);
        *compared_from = left.start;
        length
    }
}

/// The identity of a container or string.
struct Body {
    address: usize,
    start: u32,
    is_unique: bool,
}

impl Body {
    fn of(value: &Value) -> Option<Body> {
        Some(match value {
            Value::List(start, body) => {
                Body { address: body.as_ptr() as usize, start: *start, is_unique: body.is_unique() }
            }
            Value::Hash(body) => Body { address: body.as_ptr() as usize, start: 0, is_unique: body.is_unique() },
            Value::Closure(body) => Body { address: body.as_ptr() as usize, start: 0, is_unique: body.is_unique() },
            Value::String(text) => Body { address: text.as_ptr() as usize, start: 0, is_unique: text.is_unique() },
            _ => return None,
        })
    }
}

/// Whether `left operator right`; `None` if the operator is not a comparison.
#[inline(always)]
pub fn integers(operator: Operator, left: i64, right: i64) -> Option<bool> {
    Some(match operator {
        Operator::Equal => left == right,
        Operator::NotEqual => left != right,
        Operator::Less => left < right,
        Operator::LessOrEqual => left <= right,
        Operator::Greater => left > right,
        Operator::GreaterOrEqual => left >= right,
        _ => return None,
    })
}

fn equal_atoms(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Boolean(left), Value::Boolean(right)) => left == right,
        (Value::String(left), Value::String(right)) => Arc::ptr_eq(left, right) || left.as_str() == right.as_str(),
        (Value::Function(left), Value::Function(right)) => left == right,
        (Value::Foreign(left), Value::Foreign(right)) => left == right,
        (Value::Builtin(left), Value::Builtin(right)) => left == right,
        (Value::Operator(left), Value::Operator(right)) => left == right,
        (Value::Future(left), Value::Future(right)) => left == right,
        (Value::Promise(left), Value::Promise(right)) => left == right,
        (Value::Object(left), Value::Object(right)) => left == right,
        (left, right) => compare_numbers(left, right) == Some(Ordering::Equal),
    }
}

/// The exact order of two numbers, also of an integer and a float. `None` if one is nan or not a number.
pub fn compare_numbers(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::BigInteger(left), Value::BigInteger(right)) if Arc::ptr_eq(left, right) => Some(Ordering::Equal),
        (Value::BigInteger(left), Value::BigInteger(right)) => Some(left.cmp(right)),
        (Value::Integer(_), Value::BigInteger(right)) => Some(order_of_sign(right).reverse()),
        (Value::BigInteger(left), Value::Integer(_)) => Some(order_of_sign(left)),
        (Value::Integer(left), Value::Float(right)) => compare_with_float(&BigInt::from(*left), *right),
        (Value::BigInteger(left), Value::Float(right)) => compare_with_float(left, *right),
        (Value::Float(_), Value::Integer(_) | Value::BigInteger(_)) => {
            compare_numbers(right, left).map(Ordering::reverse)
        }
        _ => None,
    }
}

/// The order of a big integer relative to all small ones.
fn order_of_sign(big: &BigInt) -> Ordering {
    if big.sign() == num_bigint::Sign::Minus { Ordering::Less } else { Ordering::Greater }
}

fn compare_with_float(integer: &BigInt, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float.is_infinite() {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = BigInt::from_f64(float.trunc())?;
    let remainder = float.fract();
    // The integral parts are equal, so the fraction decides.
    Some(integer.cmp(&whole).then(0.0.partial_cmp(&remainder)?))
}

/// The order of two values for `<`, `<=`, `>` and `>=`.
///
/// # Errors
/// If the deciding elements have no order: these two elements.
pub fn order<'a>(left: &'a Value, right: &'a Value) -> Result<Option<Ordering>, (&'a Value, &'a Value)> {
    let mut known = ComparedPairs::default();
    let mut open: Vec<OpenLists<'a>> = Vec::new();
    let mut pair = Some((left, right));
    loop {
        let decided = match pair.take() {
            Some((left, right)) => match (left, right) {
                (Value::List(..), Value::List(..)) => {
                    open.extend(OpenLists::of(left, right, &mut known));
                    Some(Ordering::Equal)
                }
                (Value::String(left), Value::String(right)) if Arc::ptr_eq(left, right) => Some(Ordering::Equal),
                (Value::String(left), Value::String(right)) => Some(left.as_str().cmp(right.as_str())),
                (left, right) if is_number(left) && is_number(right) => compare_numbers(left, right),
                // Equal elements of lists need no order, as in Python.
                (left, right) if !open.is_empty() && is_same(left, right, &mut known) => Some(Ordering::Equal),
                (left, right) => return Err((left, right)),
            },
            None => match open.last_mut() {
                None => return Ok(Some(Ordering::Equal)),
                Some(lists) => match lists.next() {
                    Next::Pair(left, right) => {
                        pair = Some((left, right));
                        continue;
                    }
                    Next::End(order) => {
                        open.pop();
                        Some(order)
                    }
                },
            },
        };
        if decided != Some(Ordering::Equal) {
            return Ok(decided);
        }
    }
}

fn is_same(left: &Value, right: &Value, known: &mut ComparedPairs) -> bool {
    if left.holds_values() { equal_containers(left, right, known) } else { equal_atoms(left, right) }
}

/// Two lists that are equal before the next element.
struct OpenLists<'a> {
    left: List<'a>,
    right: List<'a>,
    next: usize,
    /// From this index on they are known to be equal.
    end: usize,
}

enum Next<'a> {
    Pair(&'a Value, &'a Value),
    End(Ordering),
}

impl<'a> OpenLists<'a> {
    fn of(left: &'a Value, right: &'a Value, known: &mut ComparedPairs) -> Option<OpenLists<'a>> {
        let (left_list, right_list) = (left.as_list()?, right.as_list()?);
        if left_list.len() != right_list.len() {
            return Some(OpenLists { left: left_list, right: right_list, next: 0, end: usize::MAX });
        }
        let end = known.uncompared_length(left, right, left_list.len());
        let is_equal = end == 0 || is_one_without_nan(left, right);
        (!is_equal).then_some(OpenLists { left: left_list, right: right_list, next: 0, end })
    }

    fn next(&mut self) -> Next<'a> {
        if self.next >= self.end {
            return Next::End(Ordering::Equal);
        }
        let at = self.next;
        self.next += 1;
        match (self.left.get(at), self.right.get(at)) {
            (Some(left), Some(right)) => Next::Pair(left, right),
            (None, None) => Next::End(Ordering::Equal),
            (None, Some(_)) => Next::End(Ordering::Less),
            (Some(_), None) => Next::End(Ordering::Greater),
        }
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Integer(_) | Value::Float(_) | Value::BigInteger(_))
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        equal(self, other)
    }
}
