//! The error handlers of a function.

use crate::{ExecutableError, Function};

/// A `try`: handles errors raised by the instructions of a range. The record's stack is cut to `height`, the error is
/// pushed as a hash (`language.md` lists its keys), and execution continues at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handler {
    /// The first instruction of the range.
    pub start: u32,
    /// One past its last instruction.
    pub end: u32,
    /// Where execution continues.
    pub target: u32,
    /// How many values of the record's stack are kept.
    pub height: u32,
}

/// Looks up the handlers that enclose an instruction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandlerIndex {
    /// The innermost handler from each of these instructions on, in code order.
    innermost: Vec<(u32, Option<u32>)>,
    /// The enclosing handler of each handler.
    parents: Vec<Option<u32>>,
}

impl HandlerIndex {
    /// Builds the index of a function's handlers.
    ///
    /// # Errors
    /// If a range is empty or outside the body, if ranges overlap or are not in order, or if a target precedes the end
    /// of its range.
    pub fn new(function: &Function) -> Result<HandlerIndex, ExecutableError> {
        let handlers = &function.handlers;
        let bad = |what: &str| Err(ExecutableError(format!("function {}: {what}", function.name)));
        let body = u64::from(function.start) + 2 * function.parameters.len() as u64;
        let mut parents = vec![None; handlers.len()];
        let mut edges = Vec::with_capacity(2 * handlers.len());
        // The handlers that may enclose the next ones, innermost last. The loop runs backwards: from outer to inner
        // handlers, and from the end of the code to its start.
        let mut around: Vec<u32> = Vec::new();
        for (index, handler) in handlers.iter().enumerate().rev() {
            let is_in_body = u64::from(handler.start) >= body && handler.target < function.end;
            if !is_in_body || handler.start >= handler.end || handler.target < handler.end {
                return bad("a handler has an invalid range");
            }
            while let Some(outer) = around.last().filter(|outer| handlers[**outer as usize].start >= handler.end) {
                edges.push((handlers[*outer as usize].start, Some(*outer)));
                around.pop();
            }
            let parent = around.last().copied();
            if let Some(outer) = parent.map(|outer| &handlers[outer as usize])
                && (handler.start < outer.start || handler.end > outer.end || handler.height < outer.height)
            {
                return bad("its handlers are not nested");
            }
            parents[index] = parent;
            edges.push((handler.end, parent));
            around.push(index as u32);
        }
        edges.extend(around.iter().rev().map(|outer| (handlers[*outer as usize].start, Some(*outer))));
        edges.reverse();
        // Of several edges at one instruction, the last one counts.
        edges.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        Ok(HandlerIndex { innermost: edges, parents })
    }

    /// The innermost handler whose range holds the instruction.
    pub fn innermost(&self, instruction: u32) -> Option<usize> {
        let next = self.innermost.partition_point(|(start, _)| *start <= instruction);
        self.innermost[..next].last()?.1.map(|handler| handler as usize)
    }

    /// The handler that directly encloses this one.
    pub fn parent(&self, handler: usize) -> Option<usize> {
        self.parents[handler].map(|parent| parent as usize)
    }

    /// All handlers whose ranges contain the instruction, innermost first.
    pub fn around(&self, instruction: u32) -> impl Iterator<Item = usize> {
        std::iter::successors(self.innermost(instruction), |handler| self.parent(*handler))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(ranges: &[(u32, u32)]) -> Function {
        let handler = |&(start, end): &(u32, u32)| Handler { start, end, target: end, height: 0 };
        Function { handlers: ranges.iter().map(handler).collect(), end: 100, ..Function::default() }
    }

    #[test]
    fn the_handlers_around_an_instruction_are_found() {
        let ranges = [(2, 4), (4, 6), (7, 8), (2, 9), (1, 9), (20, 30)];
        let index = HandlerIndex::new(&function(&ranges)).expect("they are nested");
        for at in 0..100 {
            let expected: Vec<usize> =
                (0..ranges.len()).filter(|handler| (ranges[*handler].0..ranges[*handler].1).contains(&at)).collect();
            assert_eq!(index.around(at).collect::<Vec<_>>(), expected, "{at}");
        }
    }

    #[test]
    fn ranges_that_make_no_sense_are_refused() {
        for ranges in
            [&[(1, 1)][..], &[(1, 100)], &[(1, 4), (3, 6)], &[(1, 9), (2, 4)], &[(6, 7), (1, 2)], &[(3, 5), (1, 4)]]
        {
            assert!(HandlerIndex::new(&function(ranges)).is_err(), "{ranges:?}");
        }
        assert_eq!(HandlerIndex::new(&function(&[])), Ok(HandlerIndex::default()));
    }
}
