//! Destructuring patterns: the left side of `[a, [b, _]] = value`.

use std::fmt;

use crate::ExecutableError;

/// A tree of lists, names and `_`, flattened in preorder: each list is followed by its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<PatternPart>,
}

/// One part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternPart {
    /// A list of exactly this many items.
    List(u32),
    /// A name, to which the value is bound.
    Name,
    /// `_`: matches anything and binds nothing.
    Any,
}

impl Pattern {
    /// Makes a pattern of these parts.
    ///
    /// # Errors
    /// If the parts do not form exactly one list.
    pub fn new(parts: Vec<PatternPart>) -> Result<Pattern, ExecutableError> {
        let mut missing: u64 = 1;
        for (index, part) in parts.iter().enumerate() {
            if missing == 0 || index == 0 && !matches!(part, PatternPart::List(_)) {
                return Err(ExecutableError("a pattern is not a list".into()));
            }
            missing -= 1;
            if let PatternPart::List(length) = part {
                missing += u64::from(*length);
            }
        }
        if missing == 0 { Ok(Pattern { parts }) } else { Err(ExecutableError("a pattern is cut off".into())) }
    }

    /// The parts in preorder, beginning with the whole list.
    pub fn parts(&self) -> &[PatternPart] {
        &self.parts
    }

    /// The number of names it binds.
    pub fn names(&self) -> usize {
        self.parts.iter().filter(|part| **part == PatternPart::Name).count()
    }
}

/// `[x, [x, _]]`
impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The number of parts still missing from each open list.
        let mut open: Vec<u32> = Vec::new();
        for part in &self.parts {
            match part {
                PatternPart::List(length) => {
                    formatter.write_str("[")?;
                    open.push(*length);
                }
                PatternPart::Name => formatter.write_str("x")?,
                PatternPart::Any => formatter.write_str("_")?,
            }
            if matches!(part, PatternPart::List(1..)) {
                continue;
            }
            if matches!(part, PatternPart::List(0)) {
                open.pop();
                formatter.write_str("]")?;
            }
            while let Some(missing) = open.last_mut() {
                *missing -= 1;
                if *missing > 0 {
                    formatter.write_str(", ")?;
                    break;
                }
                open.pop();
                formatter.write_str("]")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::PatternPart::{Any, List, Name};
    use super::*;

    #[test]
    fn a_pattern_is_shown_as_it_is_written() {
        let shown = |parts: &[PatternPart]| Pattern::new(parts.to_vec()).map(|pattern| pattern.to_string());
        assert_eq!(shown(&[List(0)]), Ok("[]".into()));
        assert_eq!(shown(&[List(2), Name, List(2), Any, Name]), Ok("[x, [_, x]]".into()));
        assert_eq!(shown(&[List(3), List(1), List(0), Name, List(0)]), Ok("[[[]], x, []]".into()));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for parts in [&[][..], &[Name], &[List(1)], &[List(1), Name, Name], &[List(u32::MAX), Name]] {
            assert!(Pattern::new(parts.to_vec()).is_err(), "{parts:?}");
        }
    }
}
