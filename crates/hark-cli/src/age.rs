//! Ages on the command line: `90s`, `30m`, `12h`, `7d`.

use std::time::Duration;

use crate::failure::Failure;

/// Parses an age.
///
/// # Errors
/// If the text is not a valid age.
pub fn parse(text: &str) -> Result<Duration, Failure> {
    let wrong = || {
        Failure::usage(format!("`{text}` is not a valid age")).with_hint("an age is a number and s, m, h or d: `7d`")
    };
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(count.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_units() {
        assert_eq!(parse("90s").ok(), Some(Duration::from_secs(90)));
        assert_eq!(parse("7d").ok(), Some(Duration::from_secs(604_800)));
        for wrong in ["", "7", "d", "-1d", "1 d", "1.5h", "7w", "1é"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
