//! Formatting of numbers.

use std::fmt::Write;

use hark_bytecode::float_text;
use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};

use super::specification::{Align, Sign, Specification, bad, unfit_for};
use crate::builtin::Result;
use crate::builtin::argument::check_string_bytes;
use crate::error::Error;
use crate::limits::DECIMAL_BITS_MAX;
use crate::number;
use crate::value::Value;

/// The maximum number of nonzero digits of a float after the decimal point.
const FRACTION_DIGITS_MAX: usize = 1074;

/// The maximum number of significant digits of a float.
const DIGITS_MAX: usize = 767;

impl Specification {
    /// Appends an integer.
    pub fn small_integer(&self, value: i64, format: &str, into: &mut String) -> Result<()> {
        match self.kind {
            None | Some('d') if self.grouping.is_none() && self.precision.is_none() => {
                let mut digits = Digits::new();
                // A 64-bit integer has at most 20 digits.
                _ = write!(digits, "{}", value.unsigned_abs());
                self.pad_number(self.sign_of(value < 0), digits.as_str(), into)
            }
            Some('f' | 'F' | 'e' | 'E' | 'g' | 'G' | '%') => self.float(value as f64, format, into),
            _ => self.integer(&BigInt::from(value), format, into),
        }
    }

    /// Appends a number other than a small integer.
    pub fn number(&self, value: &Value, format: &str, into: &mut String) -> Result<()> {
        match (value, self.kind) {
            (Value::Float(float), _) => self.float(*float, format, into),
            (Value::BigInteger(big), Some('f' | 'F' | 'e' | 'E' | 'g' | 'G' | '%')) => {
                let float = number::to_float(big).ok_or_else(|| number::too_large_for_float("format", big))?;
                self.float(float, format, into)
            }
            (Value::BigInteger(big), _) => self.integer(big, format, into),
            (other, _) => Err(unfit_for(format, other)),
        }
    }

    fn integer(&self, value: &BigInt, format: &str, into: &mut String) -> Result<()> {
        if self.precision.is_some() || self.grouping == Some(',') && !matches!(self.kind, None | Some('d')) {
            return Err(unfit_for(format, &Value::Integer(0)));
        }
        let magnitude = value.magnitude();
        let (prefix, digits, group) = match self.kind {
            None | Some('d' | 'n') => {
                if value.bits() > DECIMAL_BITS_MAX {
                    return Err(Error::limit(format!(
                        "`format`: the integer has {} bits, and at most {DECIMAL_BITS_MAX} are written as text",
                        value.bits()
                    )));
                }
                ("", magnitude.to_string(), 3)
            }
            Some('b') => ("0b", magnitude.to_str_radix(2), 4),
            Some('o') => ("0o", magnitude.to_str_radix(8), 4),
            Some('x') => ("0x", magnitude.to_str_radix(16), 4),
            Some('X') => ("0X", magnitude.to_str_radix(16).to_uppercase(), 4),
            Some('c') => return self.character(value, format, into),
            _ => return Err(unfit_for(format, &Value::Integer(0))),
        };
        if self.kind == Some('n') && self.grouping.is_some() {
            return Err(bad(format));
        }
        let sign = self.sign_of(value.is_negative());
        let prefix = if self.is_alternate { format!("{sign}{prefix}") } else { sign.to_owned() };
        self.grouped(&prefix, &digits, "", group, into)
    }

    /// Appends the character with this code point.
    fn character(&self, value: &BigInt, format: &str, into: &mut String) -> Result<()> {
        let character = value.to_u32().and_then(char::from_u32);
        match character {
            Some(character) if self.sign.is_none() && !self.is_alternate && self.grouping.is_none() => {
                let align = match self.number_align() {
                    Align::BehindSign => Align::Right,
                    align => align,
                };
                let plain = Specification { kind: None, align: Some(align), ..*self };
                plain.text(character.encode_utf8(&mut [0; 4]), 1, format, into)
            }
            Some(_) => Err(unfit_for(format, &Value::Integer(0))),
            None => {
                let code = crate::display::integer_text(value);
                Err(Error::of_value(format!("`format`: there is no character {code}")))
            }
        }
    }

    fn float(&self, value: f64, format: &str, into: &mut String) -> Result<()> {
        if !matches!(self.kind, None | Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'n' | '%')) {
            return Err(unfit_for(format, &Value::Float(0.0)));
        }
        if self.kind == Some('n') && self.grouping.is_some() {
            return Err(bad(format));
        }
        let sign = self.sign_of(value.is_sign_negative() && !value.is_nan());
        let magnitude = if self.kind == Some('%') { value.abs() * 100.0 } else { value.abs() };
        if !magnitude.is_finite() {
            let text = match (magnitude.is_nan(), matches!(self.kind, Some('E' | 'F' | 'G'))) {
                (true, false) => "nan",
                (true, true) => "NAN",
                (false, false) => "inf",
                (false, true) => "INF",
            };
            let text = if self.kind == Some('%') { format!("{text}%") } else { text.to_owned() };
            // `0` before the width fills here as well, as in Python.
            return self.pad_number(sign, &text, into);
        }
        check_string_bytes("format", into.len() as u128 + self.precision.unwrap_or(0) as u128 + 400)?;
        if self.kind == Some('f') && self.grouping.is_none() && !self.is_alternate {
            let mut digits = Digits::new();
            let precision = self.precision.unwrap_or(6);
            if precision <= 20 && magnitude < 1e40 {
                _ = write!(digits, "{magnitude:.precision$}");
                return self.pad_number(sign, digits.as_str(), into);
            }
        }
        let text = self.float_digits(magnitude);
        let whole = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        self.grouped(sign, &text[..whole], &text[whole..], 3, into)
    }

    /// The digits of a float that is finite and not negative.
    fn float_digits(&self, value: f64) -> String {
        let precision = self.precision.unwrap_or(6);
        match self.kind {
            Some('f' | 'F') => self.with_point(fixed(value, precision)),
            Some('%') => self.with_point(fixed(value, precision)) + "%",
            Some('e') => self.exponent(value, precision, 'e'),
            Some('E') => self.exponent(value, precision, 'E'),
            Some('G') => self.general(value, precision.max(1), 'E', 0),
            Some(_) => self.general(value, precision.max(1), 'e', 0),
            None => match self.precision {
                None => self.with_point(float_text(value)),
                Some(precision) => self.general(value, precision.max(1), 'e', 1),
            },
        }
    }

    /// Adds a point if `#` asks for one.
    fn with_point(&self, mut digits: String) -> String {
        if self.is_alternate && !digits.contains('.') {
            let end = digits.find(['e', 'E']).unwrap_or(digits.len());
            digits.insert(end, '.');
        }
        digits
    }

    fn exponent(&self, value: f64, precision: usize, mark: char) -> String {
        let (digits, exponent) = scientific(value, precision);
        let sign = if exponent < 0 { '-' } else { '+' };
        self.with_point(format!("{digits}{mark}{sign}{:02}", exponent.unsigned_abs()))
    }

    /// A number with this many significant digits, with an exponent if it is very large or small. `margin` is 1 if a
    /// number without an exponent always has a digit after the decimal point, which takes one of the digits.
    fn general(&self, value: f64, precision: usize, mark: char, margin: i32) -> String {
        let (digits, exponent) = scientific(value, precision - 1);
        let most = i32::try_from(precision).unwrap_or(i32::MAX);
        if exponent < -4 || exponent >= most - margin {
            let digits = if self.is_alternate { digits } else { without_zeros(&digits).to_owned() };
            let sign = if exponent < 0 { '-' } else { '+' };
            return self.with_point(format!("{digits}{mark}{sign}{:02}", exponent.unsigned_abs()));
        }
        let behind = usize::try_from(i64::from(most) - 1 - i64::from(exponent)).unwrap_or(0);
        let digits = fixed(value, behind);
        if self.is_alternate {
            return self.with_point(digits);
        }
        let digits = without_zeros(&digits).to_owned();
        if margin > 0 && !digits.contains('.') { digits + ".0" } else { digits }
    }

    /// Appends a number with its integer part grouped, padded with grouped zeros if requested.
    fn grouped(&self, sign: &str, whole: &str, rest: &str, group: usize, into: &mut String) -> Result<()> {
        let Some(separator) = self.grouping else {
            let digits = if rest.is_empty() { whole.to_owned() } else { format!("{whole}{rest}") };
            return self.pad_number(sign, &digits, into);
        };
        let mut count = whole.len();
        if self.fill == '0' && self.number_align() == Align::BehindSign {
            let room = self.width.saturating_sub(sign.len() + rest.len());
            // The number of digits that fill the width with their separators; the first character must not be a
            // separator.
            let digits = room - room / (group + 1);
            count = count.max(if room > 0 && room.is_multiple_of(group + 1) { digits + 1 } else { digits });
        }
        check_string_bytes("format", (into.len() + sign.len() + rest.len()) as u128 + count as u128 * 2)?;
        let mut digits = String::with_capacity(count + count / group + rest.len());
        let padded = std::iter::repeat_n('0', count.saturating_sub(whole.len())).chain(whole.chars());
        for (number, digit) in padded.enumerate() {
            if number > 0 && (count - number).is_multiple_of(group) {
                digits.push(separator);
            }
            digits.push(digit);
        }
        digits.push_str(rest);
        self.pad_number(sign, &digits, into)
    }

    fn sign_of(&self, is_negative: bool) -> &'static str {
        match (is_negative, self.sign) {
            (true, _) => "-",
            (false, None | Some(Sign::Minus)) => "",
            (false, Some(Sign::Plus)) => "+",
            (false, Some(Sign::Blank)) => " ",
        }
    }
}

/// A float with this many digits after the decimal point.
fn fixed(value: f64, precision: usize) -> String {
    let written = precision.min(FRACTION_DIGITS_MAX);
    let mut digits = format!("{value:.written$}");
    digits.extend(std::iter::repeat_n('0', precision - written));
    digits
}

/// The digits of a float as `d.ddd`, with this many after the decimal point, and the exponent.
fn scientific(value: f64, precision: usize) -> (String, i32) {
    let written = precision.min(DIGITS_MAX);
    let text = format!("{value:.written$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut digits = digits.to_owned();
    digits.extend(std::iter::repeat_n('0', precision - written));
    (digits, exponent.parse().unwrap_or(0))
}

/// Removes trailing zeros of a fraction, and the point if nothing is left.
fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// A buffer on the stack for the digits of a short number.
struct Digits {
    bytes: [u8; 64],
    length: usize,
}

impl Digits {
    fn new() -> Digits {
        Digits { bytes: [0; 64], length: 0 }
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Write for Digits {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
