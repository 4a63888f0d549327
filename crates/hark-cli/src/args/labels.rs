//! What is said of a session so that it is found again: its key and tags.

use clap::Args;
use hark_engine::{Labels, check_key, check_tag};

/// A tag, or the name of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// Its value, if that is said.
    pub value: Option<String>,
}

impl Tag {
    /// Reads `NAME=VALUE`, for a session that is started.
    ///
    /// # Errors
    /// If the text is no tag.
    pub fn given(text: &str) -> Result<Tag, String> {
        let Some((name, value)) = text.split_once('=') else {
            return Err(format!("a tag has a name and a value: `--tag {text}=VALUE`"));
        };
        check_tag(name, value)?;
        Ok(Tag { name: name.to_owned(), value: Some(value.to_owned()) })
    }

    /// Reads `NAME` or `NAME=VALUE`, for sessions that are looked for.
    ///
    /// # Errors
    /// If the text is neither.
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

fn key(text: &str) -> Result<String, String> {
    check_key(text).map(|()| text.to_owned())
}

/// The labels of a session that is started.
#[derive(Debug, Args)]
pub struct LabelChoice {
    /// Start the session under this name of your own, once: if there is one, its result is the answer. Commands take it for an ID
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub key: Option<String>,
    /// Tag the session, so that `hark sessions --tag` finds it; may be given more than once
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = Tag::given)]
    pub tags: Vec<Tag>,
}

impl LabelChoice {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.tags.is_empty()
    }

    /// The labels that are asked for.
    ///
    /// # Errors
    /// If there are too many.
    pub fn labels(&self) -> Result<Labels, String> {
        let tags = self.tags.iter().map(|tag| (tag.name.clone(), tag.value.clone().unwrap_or_default()));
        let labels = Labels { key: self.key.clone(), tags: tags.collect() };
        labels.check()?;
        Ok(labels)
    }
}
