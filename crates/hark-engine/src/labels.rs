//! The labels of a session, by which it can be found: a unique key, and tags.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::SessionId;
use crate::limits::{LABEL_CHARACTERS_MAX, TAGS_MAX};

/// A session's key and tags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// A name of the session that is unique in its storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Tags by which it can be found. Several sessions may have the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Labels {
    /// The key that a user gave to the session, if any. A key made of a request does not count.
    pub fn given_key(&self) -> Option<&str> {
        self.key.as_deref().filter(|key| request_of(key).is_none())
    }

    /// Checks the labels.
    ///
    /// # Errors
    /// If they are invalid; the message says why.
    pub fn check(&self) -> Result<(), String> {
        let checked = self.key.as_deref().map(|key| request_of(key).unwrap_or(key));
        checked.map_or(Ok(()), check_key)?;
        if self.tags.len() > TAGS_MAX {
            return Err(format!("a session may have {TAGS_MAX} tags"));
        }
        self.tags.iter().try_for_each(|(name, value)| check_tag(name, value))
    }
}

/// The key of a session that is started by a request which may be delivered several times. It contains a space, so that
/// no user can give it to a session.
pub fn key_of_request(request: &str) -> String {
    format!("{REQUEST_PREFIX}{request}")
}

/// The request from which a key was made, if it was.
fn request_of(key: &str) -> Option<&str> {
    key.strip_prefix(REQUEST_PREFIX)
}

/// The prefix of keys that are made of requests.
const REQUEST_PREFIX: &str = "request ";

/// Checks a key. It is used on command lines in place of an id, and before the slash of a future's id.
///
/// # Errors
/// If it is invalid; the message says why.
pub fn check_key(key: &str) -> Result<(), String> {
    let is_allowed = |character: char| !character.is_whitespace() && !character.is_control() && character != '/';
    if key.is_empty() {
        Err("a key has at least one character".to_owned())
    } else if key.chars().count() > LABEL_CHARACTERS_MAX {
        Err(format!("a key has at most {LABEL_CHARACTERS_MAX} characters"))
    } else if !key.chars().all(is_allowed) {
        Err("a key has no spaces and no slashes".to_owned())
    } else if key.starts_with('-') {
        Err("a key does not begin with a dash".to_owned())
    } else if SessionId::parse(key).is_some() {
        Err("a key does not look like the id of a session".to_owned())
    } else {
        Ok(())
    }
}

/// Checks a tag.
///
/// # Errors
/// If it is invalid; the message says why.
pub fn check_tag(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || name.contains('=') {
        Err("a tag is `NAME=VALUE`".to_owned())
    } else if [name, value].iter().any(|text| text.chars().count() > LABEL_CHARACTERS_MAX) {
        Err(format!("a tag's name and value have at most {LABEL_CHARACTERS_MAX} characters each"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_where_ids_do() {
        for key in ["order-17", "a", "0", "Bestellung:ä", "a=b", &"k".repeat(200)] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
        let long = "k".repeat(201);
        for key in ["", "a b", "a/b", "a\n", "-q", "01a1fd87-1c18-745c-840f-1377ec20e767", "\u{1b}[2J", &long] {
            assert!(check_key(key).is_err(), "{key}");
        }
    }

    #[test]
    fn a_request_has_a_key_that_nobody_can_give() {
        let key = key_of_request("17");
        assert!(check_key(&key).is_err());
        let given =
            |key: &str| Labels { key: Some(key.to_owned()), ..Labels::default() }.given_key().map(str::to_owned);
        assert_eq!((given(&key), given("order-17")), (None, Some("order-17".to_owned())));
        let check = |key: String| Labels { key: Some(key), ..Labels::default() }.check();
        assert_eq!(check(key), Ok(()));
        assert!(check(key_of_request("a/b")).is_err() && check("another 17".to_owned()).is_err());
    }

    #[test]
    fn labels_have_limits() {
        let tags = |count: usize| (0..count).map(|number| (number.to_string(), String::new())).collect();
        assert_eq!(Labels { key: None, tags: tags(64) }.check(), Ok(()));
        assert!(Labels { key: None, tags: tags(65) }.check().is_err());
        assert!(check_tag("", "a").is_err() && check_tag("a", &"v".repeat(201)).is_err());
        assert_eq!(check_tag("a b", "c=d"), Ok(()));
    }
}
