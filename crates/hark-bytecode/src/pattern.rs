//! What a value is taken apart by: the left side of `[a, [b, _]] = value`.

use std::fmt;

use crate::ExecutableError;

/// A list of names, of `_`, and of such lists, in one row: each list's parts follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<PatternPart>,
}

/// One part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternPart {
    /// A list of exactly so many items.
    List(u32),
    /// A name: its value is wanted.
    Name,
    /// `_`: anything, and it is not wanted.
    Any,
}

impl Pattern {
    /// A pattern of these parts.
    ///
    /// # Errors
    /// If they do not make up one list.
    pub fn new(parts: Vec<PatternPart>) -> Result<Pattern, ExecutableError> {
        let mut missing: u64 = 1;
        for (index, part) in parts.iter().enumerate() {
            if missing == 0 || index == 0 && !matches!(part, PatternPart::List(_)) {
                return Err(ExecutableError("a pattern is no list".into()));
            }
            missing -= 1;
            if let PatternPart::List(length) = part {
                missing += u64::from(*length);
            }
        }
        if missing == 0 { Ok(Pattern { parts }) } else { Err(ExecutableError("a pattern is cut off".into())) }
    }

    /// Its parts, the whole list first.
    pub fn parts(&self) -> &[PatternPart] {
        &self.parts
    }

    /// How many names it has.
    pub fn names(&self) -> usize {
        self.parts.iter().filter(|part| **part == PatternPart::Name).count()
    }
}

/// `[x, [x, _]]`
impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // How many parts each open list still lacks.
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
