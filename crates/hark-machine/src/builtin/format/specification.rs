//! Format specifications, the part after a field's colon:
//! `[[fill]align][sign][#][0][width][grouping][.precision][type]`.

use crate::builtin::Result;
use crate::builtin::argument::{check_string_bytes, quoted};
use crate::error::Error;
use crate::limits::STRING_BYTES_MAX;
use crate::number::article;
use crate::value::Value;

/// A parsed format specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Specification {
    pub fill: char,
    pub align: Option<Align>,
    pub sign: Option<Sign>,
    pub is_alternate: bool,
    /// Pads a number with zeros after its sign, unless an explicit alignment is given.
    pub is_zero_filled: bool,
    pub width: usize,
    pub grouping: Option<char>,
    pub precision: Option<usize>,
    /// The last character, which selects the presentation.
    pub kind: Option<char>,
}

/// The alignment of text that is shorter than the width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
    Center,
    /// The fill goes between a sign and the digits.
    BehindSign,
}

/// What precedes a number that is not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// Nothing. This is the default; it is kept apart because a string must not have a sign option.
    Minus,
    Plus,
    Blank,
}

fn align_of(character: char) -> Option<Align> {
    match character {
        '<' => Some(Align::Left),
        '>' => Some(Align::Right),
        '^' => Some(Align::Center),
        '=' => Some(Align::BehindSign),
        _ => None,
    }
}

impl Specification {
    pub fn parse(format: &str) -> Result<Specification> {
        let mut specification = Specification {
            fill: ' ',
            align: None,
            sign: None,
            is_alternate: false,
            is_zero_filled: false,
            width: 0,
            grouping: None,
            precision: None,
            kind: None,
        };
        let mut rest = format;
        let mut has_fill = false;
        let mut characters = rest.chars();
        if let (Some(first), second) = (characters.next(), characters.next()) {
            if let Some(align) = second.and_then(align_of) {
                (specification.fill, specification.align, has_fill) = (first, Some(align), true);
                rest = characters.as_str();
            } else if let Some(align) = align_of(first) {
                specification.align = Some(align);
                rest = &rest[1..];
            }
        }
        specification.sign = match rest.bytes().next() {
            Some(b'+') => Some(Sign::Plus),
            Some(b' ') => Some(Sign::Blank),
            Some(b'-') => Some(Sign::Minus),
            _ => None,
        };
        if specification.sign.is_some() {
            rest = &rest[1..];
        }
        if let Some(behind) = rest.strip_prefix('#') {
            specification.is_alternate = true;
            rest = behind;
        }
        // An explicit fill takes precedence.
        if let Some(behind) = rest.strip_prefix('0') {
            if !has_fill {
                specification.fill = '0';
            }
            specification.is_zero_filled = true;
            rest = behind;
        }
        if rest.starts_with(|character: char| character.is_ascii_digit()) {
            (specification.width, rest) = number(rest)?;
        }
        if let Some(grouping @ (',' | '_')) = rest.chars().next() {
            specification.grouping = Some(grouping);
            rest = &rest[1..];
            if rest.starts_with([',', '_']) {
                return Err(bad(format));
            }
        }
        if let Some(behind) = rest.strip_prefix('.') {
            if !behind.starts_with(|character: char| character.is_ascii_digit()) {
                return Err(bad(format));
            }
            let (precision, behind) = number(behind)?;
            specification.precision = Some(precision);
            rest = behind;
        }
        let mut kinds = rest.chars();
        specification.kind = kinds.next();
        if kinds.next().is_some() {
            return Err(bad(format));
        }
        Ok(specification)
    }

    /// Appends a text, cut to the precision and padded to the width.
    pub fn text(&self, text: &str, length: usize, format: &str, into: &mut String) -> Result<()> {
        let is_for_numbers = self.sign.is_some()
            || self.is_alternate
            || self.grouping.is_some()
            || self.align == Some(Align::BehindSign);
        if !matches!(self.kind, None | Some('s')) || is_for_numbers {
            return Err(unfit(format, "a string"));
        }
        let (text, length) = match self.precision {
            Some(precision) if precision < length => {
                let end = text.char_indices().nth(precision).map_or(text.len(), |(end, _)| end);
                (&text[..end], precision)
            }
            _ => (text, length),
        };
        self.pad(self.align.unwrap_or(Align::Left), "", text, length, into)
    }

    /// Appends a number of these two parts, padded to the width.
    pub fn pad_number(&self, sign: &str, digits: &str, into: &mut String) -> Result<()> {
        self.pad(self.number_align(), sign, digits, sign.len() + digits.len(), into)
    }

    /// The alignment of a number.
    pub fn number_align(&self) -> Align {
        self.align.unwrap_or(if self.is_zero_filled { Align::BehindSign } else { Align::Right })
    }

    /// Appends a text with this number of code points, padded to the width. The sign can be placed before the fill.
    fn pad(&self, align: Align, sign: &str, text: &str, length: usize, into: &mut String) -> Result<()> {
        let missing = self.width.saturating_sub(length);
        if missing == 0 {
            into.push_str(sign);
            into.push_str(text);
            return Ok(());
        }
        let bytes = into.len() + sign.len() + text.len();
        check_string_bytes("format", bytes as u128 + missing as u128 * self.fill.len_utf8() as u128)?;
        let before = match align {
            Align::Left => 0,
            Align::Right | Align::BehindSign => missing,
            Align::Center => missing / 2,
        };
        let fill = |count: usize, into: &mut String| into.extend(std::iter::repeat_n(self.fill, count));
        if align == Align::BehindSign {
            into.push_str(sign);
            fill(before, into);
        } else {
            fill(before, into);
            into.push_str(sign);
        }
        into.push_str(text);
        fill(missing - before, into);
        Ok(())
    }
}

/// The number at the beginning of a text, and the rest. A number beyond the size limit of strings is an error.
fn number(text: &str) -> Result<(usize, &str)> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    match text[..end].parse() {
        Ok(number) if number <= STRING_BYTES_MAX => Ok((number, &text[end..])),
        _ => Err(Error::limit(format!(
            "`format`: a width or precision of {} is too large, as a string has at most {STRING_BYTES_MAX} bytes",
            hark_bytecode::shortened(&text[..end])
        ))),
    }
}

#[cold]
pub(super) fn bad(format: &str) -> Error {
    Error::of_value(format!("`format` got {}, which is not a valid format", quoted(format)))
}

/// The error of a valid format that does not apply to this value.
#[cold]
pub(super) fn unfit(format: &str, what: &str) -> Error {
    Error::of_value(format!("`format` got {}, which is not a valid format for {what}", quoted(format)))
}

pub(super) fn unfit_for(format: &str, value: &Value) -> Error {
    unfit(format, &article(value.type_name()))
}
