//! Checks names and expressions in `[instance]` that AWS would refuse, because AWS does so only after some minutes, and
//! rolls everything back.

/// The fault of an element of a list in `[instance]`, if there is one. A row has several strings.
pub fn complaint(key: &str, element: &[String]) -> Option<String> {
    let first = element.first()?;
    match key {
        "managed_buckets" if !is_bucket(first) => Some(format!(
            "`{first}` cannot be the name of a bucket: it has 3 to 63 lowercase letters, digits, `-` and `.`, the first and the last of \
             them a letter or a digit"
        )),
        "s3_access" if first.len() < 3 || first.contains([':', '/', '*', ' ']) => {
            Some(format!("`{first}` is not the name of a bucket, such as `my-data`: without an ARN, keys or `*`"))
        }
        "extra_layers" if !is_layer(first) => Some(format!(
            "`{first}` is not the ARN of a version of a layer, such as `arn:aws:lambda:eu-west-1:123456789012:layer:NAME:1`"
        )),
        "schedules" if !is_schedule(first) => Some(format!(
            "`{first}` is no schedule, such as `rate(5 minutes)`, `cron(0 12 * * ? *)` or `at(2030-01-31T12:00:00)`"
        )),
        _ => None,
    }
}

fn is_bucket(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let has_ends = name.starts_with(is_plain) && name.ends_with(is_plain);
    (3..=63).contains(&name.len())
        && has_ends
        && !name.contains("..")
        && name.chars().all(|letter| is_plain(letter) || "-.".contains(letter))
}

fn is_layer(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    matches!(parts[..], ["arn", _, "lambda", _, _, "layer", _, version] if version.parse::<u32>().is_ok())
}

/// `rate(1 hour)`, `cron(` with six fields `)`, or `at(` a time without a zone `)`.
fn is_schedule(expression: &str) -> bool {
    let Some((kind, rest)) = expression.split_once('(') else { return false };
    let Some(inside) = rest.strip_suffix(')') else { return false };
    match kind {
        "rate" => {
            let units = ["minute", "minutes", "hour", "hours", "day", "days"];
            let count = |count: &str| count.parse::<u32>().is_ok_and(|count| count > 0);
            inside.split_once(' ').is_some_and(|(number, unit)| count(number) && units.contains(&unit))
        }
        "cron" => inside.split_whitespace().count() == 6,
        "at" => {
            let form = "0000-00-00T00:00:00";
            let is_like =
                |(letter, wanted): (char, char)| if wanted == '0' { letter.is_ascii_digit() } else { letter == wanted };
            inside.len() == form.len() && inside.chars().zip(form.chars()).all(is_like)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_good(key: &str, text: &str) -> bool {
        complaint(key, &[text.to_owned()]).is_none()
    }

    #[test]
    fn what_aws_takes_is_taken() {
        for (key, texts) in [
            ("managed_buckets", &["abc", "my-photos.2026", "0aa"][..]),
            ("s3_access", &["abc", "Old_Bucket"]),
            ("extra_layers", &["arn:aws:lambda:eu-west-1:123456789012:layer:numpy:3"]),
            ("schedules", &["rate(1 minute)", "rate(12 hours)", "cron(0 12 * * ? *)", "at(2030-01-31T12:00:00)"]),
            ("policy_file", &["anything"]),
        ] {
            for text in texts {
                assert!(is_good(key, text), "{key}: {text}");
            }
        }
    }

    #[test]
    fn what_aws_does_not_take_is_named() {
        for (key, texts) in [
            ("managed_buckets", &["Photos", "a", "-ab", "a..b", "a_b"][..]),
            ("s3_access", &["a", "arn:aws:s3:::b/*", "bucket/key"]),
            ("extra_layers", &["x", "arn:aws:lambda:eu-west-1:123456789012:layer:numpy"]),
            (
                "schedules",
                &["every hour", "rate(5 seconds)", "rate(0 minutes)", "cron(* * * * *)", "at(tomorrow)", "rate(1 hour"],
            ),
        ] {
            for text in texts {
                let said = complaint(key, &[text.to_string()]);
                assert!(said.is_some_and(|said| said.contains(&format!("`{text}`"))), "{key}: {text}");
            }
        }
    }
}
