//! Numbers parsed from text as by Python's `float` and `int`: surrounding white space, `_` between digits, the digits
//! of every script, `inf` and `nan` in any case.

use std::borrow::Cow;

use num_bigint::BigInt;

use crate::limits::DECIMAL_BITS_MAX;
use crate::value::Value;

/// The digit 0 of each script other than Latin, in ascending order; Unicode guarantees that 1 to 9 follow directly.
#[rustfmt::skip]
const ZEROS: [u32; 74] = [
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6, 0x0e50,
    0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
    0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x10d40, 0x11066, 0x110f0,
    0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0, 0x11950, 0x11bf0,
    0x11c50, 0x11d50, 0x11da0, 0x11de0, 0x11f50, 0x16a60, 0x16ac0, 0x16b50, 0x1ccf0, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec,
    0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950, 0x1fbf0,
];

/// The float denoted by this text, if any.
pub(crate) fn float_from(text: &str) -> Option<f64> {
    let text = in_ascii(text)?;
    without_underscores(trimmed(&text))?.parse().ok()
}

/// The integer denoted by a text.
#[derive(Debug, PartialEq)]
pub(crate) enum IntegerText {
    Integer(Value),
    /// It has more digits than allowed.
    TooLong,
    /// It is not an integer.
    Other,
}

/// A bound on the digits of an integer of `DECIMAL_BITS_MAX` bits: a digit has 3.32 bits.
const DIGITS_MAX: u64 = DECIMAL_BITS_MAX * 100 / 332;

/// The integer denoted by this text.
pub(crate) fn integer_from(text: &str) -> IntegerText {
    let read = in_ascii(text);
    let Some(text) = read.as_deref().and_then(|text| without_underscores(trimmed(text))) else {
        return IntegerText::Other;
    };
    if let Ok(small) = text.parse() {
        return IntegerText::Integer(Value::Integer(small));
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return IntegerText::Other;
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() as u64 > DIGITS_MAX {
        return IntegerText::TooLong;
    }
    let value: BigInt = digits.parse().unwrap_or_default();
    IntegerText::Integer(Value::big_integer(if text.starts_with('-') { -value } else { value }))
}

/// The text with its digits and white space converted to ASCII; `None` if it has other characters.
fn in_ascii(text: &str) -> Option<Cow<'_, str>> {
    if text.is_ascii() {
        return Some(Cow::Borrowed(text));
    }
    text.chars().map(ascii_of).collect::<Option<String>>().map(Cow::Owned)
}

fn ascii_of(character: char) -> Option<char> {
    match character {
        // Python accepts these as white space too, but only in texts with non-ASCII characters.
        '\x1c'..='\x1f' => Some(' '),
        ascii if ascii.is_ascii() => Some(ascii),
        blank if blank.is_whitespace() => Some(' '),
        other => {
            let next = ZEROS.partition_point(|zero| *zero <= u32::from(other));
            let zero = ZEROS.get(next.checked_sub(1)?)?;
            char::from_digit(u32::from(other) - zero, 10)
        }
    }
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_ascii_whitespace() || character == '\x0b')
}

/// Each `_` must stand between two digits.
fn without_underscores(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let is_digit = |index: Option<usize>| index.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let proper = |at: usize| bytes[at] != b'_' || is_digit(at.checked_sub(1)) && is_digit(Some(at + 1));
    (0..bytes.len()).all(proper).then(|| Cow::Owned(text.replace('_', "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_what_python_takes() {
        for (text, value) in [
            (" 1.5\x0b\n", 1.5),
            ("1_000.5", 1000.5),
            ("1e1_0", 1e10),
            ("-.5", -0.5),
            ("+5.", 5.0),
            ("InFinity", f64::INFINITY),
            ("\u{a0}12\u{3000}", 12.0),
            ("\x1c\u{661}", 1.0),
            ("\u{661}_\u{662}", 12.0),
            ("\u{661}.\u{665}", 1.5),
            ("\u{967}e\u{968}", 100.0),
            ("\u{ff13}\u{1d7ff}9", 399.0),
        ] {
            assert_eq!(float_from(text), Some(value), "{text:?}");
        }
        assert!(float_from("-NaN").is_some_and(f64::is_nan));
    }

    #[test]
    fn it_takes_no_more() {
        for text in
            ["", " ", ".", "1__0", "_1", "1_", "1_.5", "1._5", "1_e5", "1e_5", "in_f", "0x1", "1 2", "\x1c1", "1\0"]
        {
            assert_eq!(float_from(text), None, "{text:?}");
        }
        for text in ["\u{b2}", "\u{2212}1", "\u{feff}1", "1\u{200b}", "\u{65f}", "\u{66a}", "\u{10ffff}", "\u{ff}"] {
            assert_eq!(float_from(text), None, "{text:?}");
        }
    }

    #[test]
    fn integers_are_what_python_takes() {
        let is = |text: &str, value: i64| {
            assert_eq!(integer_from(text), IntegerText::Integer(Value::Integer(value)), "{text:?}");
        };
        is(" +1_000\n", 1000);
        is("-0", 0);
        is("007", 7);
        is("\u{661}\u{3000}", 1);
        is("-9223372036854775808", i64::MIN);
        is(&format!("{}5", "0".repeat(2_000_000)), 5);
        let big = Value::big_integer(-(BigInt::from(10).pow(30)));
        assert_eq!(integer_from(&format!("-1{}", "0".repeat(30))), IntegerText::Integer(big));
        assert_eq!(integer_from(&"1".repeat(2_000_000)), IntegerText::TooLong);
        for text in ["", "-", "+-1", "1.0", "1e3", "0x1", "1__0", "_1", "1_", "1 2", "inf", "\u{b2}", "- 1"] {
            assert_eq!(integer_from(text), IntegerText::Other, "{text:?}");
        }
    }

    #[test]
    fn the_digits_are_in_order_and_apart() {
        assert!(ZEROS.windows(2).all(|pair| pair[0] + 10 <= pair[1]));
    }
}
