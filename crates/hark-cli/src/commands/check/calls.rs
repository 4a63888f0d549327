//! The calls in a program's code, with all that is certain about their arguments without running it.

use std::collections::HashSet;
use std::ops::Range;

use hark_bytecode::builtins::Builtin;
use hark_bytecode::{Executable, Function, Global, Instruction, Literal, NameIndex, Span};

/// A call of a name that the calling function does not bind itself.
pub struct Call<'a> {
    /// The called name.
    pub name: NameIndex,
    /// The number of arguments.
    pub count: u32,
    /// What is known of the last argument.
    pub last: Last<'a>,
    /// The position in the source.
    pub span: Span,
}

/// What is certain about a call's last argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Last<'a> {
    /// There are no arguments, or the last is not a hash.
    NoHash,
    /// A hash with these keys.
    Hash(Vec<&'a str>),
    /// Nothing is certain.
    Unknown,
}

/// All calls in a function.
pub fn calls<'a>(
    executable: &'a Executable,
    globals: &[Option<Global>],
    function: &Function,
) -> impl Iterator<Item = Call<'a>> {
    let range = function.start as usize..function.end as usize;
    let straight = Straight::new(&executable.code[range.clone()]);
    let spans = &executable.spans[range];
    let pairs = straight.code.windows(2).zip(&spans[1..]).enumerate();
    pairs.filter_map(move |(at, (pair, span))| match pair {
        [Instruction::PushBinding(name), Instruction::Call(count) | Instruction::AsyncCall(count)]
            if !straight.bound.contains(name) =>
        {
            let last = if *count == 0 { Last::NoHash } else { straight.last(at, globals).unwrap_or(Last::Unknown) };
            Some(Call { name: *name, count: *count, last, span: *span })
        }
        _ => None,
    })
}

/// A function's code, read backward through straight-line code only.
struct Straight<'a> {
    code: &'a [Instruction],
    bound: HashSet<NameIndex>,
    targets: HashSet<usize>,
}

impl<'a> Straight<'a> {
    fn new(code: &'a [Instruction]) -> Straight<'a> {
        let mut straight = Straight { code, bound: HashSet::new(), targets: HashSet::new() };
        for (at, instruction) in code.iter().enumerate() {
            match instruction {
                Instruction::Bind(name) => {
                    straight.bound.insert(*name);
                }
                Instruction::Jump(distance)
                | Instruction::JumpIf(distance)
                | Instruction::And(distance)
                | Instruction::Or(distance) => {
                    straight.targets.extend((at + 1).checked_add_signed(*distance as isize));
                }
                _ => {}
            }
        }
        straight
    }

    /// The last argument; its code ends before `end`.
    fn last(&self, end: usize, globals: &[Option<Global>]) -> Option<Last<'a>> {
        let value = self.value_before(end)?;
        match &self.code[value.clone()] {
            [Instruction::PushValue(_)] => Some(Last::NoHash),
            [.., Instruction::PushBinding(name), Instruction::Call(count)]
                if !self.bound.contains(name) && globals[name.0 as usize] == Some(Global::Builtin(Builtin::Hash)) =>
            {
                self.keys(value.end - 2, *count).map(Last::Hash)
            }
            _ => None,
        }
    }

    /// The keys of a hash whose entries end before `end`, if all of them are string literals.
    fn keys(&self, mut end: usize, count: u32) -> Option<Vec<&'a str>> {
        let mut keys = Vec::new();
        for _ in 0..count / 2 {
            let key = self.value_before(self.value_before(end)?.start)?;
            let [Instruction::PushValue(Literal::String(text))] = &self.code[key.clone()] else { return None };
            keys.push(&**text);
            end = key.start;
        }
        keys.reverse();
        Some(keys)
    }

    /// The instructions before `end` that push one value.
    fn value_before(&self, end: usize) -> Option<Range<usize>> {
        let mut start = end;
        let mut missing = 1_u64;
        while missing > 0 {
            // A jump to `start` means that another path may have pushed a different value.
            if self.targets.contains(&start) {
                return None;
            }
            start = start.checked_sub(1)?;
            match &self.code[start] {
                Instruction::PushValue(_) | Instruction::PushBinding(_) => missing -= 1,
                Instruction::Call(count) | Instruction::AsyncCall(count) => missing += u64::from(*count),
                Instruction::Wait => {}
                _ => return None,
            }
        }
        Some(start..end)
    }
}
