//! Labels by which a session can be found again: its key and tags.

use clap::Args;
use hark_engine::{Labels, check_key, check_tag};

/// A tag, or the name of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// Its value, if given.
    pub value: Option<String>,
}

impl Tag {
    /// Parses `NAME=VALUE`, the tag of a new session.
    ///
    /// # Errors
    /// If the text is not a valid tag.
    pub fn given(text: &str) -> Result<Tag, String> {
        let Some((name, value)) = text.split_once('=') else {
            return Err(format!("a tag has a name and a value: `--tag {text}=VALUE`"));
        };
        check_tag(name, value)?;
        Ok(Tag { name: name.to_owned(), value: Some(value.to_owned()) })
    }

    /// Parses `NAME` or `NAME=VALUE`, a tag to search for.
    ///
    /// # Errors
    /// If the text is not valid.
    pub fn wanted(text: &str) -> Result<Tag, String> {
        match text.split_once('=') {
            Some(_) => Tag::given(text),
            None => {
                check_tag(text, "")?;
                Ok(Tag { name: text.to_owned(), value: None })
            }
        }
    }
}

/// Parses the key of a new session.
pub(super) fn key(text: &str) -> Result<String, String> {
    check_key(text).map(|()| text.to_owned())
}

/// The labels of a new session.
#[derive(Debug, Args)]
pub struct LabelChoice {
    /// Start the session under a name of your own, only once: if it exists already, print its result. Commands accept the key as an ID
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub key: Option<String>,
    /// Tag the session, so that `hark sessions --tag` finds it; may be given more than once
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = Tag::given)]
    pub tags: Vec<Tag>,
}

impl LabelChoice {
    /// Whether no labels are given.
    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.tags.is_empty()
    }

    /// The requested labels.
    ///
    /// # Errors
    /// If there are too many.
    pub fn labels(&self) -> Result<Labels, String> {
        let mut labels = Labels { key: self.key.clone(), ..Labels::default() };
        for tag in &self.tags {
            if labels.tags.insert(tag.name.clone(), tag.value.clone().unwrap_or_default()).is_some() {
                return Err(format!("the tag `{}` is given twice", tag.name));
            }
        }
        labels.check()?;
        Ok(labels)
    }
}
