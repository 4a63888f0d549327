//! Equality and order of values. Neither recurses natively, so nesting has no limit; and what values share is compared
//! once, so that the time is by what there is in memory.

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

/// `==` of the language: numbers by value, lists and hashes by content, hashes whatever their order, closures by their
/// function and what they have captured.
pub fn equal(left: &Value, right: &Value) -> bool {
    // Most values hold no others, and need no list of what is left to compare.
    if left.holds_values() { equal_containers(left, right, &mut Known::default()) } else { equal_atoms(left, right) }
}

/// Two containers of which some elements are still to be compared.
enum Open<'a> {
    Lists {
        left: List<'a>,
        right: List<'a>,
        next: usize,
        end: usize,
    },
    /// Each entry of the first, with what the second has under its key.
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

fn equal_containers(left: &Value, right: &Value, known: &mut Known) -> bool {
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
            // Where both lack a name there is nothing to compare.
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

/// Compares two values as far as that can be done at once; the elements of containers are left. Answers whether they may
/// be equal.
fn begin_equal<'a>(left: &'a Value, right: &'a Value, known: &mut Known, open: &mut Vec<Open<'a>>) -> bool {
    match (left, right) {
        (Value::List(..), Value::List(..)) => {
            let (Some(left_list), Some(right_list)) = (left.as_list(), right.as_list()) else { return false };
            if left_list.len() != right_list.len() {
                return false;
            }
            let end = known.unequal_before(left, right, left_list.len());
            if end > 0 && !is_one_without_nan(left, right) {
                open.push(Open::Lists { left: left_list, right: right_list, next: 0, end });
            }
            true
        }
        (Value::Hash(left_body), Value::Hash(right_body)) => {
            if left_body.len() != right_body.len() {
                return false;
            }
            if known.unequal_before(left, right, left_body.len()) > 0 {
                open.push(Open::Hashes { left: left_body.iter(), right: right_body });
            }
            true
        }
        (Value::Closure(left_body), Value::Closure(right_body)) => {
            if left_body.function() != right_body.function() {
                return false;
            }
            if known.unequal_before(left, right, 1) > 0 {
                open.push(Open::Closures { left: left_body, right: right_body, next: 0 });
            }
            true
        }
        (Value::String(left_text), Value::String(right_text)) if left_text.as_str().len() >= LONG_TEXT => {
            Arc::ptr_eq(left_text, right_text)
                || known.unequal_before(left, right, 1) == 0
                || left_text.as_str() == right_text.as_str()
        }
        _ => equal_atoms(left, right),
    }
}

/// Whether these are the same list, which is equal to itself: it holds no nan. Only of integers and strings that is cheap
/// to be sure about.
fn is_one_without_nan(left: &Value, right: &Value) -> bool {
    let (Value::List(left_start, left_body), Value::List(right_start, right_body)) = (left, right) else {
        return false;
    };
    left_start == right_start
        && Arc::ptr_eq(left_body, right_body)
        && List::new(*left_start, left_body).iter().all(|item| matches!(item, Value::Integer(_) | Value::String(_)))
}

/// Strings from this length on are not compared twice.
const LONG_TEXT: usize = 1024;

/// So many pairs are met before they are remembered: most comparisons end sooner.
const FORGOTTEN_PAIRS: usize = 64;

/// The pairs of shared values that a comparison has met. As it ends at the first difference, what it meets again is equal.
/// (An identical pair need not be, as it may hold nan.)
#[derive(Default)]
struct Known {
    met: usize,
    /// By the addresses of their bodies, and by how far apart they begin: the element of the left one from which on they
    /// were compared.
    pairs: Option<Pairs>,
}

type Pairs = HashMap<(usize, usize, i64), u32, foldhash::fast::RandomState>;

impl Known {
    /// How many elements may differ, from the first on; these count as known from now on.
    fn unequal_before(&mut self, left: &Value, right: &Value, length: usize) -> usize {
        self.met += 1;
        if self.met <= FORGOTTEN_PAIRS {
            return length;
        }
        // A pair that nobody else holds is not met again, unless the pair that holds it is.
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

/// What a container or string is known by.
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

/// Whether `left operator right`, if the operator is a comparison.
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

/// The order of two numbers, exactly, also between an integer and a float. `None` if one is nan or no number.
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

/// How a big integer stands to every small one.
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
    // Equal up to the point: what stands behind it decides.
    Some(integer.cmp(&whole).then(0.0.partial_cmp(&remainder)?))
}

/// The order of two values for `<` and its kin.
///
/// # Errors
/// If a pair of elements that decides has no order: the two values of that pair.
pub fn order<'a>(left: &'a Value, right: &'a Value) -> Result<Option<Ordering>, (&'a Value, &'a Value)> {
    let mut known = Known::default();
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
                // Inside lists, elements that are equal need no order, as in Python.
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

fn is_same(left: &Value, right: &Value, known: &mut Known) -> bool {
    if left.holds_values() { equal_containers(left, right, known) } else { equal_atoms(left, right) }
}

/// Two lists, equal before the next element.
struct OpenLists<'a> {
    left: List<'a>,
    right: List<'a>,
    next: usize,
    /// From here on they are known to be equal.
    end: usize,
}

enum Next<'a> {
    Pair(&'a Value, &'a Value),
    End(Ordering),
}

impl<'a> OpenLists<'a> {
    fn of(left: &'a Value, right: &'a Value, known: &mut Known) -> Option<OpenLists<'a>> {
        let (left_list, right_list) = (left.as_list()?, right.as_list()?);
        if left_list.len() != right_list.len() {
            return Some(OpenLists { left: left_list, right: right_list, next: 0, end: usize::MAX });
        }
        let end = known.unequal_before(left, right, left_list.len());
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
