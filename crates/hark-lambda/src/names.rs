//! The names of an instance's parts. They are derived from the instance's own name, so that each part can refer to
//! others that do not exist yet, and the template has no cycles.

use std::fmt;
use std::str::FromStr;

use crate::size::Size;

/// The maximum length of an instance's name: the longest name made from it, that of the bucket, may have 63 characters.
const LENGTH_MAX: usize = 40;

/// The alias of the newest version of a function.
pub const CURRENT: &str = "current";

/// The name of an instance, such as a UUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceName(String);

/// A name that no instance can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be the name of an instance: a name has lowercase letters, digits and single `-` between them, at most {LENGTH_MAX}"
)]
pub struct BadInstanceName(pub String);

impl FromStr for InstanceName {
    type Err = BadInstanceName;

    fn from_str(text: &str) -> Result<InstanceName, BadInstanceName> {
        let is_plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if text.len() <= LENGTH_MAX && text.split('-').all(is_plain) {
            Ok(InstanceName(text.to_owned()))
        } else {
            Err(BadInstanceName(text.to_owned()))
        }
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl InstanceName {
    /// A UUID of version 4 (RFC 9562), from these random bits.
    pub fn of_random(bits: u128) -> InstanceName {
        let bits = bits & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
        let digits = format!("{bits:032x}");
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        InstanceName(parts.join("-"))
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the stack and the table, with which the other names begin.
    pub fn stack(&self) -> String {
        format!("hark-{}", self.0)
    }

    /// The table of sessions.
    pub fn table(&self) -> String {
        self.stack()
    }

    /// The Lambda function of this size.
    pub fn function(&self, size: Size) -> String {
        format!("{}{}", self.stack(), size.suffix())
    }

    /// The group of a function's logs.
    pub fn log_group(&self, size: Size) -> String {
        format!("/aws/lambda/{}", self.function(size))
    }

    /// The role of the functions.
    pub fn role(&self) -> String {
        format!("{}-run", self.stack())
    }

    /// The role of the schedules.
    pub fn schedules_role(&self) -> String {
        format!("{}-schedule", self.stack())
    }

    /// The timer queue, with hints for threads that sleep.
    pub fn timers(&self) -> String {
        format!("{}-timers", self.stack())
    }

    /// The queue of messages and invocations that failed each time.
    pub fn dead_letters(&self) -> String {
        format!("{}-dead", self.stack())
    }

    /// The schedule of the recovery.
    pub fn recovery(&self) -> String {
        format!("{}-recovery", self.stack())
    }

    /// The schedule with this number that starts sessions.
    pub fn schedule(&self, number: usize) -> String {
        format!("{}-schedule-{number}", self.stack())
    }

    /// The name of the HTTP API.
    pub fn api(&self) -> String {
        self.stack()
    }

    /// The bucket for the code. Bucket names are unique across all accounts, so it contains the account's number.
    pub fn code_bucket(&self, account: &str) -> String {
        format!("{}-code-{account}", self.stack())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_leaves_room_for_all_that_follow_from_it() {
        let name: InstanceName = "a".repeat(LENGTH_MAX).parse().unwrap();
        let largest = Size { memory: 10_240, timeout: 900, is_main: false };
        assert!(name.code_bucket("123456789012").len() <= 63);
        assert!(name.function(largest).len() <= 64 && name.recovery().len() <= 64);
        assert!(name.schedule(999).len() <= 64 && name.schedules_role().len() <= 64);
    }

    #[test]
    fn a_random_name_is_a_uuid() {
        for (bits, text) in
            [(0, "00000000-0000-4000-8000-000000000000"), (u128::MAX, "ffffffff-ffff-4fff-bfff-ffffffffffff")]
        {
            let name = InstanceName::of_random(bits);
            assert_eq!((name.as_str(), text.parse()), (text, Ok(name.clone())));
        }
    }

    #[test]
    fn names_are_plain() {
        for good in ["a", "shop", "shop-2", "00000000-0000-4000-8000-000000000000"] {
            assert_eq!(good.parse::<InstanceName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        let long = "a".repeat(LENGTH_MAX + 1);
        for bad in ["", "-", "a-", "-a", "a--b", "A", "a_b", "a.b", "\u{e4}", &long] {
            assert_eq!(bad.parse::<InstanceName>(), Err(BadInstanceName(bad.to_owned())));
        }
    }
}
