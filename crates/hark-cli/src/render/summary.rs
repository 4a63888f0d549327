//! The last line of a command's output, with the numbers of errors and warnings.

use super::notice::Severity;

/// The numbers of errors and warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Errors.
    pub errors: usize,
    /// Warnings.
    pub warnings: usize,
}

impl Count {
    /// Counts these severities.
    pub fn of(severities: impl Iterator<Item = Severity>) -> Count {
        severities.fold(Count::default(), |mut count, severity| {
            match severity {
                Severity::Error => count.errors += 1,
                Severity::Warning => count.warnings += 1,
            }
            count
        })
    }

    /// "2 errors, 1 warning".
    pub fn text(self) -> String {
        match (self.errors, self.warnings) {
            (0, 0) => "no errors".to_owned(),
            (errors, 0) => plural(errors, "error"),
            (0, warnings) => plural(warnings, "warning"),
            (errors, warnings) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
        }
    }
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_as_english() {
        use Severity::{Error, Warning};
        let text = |severities: &[Severity]| Count::of(severities.iter().copied()).text();
        assert_eq!(text(&[]), "no errors");
        assert_eq!(text(&[Error]), "1 error");
        assert_eq!(text(&[Warning, Warning]), "2 warnings");
        assert_eq!(text(&[Error, Warning, Error]), "2 errors, 1 warning");
    }
}
