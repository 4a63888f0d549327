//! Executes many iterations of a counting loop at once, with its variables in processor registers.

use hark_bytecode::Operator;

use crate::compare;
use crate::program::{Counting, Term};
use crate::registers::Window;
use crate::value::Value;

/// The variables that change in each iteration.
struct Values {
    counter: i64,
    total: i64,
}

/// Runs iterations until the loop ends, the fuel is used up, or a value would leave 64 bits; returns the fuel left. The
/// thread is then at the start of the first iteration that was not done.
#[inline(never)]
pub(super) fn run(counting: &Counting, window: &mut Window, fuel: u32) -> u32 {
    let Value::Integer(counter) = *window.get(counting.counter) else { return fuel };
    let Some(limit) = integer(counting.limit, window) else { return fuel };
    let Some(total) = &counting.total else {
        let (values, left) = rounds(counting, limit, Values { counter, total: 0 }, fuel, |values| Some(values.total));
        window.set(counting.counter, Value::Integer(values.counter));
        return left;
    };
    let Value::Integer(start) = *window.get(total.register) else { return fuel };
    let Some(term) = integer(total.term, window) else { return fuel };
    let by_counter = total.term == Term::Register(counting.counter);
    let values = Values { counter, total: start };
    let (values, left) = match (total.operator, by_counter) {
        (Operator::Add, true) => rounds(counting, limit, values, fuel, |now| now.total.checked_add(now.counter)),
        (Operator::Add, false) => rounds(counting, limit, values, fuel, |now| now.total.checked_add(term)),
        (Operator::Subtract, true) => rounds(counting, limit, values, fuel, |now| now.total.checked_sub(now.counter)),
        (Operator::Subtract, false) => rounds(counting, limit, values, fuel, |now| now.total.checked_sub(term)),
        (_, true) => rounds(counting, limit, values, fuel, |now| now.total.checked_mul(now.counter)),
        (_, false) => rounds(counting, limit, values, fuel, |now| now.total.checked_mul(term)),
    };
    window.set(counting.counter, Value::Integer(values.counter));
    window.set(total.register, Value::Integer(values.total));
    left
}

/// The value of a term, if it is a small integer.
fn integer(term: Term, window: &Window) -> Option<i64> {
    match term {
        Term::Integer(value) => Some(i64::from(value)),
        Term::Register(register) => match *window.get(register) {
            Value::Integer(value) => Some(value),
            _ => None,
        },
    }
}

#[inline(always)]
fn rounds(
    counting: &Counting,
    limit: i64,
    mut values: Values,
    fuel: u32,
    next_total: impl Fn(&Values) -> Option<i64>,
) -> (Values, u32) {
    let most = rounds_left(counting, limit, values.counter).min(u64::from(fuel)) as u32;
    let mut left = most;
    while left > 0
        && let Some(total) = next_total(&values)
    {
        values = Values { counter: values.counter + counting.step, total };
        left -= 1;
    }
    (values, fuel - (most - left))
}

/// The maximum number of iterations before the comparison fails or the counter overflows.
fn rounds_left(counting: &Counting, limit: i64, counter: i64) -> u64 {
    let (operator, step) = (counting.operator, counting.step);
    if compare::integers(operator, counter, limit) != Some(true) {
        return 0;
    }
    let (is_upward, stride) = (step > 0, step.unsigned_abs());
    if stride == 0 {
        return u64::MAX;
    }
    let distance = limit.abs_diff(counter);
    let to_limit = match (operator, is_upward) {
        (Operator::LessOrEqual, true) | (Operator::GreaterOrEqual, false) => (distance / stride).saturating_add(1),
        (Operator::Less, true) | (Operator::Greater, false) => distance.div_ceil(stride),
        (Operator::Equal, _) => 1,
        (Operator::NotEqual, _) if (limit > counter) == is_upward && distance.is_multiple_of(stride) => {
            distance / stride
        }
        _ => u64::MAX,
    };
    let end = if is_upward { i64::MAX } else { i64::MIN };
    to_limit.min(end.abs_diff(counter) / stride)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(operator: Operator, step: i64, start: i64, limit: i64, fuel: u32) -> (i64, i64, u32) {
        let counting = Counting { counter: 0, step, operator, limit: Term::Register(1), total: None };
        let values = Values { counter: start, total: 0 };
        let (values, left) = rounds(&counting, limit, values, fuel, |now| now.total.checked_add(now.counter));
        (values.counter, values.total, left)
    }

    #[test]
    fn rounds_end_at_the_limit_without_fuel_and_before_an_overflow() {
        assert_eq!(count(Operator::LessOrEqual, 1, 1, 10, 100), (11, 55, 90));
        assert_eq!(count(Operator::NotEqual, -2, 10, 0, 100), (0, 30, 95));
        assert_eq!(count(Operator::Less, 1, 7, 7, 100), (7, 0, 100));
        assert_eq!(count(Operator::GreaterOrEqual, 1, 0, 0, 3), (3, 3, 0));
        assert_eq!(count(Operator::Greater, 1, i64::MAX - 1, 0, 100), (i64::MAX, i64::MAX - 1, 99));
        assert_eq!(count(Operator::Greater, -1, i64::MAX - 1, 0, 100), (i64::MAX - 2, i64::MAX - 1, 99));
    }

    #[test]
    fn so_many_rounds_are_left_as_are_done_one_by_one() {
        let operators = [
            Operator::Equal,
            Operator::NotEqual,
            Operator::Less,
            Operator::LessOrEqual,
            Operator::Greater,
            Operator::GreaterOrEqual,
        ];
        let ends = [i64::MIN, i64::MIN + 5, -3, 0, 4, i64::MAX - 4, i64::MAX];
        for operator in operators {
            for step in [-3, -1, 0, 1, 2, 7, i64::MAX, -i64::MAX] {
                for (counter, limit) in ends.iter().flat_map(|counter| ends.map(|limit| (*counter, limit))) {
                    let (mut now, mut done) = (counter, 0);
                    while done < 20 && compare::integers(operator, now, limit) == Some(true) {
                        let Some(next) = now.checked_add(step) else { break };
                        (now, done) = (next, done + 1);
                    }
                    let counting = Counting { counter: 0, step, operator, limit: Term::Integer(0), total: None };
                    let left = rounds_left(&counting, limit, counter).min(20);
                    assert_eq!(left, done, "{counter} {} {limit}, in steps of {step}", operator.symbol());
                }
            }
        }
    }
}
