//! Counting loops: a self tail call that only steps one parameter up to a limit and optionally adds to, subtracts from
//! or multiplies another. Such code is common in a language without `for`.
//!
//! These loops are lowered like any other; this module finds the summary of an iteration, valid if all values are small
//! integers. The interpreter then executes many iterations at once and stops at the start of an iteration, so the
//! fallback for other values, errors, fuel and snapshots needs no special cases.

use std::collections::HashMap;

use hark_bytecode::Operator;

use super::operation::{Operation, Register};

/// The effect of an iteration, in terms of the values at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counting {
    pub counter: Register,
    /// The increment of the counter.
    pub step: i64,
    /// The loop continues as long as `counter operator limit`.
    pub operator: Operator,
    /// Neither the counter nor the total.
    pub limit: Term,
    pub total: Option<Total>,
}

impl Counting {
    /// The registers that it uses.
    pub fn registers(&self) -> impl Iterator<Item = Register> {
        let total = self.total.iter().flat_map(|total| [Some(total.register), total.term.register()]);
        [Some(self.counter), self.limit.register()].into_iter().chain(total).flatten()
    }
}

/// The other parameter that changes in an iteration: it becomes `total operator term`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Total {
    pub register: Register,
    /// `+`, `-` or `*`.
    pub operator: Operator,
    /// May be the counter, but not the total.
    pub term: Term,
}

/// A value that the iteration does not change before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Term {
    Register(Register),
    Integer(i32),
}

/// Summarizes a loop, if it only counts: `head` is its condition, `body` its iteration. `is_jump` says whether the head
/// jumps to the body or past it.
pub(super) fn find(head: &Operation, is_jump: bool, body: &[Operation], parameters: u32) -> Option<Counting> {
    let (operator, counter, limit) = comparison(head)?;
    let operator = if is_jump { operator } else { opposite(operator)? };
    let mut round = Round { parameters, values: HashMap::new() };
    body.iter().try_for_each(|operation| round.follow(operation))?;
    let step = match round.value(counter)? {
        Symbol::Result(Operator::Add, from, Term::Integer(step)) if from == counter => i64::from(step),
        Symbol::Result(Operator::Subtract, from, Term::Integer(step)) if from == counter => -i64::from(step),
        _ => return None,
    };
    let mut totals = (0..parameters).filter(|register| *register != counter && round.changes(*register));
    let total = match totals.next() {
        Some(register) => Some(round.total(register)?),
        None => None,
    };
    let limit_stays = !matches!(limit, Term::Register(register) if register >= parameters || round.changes(register));
    let is_all = totals.next().is_none();
    (is_all && limit_stays).then_some(Counting { counter, step, operator, limit, total })
}

/// The operands of a comparison with a jump.
fn comparison(head: &Operation) -> Option<(Operator, Register, Term)> {
    use Operation as O;
    Some(match *head {
        O::JumpEqual { left, right, .. } => (Operator::Equal, left, Term::Register(right)),
        O::JumpNotEqual { left, right, .. } => (Operator::NotEqual, left, Term::Register(right)),
        O::JumpLess { left, right, .. } => (Operator::Less, left, Term::Register(right)),
        O::JumpLessOrEqual { left, right, .. } => (Operator::LessOrEqual, left, Term::Register(right)),
        O::JumpGreater { left, right, .. } => (Operator::Greater, left, Term::Register(right)),
        O::JumpGreaterOrEqual { left, right, .. } => (Operator::GreaterOrEqual, left, Term::Register(right)),
        O::JumpEqualInteger { left, right, .. } => (Operator::Equal, left, Term::Integer(right)),
        O::JumpNotEqualInteger { left, right, .. } => (Operator::NotEqual, left, Term::Integer(right)),
        O::JumpLessInteger { left, right, .. } => (Operator::Less, left, Term::Integer(right)),
        O::JumpLessOrEqualInteger { left, right, .. } => (Operator::LessOrEqual, left, Term::Integer(right)),
        O::JumpGreaterInteger { left, right, .. } => (Operator::Greater, left, Term::Integer(right)),
        O::JumpGreaterOrEqualInteger { left, right, .. } => (Operator::GreaterOrEqual, left, Term::Integer(right)),
        _ => return None,
    })
}

/// The negation of a comparison of integers.
fn opposite(operator: Operator) -> Option<Operator> {
    Some(match operator {
        Operator::Equal => Operator::NotEqual,
        Operator::NotEqual => Operator::Equal,
        Operator::Less => Operator::GreaterOrEqual,
        Operator::LessOrEqual => Operator::Greater,
        Operator::Greater => Operator::LessOrEqual,
        Operator::GreaterOrEqual => Operator::Less,
        _ => return None,
    })
}

impl Term {
    fn register(self) -> Option<Register> {
        match self {
            Term::Register(register) => Some(register),
            Term::Integer(_) => None,
        }
    }
}

/// The symbolic value of a register during an iteration.
#[derive(Clone, Copy)]
enum Symbol {
    Parameter(Register),
    Result(Operator, Register, Term),
}

/// An iteration executed symbolically.
struct Round {
    parameters: u32,
    values: HashMap<Register, Symbol>,
}

impl Round {
    /// Executes an operation symbolically; `None` if a counting loop cannot contain it.
    fn follow(&mut self, operation: &Operation) -> Option<()> {
        use Operation as O;
        let (to, value) = match *operation {
            O::Take { to, from } | O::Copy { to, from } => (to, self.value(from)?),
            O::Add { to, left, right, .. } => (to, self.result(Operator::Add, left, Term::Register(right))?),
            O::Subtract { to, left, right, .. } => (to, self.result(Operator::Subtract, left, Term::Register(right))?),
            O::Multiply { to, left, right, .. } => (to, self.result(Operator::Multiply, left, Term::Register(right))?),
            O::AddInteger { to, left, right, .. } => (to, self.result(Operator::Add, left, Term::Integer(right))?),
            O::SubtractInteger { to, left, right, .. } => {
                (to, self.result(Operator::Subtract, left, Term::Integer(right))?)
            }
            O::MultiplyInteger { to, left, right, .. } => {
                (to, self.result(Operator::Multiply, left, Term::Integer(right))?)
            }
            _ => return None,
        };
        self.values.insert(to, value);
        Some(())
    }

    fn value(&self, register: Register) -> Option<Symbol> {
        let at_start = (register < self.parameters).then_some(Symbol::Parameter(register));
        self.values.get(&register).copied().or(at_start)
    }

    fn parameter(&self, register: Register) -> Option<Register> {
        match self.value(register)? {
            Symbol::Parameter(parameter) => Some(parameter),
            Symbol::Result(..) => None,
        }
    }

    fn result(&self, operator: Operator, left: Register, right: Term) -> Option<Symbol> {
        let right = match right {
            Term::Register(register) => Term::Register(self.parameter(register)?),
            integer @ Term::Integer(_) => integer,
        };
        Some(Symbol::Result(operator, self.parameter(left)?, right))
    }

    fn changes(&self, register: Register) -> bool {
        self.parameter(register) != Some(register)
    }

    fn total(&self, register: Register) -> Option<Total> {
        let Symbol::Result(operator, left, right) = self.value(register)? else { return None };
        let (left, term) = match right {
            Term::Register(right) if right == register && operator != Operator::Subtract => {
                (right, Term::Register(left))
            }
            _ => (left, right),
        };
        (left == register && term != Term::Register(register)).then_some(Total { register, operator, term })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWAY: Operation = Operation::JumpGreaterInteger { consume: 0, left: 0, right: 9, target: 0 };

    fn add(to: Register, left: Register, right: Register) -> Operation {
        Operation::Add { consume: 0, to, left, right }
    }

    fn step(to: Register, left: Register) -> Operation {
        Operation::AddInteger { consume: 0, to, left, right: 1 }
    }

    #[test]
    fn a_sum_is_found_whichever_way_it_is_written() {
        let limit = Term::Integer(9);
        let total = Some(Total { register: 1, operator: Operator::Add, term: Term::Register(0) });
        let sum = Counting { counter: 0, step: 1, operator: Operator::LessOrEqual, limit, total };
        let take = Operation::Take { to: 0, from: 4 };
        assert_eq!(find(&AWAY, false, &[step(4, 0), add(1, 1, 0), take], 2), Some(sum.clone()));
        assert_eq!(find(&AWAY, false, &[step(4, 0), add(1, 0, 1), take], 2), Some(sum.clone()));
        assert_eq!(find(&AWAY, false, &[add(1, 1, 0), step(0, 0)], 2), Some(sum.clone()));
        assert_eq!(
            find(&AWAY, true, &[step(0, 0)], 1),
            Some(Counting { operator: Operator::Greater, total: None, ..sum })
        );
    }

    #[test]
    fn what_a_round_does_besides_is_noticed() {
        let round = |body: &[Operation], parameters| find(&AWAY, false, body, parameters);
        assert_eq!(round(&[step(0, 0), add(1, 1, 0)], 2), None, "the total needs the stepped counter");
        assert_eq!(round(&[step(0, 0), add(1, 1, 1)], 2), None, "the total is doubled");
        assert_eq!(round(&[step(0, 0), step(1, 1), step(2, 2)], 3), None, "there are two totals");
        assert_eq!(round(&[step(4, 0), add(1, 1, 0)], 2), None, "the counter stays");
        assert_eq!(round(&[step(0, 1)], 2), None, "the counter becomes another parameter");
        let by_parameter = Operation::JumpLess { consume: 0, left: 0, right: 1, target: 0 };
        assert!(find(&by_parameter, true, &[step(0, 0)], 2).is_some());
        assert_eq!(find(&by_parameter, true, &[step(0, 0), step(1, 1)], 2), None, "the limit moves");
    }
}
