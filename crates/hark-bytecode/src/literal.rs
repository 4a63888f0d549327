//! Floats and strings as literals of the language, and quoted text in messages.

use std::borrow::Cow;

/// A double needs at most 17 digits. A text with fewer digits than this is never half-way between two candidates.
const HALFWAY_DIGITS_MIN: usize = 15;

/// A float exactly half-way between two texts has one digit more than they have, then zeros. This many zeros are
/// checked before all digits are computed.
const ZEROS_CHECKED: usize = 20;

/// No double has more decimal digits than this.
const DIGITS_MAX: usize = 770;

/// A float as Python's `repr` shows it: the fewest digits that round-trip, of several such texts the nearest one, and
/// the even one in a tie; always with a `.` or an exponent.
pub fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // Rust's `{:e}` also gives the shortest digits: `d.ddde±x`.
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let even = if digits.len() < HALFWAY_DIGITS_MIN { None } else { even_digits(value, digits, exponent) };
    let digits = even.as_deref().unwrap_or(digits);
    if (-4..16).contains(&exponent) {
        return positional(digits, exponent);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// If a float is exactly half-way between two texts, Rust takes the larger one. Returns the other one if that is even.
#[cold]
fn even_digits(value: f64, digits: &str, exponent: i32) -> Option<String> {
    let last = digits.bytes().last()?;
    if last.is_multiple_of(2) {
        return None;
    }
    let mut even = digits[..digits.len() - 1].to_owned();
    even.push(char::from(last - 1));
    if format!("{even}e{exponent}").parse() != Ok(value) {
        return None;
    }
    let behind_point = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let is_halfway = |precision: usize| {
        let exact = format!("{value:.precision$e}");
        let rest = exact.strip_prefix(&even).and_then(|rest| rest.strip_prefix('5'));
        rest.is_some_and(|rest| rest.bytes().take_while(|byte| *byte != b'e').all(|byte| byte == b'0'))
    };
    (is_halfway(behind_point + ZEROS_CHECKED) && is_halfway(DIGITS_MAX)).then_some(even)
}

/// `d.ddd` times a power of ten, written without an exponent.
fn positional(digits: &str, exponent: i32) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = digits.replace('.', "");
    let Ok(exponent) = usize::try_from(exponent) else {
        let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
        return format!("{sign}0.{zeros}{digits}");
    };
    let (whole, fraction) = digits.split_at((exponent + 1).min(digits.len()));
    format!("{sign}{whole:0<width$}.{}", if fraction.is_empty() { "0" } else { fraction }, width = exponent + 1)
}

/// Text chosen by the user is cut to this length in messages.
pub const QUOTED_CHARACTERS_MAX: usize = 60;

/// A text for a message, cut if it is long: a name may be as long as a file.
pub fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(QUOTED_CHARACTERS_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}...", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// A message in which every long text between backticks is cut.
pub fn with_short_quotes(message: String) -> String {
    if message.len() <= QUOTED_CHARACTERS_MAX {
        return message;
    }
    let pieces = message.split('`').enumerate();
    let shown = pieces.map(|(number, piece)| if number % 2 == 1 { shortened(piece) } else { Cow::Borrowed(piece) });
    shown.collect::<Vec<_>>().join("`")
}

/// A string as a Hark literal in double quotes.
pub fn string_text(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            control if control.is_ascii_control() || ('\u{80}'..'\u{a0}').contains(&control) => {
                text.push_str(&format!("\\x{:02x}", control as u32));
            }
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: f64, text: &str) {
        assert_eq!(float_text(value), text);
        assert_eq!(float_text(-value), format!("-{text}"));
    }

    /// Checks a float given by all its digits.
    #[track_caller]
    fn halfway(digits: &str, text: &str) {
        check(digits.parse().expect("digits make a float"), text);
    }

    #[test]
    fn floats_are_written_as_by_python() {
        check(0.0, "0.0");
        check(1.0, "1.0");
        check(0.1, "0.1");
        check(0.0001, "0.0001");
        check(0.000_123, "0.000123");
        check(0.000_01, "1e-05");
        check(123_456.75, "123456.75");
        check(9_007_199_254_740_993.0, "9007199254740992.0");
        check(1e15, "1000000000000000.0");
        check(1e16, "1e+16");
        check(1.5e300, "1.5e+300");
        check(5e-324, "5e-324");
        check(f64::MAX, "1.7976931348623157e+308");
        check(f64::MIN_POSITIVE, "2.2250738585072014e-308");
    }

    #[test]
    fn what_is_quoted_is_cut() {
        let (long, cut) = ("é".repeat(61), format!("{}...", "é".repeat(60)));
        assert_eq!(shortened(&long), cut);
        assert_eq!(shortened(&long[2..]), long[2..]);
        let message = format!("`{long}` is no {long}, but `x` or `{long}`");
        assert_eq!(with_short_quotes(message), format!("`{cut}` is no {long}, but `x` or `{cut}`"));
    }

    #[test]
    fn of_two_texts_as_near_the_even_one_is_written() {
        halfway("562949953421312.25", "562949953421312.2");
        halfway("93997778137633.625", "93997778137633.62");
        halfway("1.00000762939453125", "1.0000076293945312");
        halfway("8.0000152587890625", "8.000015258789062");
        halfway("2097152.00048828125", "2097152.0004882812");
        halfway("562949953421312.75", "562949953421312.8");
        check(2f64.powi(-44), "5.684341886080802e-14");
    }
}
