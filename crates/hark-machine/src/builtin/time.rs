//! Times as text: ISO 8601 in UTC.

use super::Result;
use super::argument::{number_text, quoted, text};
use super::number::to_float;
use crate::error::Error;
use crate::value::Value;

const MICROSECONDS: i64 = 1_000_000;
const SECONDS_OF_DAY: i64 = 86_400;

/// The microseconds from 1970 to the beginning of the years 1 and 10000.
const TIMES: std::ops::Range<i64> = -62_135_596_800 * MICROSECONDS..253_402_300_800 * MICROSECONDS;

/// A time in seconds since 1970 as text; with microseconds if it is not whole.
pub(super) fn format_time(time: &Value) -> Result<Value> {
    let seconds = to_float("format_time", "a number of seconds", time)?;
    let microseconds = match time {
        Value::Integer(seconds) => seconds.saturating_mul(MICROSECONDS),
        // Split first, to keep the precision of the fraction.
        _ => (seconds.floor() as i64)
            .saturating_mul(MICROSECONDS)
            .saturating_add(((seconds - seconds.floor()) * 1e6).round_ties_even() as i64),
    };
    if seconds.is_nan() || !TIMES.contains(&microseconds) {
        let got = number_text(time);
        return Err(Error::of_value(format!("`format_time` needs a time in the years 1 to 9999, but got {got}")));
    }
    let (seconds, fraction) = (microseconds.div_euclid(MICROSECONDS), microseconds.rem_euclid(MICROSECONDS));
    let (year, month, day) = date_of(seconds.div_euclid(SECONDS_OF_DAY));
    let of_day = seconds.rem_euclid(SECONDS_OF_DAY);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}") };
    Ok(Value::string(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")))
}

/// The time denoted by a text, in seconds since 1970.
pub(super) fn parse_time(value: &Value) -> Result<Value> {
    let whole = text("parse_time", "a string", value)?.as_str();
    match microseconds_of(whole) {
        Some(microseconds) => Ok(Value::Float(microseconds as f64 / 1e6)),
        None => {
            let got = quoted(whole);
            Err(Error::of_value(format!("`parse_time` needs a time like \"2026-11-26T09:30:00Z\", but got {got}")))
        }
    }
}

/// Parses `YYYY-MM-DD`, optionally followed by `T` or a blank and `HH:MM`, `HH:MM:SS` or `HH:MM:SS.ffffff`, and then
/// optionally by `Z` or a UTC offset.
fn microseconds_of(text: &str) -> Option<i64> {
    let mut rest = Rest(text.as_bytes());
    let (year, month, day) = (rest.number(4)?, rest.after(b"-", 2)?, rest.after(b"-", 2)?);
    let (mut seconds, mut fraction, mut offset) = (days_before(year, month, day)? * SECONDS_OF_DAY, 0, 0);
    if !rest.0.is_empty() {
        let (hour, minute) = (rest.after(b"Tt ", 2)?, rest.after(b":", 2)?);
        let second = if rest.0.first() == Some(&b':') { rest.after(b":", 2)? } else { 0 };
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        seconds += hour * 3_600 + minute * 60 + second;
        if let Some(b'.' | b',') = rest.0.first() {
            fraction = rest.fraction()?;
        }
        offset = rest.offset()?;
    }
    if !rest.0.is_empty() {
        return None;
    }
    Some((seconds - offset) * MICROSECONDS + fraction)
}

/// The unread rest of a time.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// A number with this many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
    }

    /// A number after one of these bytes.
    fn after(&mut self, marks: &[u8], digits: usize) -> Option<i64> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        if marks.contains(first) { self.number(digits) } else { None }
    }

    /// Digits after a decimal point, as microseconds. Digits after the sixth are ignored, as in Python.
    fn fraction(&mut self) -> Option<i64> {
        let digits = self.0[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let fraction = &self.0[1..=digits];
        self.0 = &self.0[1 + digits..];
        let digit = |place: usize| fraction.get(place).map_or(0, |byte| i64::from(byte - b'0'));
        (digits > 0).then(|| (0..6).fold(0, |value, place| value * 10 + digit(place)))
    }

    /// The UTC offset in seconds.
    fn offset(&mut self) -> Option<i64> {
        match self.0.first() {
            None => Some(0),
            Some(b'Z' | b'z') => {
                self.0 = &self.0[1..];
                Some(0)
            }
            Some(sign @ (b'+' | b'-')) => {
                let sign = if *sign == b'-' { -1 } else { 1 };
                let hours = self.after(b"+-", 2)?;
                let minutes = match self.0.first() {
                    None => 0,
                    Some(b':') => self.after(b":", 2)?,
                    Some(_) => self.number(2)?,
                };
                (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
            }
            Some(_) => None,
        }
    }
}

/// The date of a day counted from 1970-01-01. Years begin in March here, so that the leap day is the last day of the
/// year; an era is 400 years.
fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The number of days from 1970-01-01 to this date, if the date is valid.
fn days_before(year: i64, month: i64, day: i64) -> Option<i64> {
    if year < 1 || !(1..=12).contains(&month) {
        return None;
    }
    let march_year = year - i64::from(month <= 2);
    let (era, year_of_era) = (march_year.div_euclid(400), march_year.rem_euclid(400));
    let march_month = (month + 9) % 12;
    let of_year = (153 * march_month + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468;
    // An invalid day of a month maps to a day of another month.
    (date_of(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_the_inverse_of_days() {
        for days in (-719_162..2_932_896).step_by(97) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_before(year, month, day), Some(days));
        }
        assert_eq!(date_of(-719_162), (1, 1, 1));
        assert_eq!(date_of(2_932_896), (9999, 12, 31));
        assert_eq!(days_before(2023, 2, 29), None);
        assert_eq!(days_before(2024, 2, 29), Some(19_782));
        assert_eq!(days_before(1970, 1, 0), None);
    }
}
