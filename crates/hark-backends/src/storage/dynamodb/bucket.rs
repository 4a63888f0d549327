//! The calls to an S3 bucket.

use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use hark_engine::StorageError;

use super::api::{Api, PATIENCE};
use super::error::{Failed, Target, TargetKind};
use super::requests::mistake;
use crate::aws::s3::{Request, S3Error, encoded, texts};

/// A bucket, and how it is reached.
#[derive(Clone)]
pub(super) struct Bucket {
    api: Api,
    name: String,
}

/// An object that was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub key: String,
    /// How long ago it was written.
    pub age: Duration,
}

fn is_retryable(_: &S3Error) -> bool {
    false
}

impl Bucket {
    pub fn new(api: &Api, name: &str) -> Bucket {
        Bucket { api: api.clone(), name: name.to_owned() }
    }

    /// Writes an object. This may be repeated, because writing it again changes nothing.
    pub async fn put(&self, key: &str, content: &[u8]) -> Result<(), StorageError> {
        self.ask("PutObject", "PUT", key, "", content).await.map(drop)
    }

    pub async fn get(&self, key: &str) -> Result<Vec<u8>, StorageError> {
        self.ask("GetObject", "GET", key, "", b"").await
    }

    /// Deletes an object, if it is there.
    pub async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.ask("DeleteObject", "DELETE", key, "", b"").await.map(drop)
    }

    /// Whether it exists and may be used.
    pub async fn check(&self) -> Result<(), StorageError> {
        self.ask("HeadBucket", "HEAD", "", "", b"").await.map(drop)
    }

    /// All objects with this prefix.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StorageError> {
        let mut found = Vec::new();
        self.pages(&format!("prefix={}", encoded(prefix)), |texts| {
            let mut key = None;
            for (name, text) in texts {
                match name.as_str() {
                    "Key" => key = Some(text),
                    "LastModified" => found.extend(key.take().map(|key| Listed { key, age: age(&text) })),
                    _ => {}
                }
            }
        })
        .await?;
        Ok(found)
    }

    /// For the keys with this prefix, the parts between it and the next slash.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, StorageError> {
        let mut found = Vec::new();
        self.pages(&format!("delimiter=%2F&prefix={}", encoded(prefix)), |texts| {
            let folder = |(_, text): &(String, String)| Some(text.strip_prefix(prefix)?.strip_suffix('/')?.to_owned());
            found.extend(texts.iter().filter(|(name, text)| name == "Prefix" && text != prefix).filter_map(folder));
        })
        .await?;
        Ok(found)
    }

    /// Reads a list to its end.
    async fn pages(&self, query: &str, mut read: impl FnMut(Vec<(String, String)>)) -> Result<(), StorageError> {
        let mut from = String::new();
        loop {
            let query = format!("{from}{query}&list-type=2");
            let answer = self.ask("ListObjectsV2", "GET", "", &query, b"").await?;
            let texts = texts(&answer, &["Contents", "CommonPrefixes"]);
            let next = texts.iter().find(|(name, _)| name == "NextContinuationToken");
            let next = next.map(|(_, token)| format!("continuation-token={}&", encoded(token)));
            read(texts);
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    async fn ask(
        &self,
        name: &'static str,
        method: &'static str,
        key: &str,
        query: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, StorageError> {
        let s3 = self.api.s3()?;
        let target = Target {
            kind: TargetKind::Bucket,
            name: &self.name,
            place: s3.place(),
            advice: &self.api.settings().advice,
        };
        let request = Request { method, bucket: &self.name, key, query, body };
        match self.api.call_on(target, name, PATIENCE, is_retryable, || s3.send(request)).await {
            Ok(answer) => Ok(answer),
            Err(Failed::Refused { .. }) => {
                let text =
                    format!("{name} on {target}: the object `{key}` is gone: something other than Hark has deleted it");
                Err(mistake(text))
            }
            Err(failed) => Err(failed.into_error(name, target)),
        }
    }
}

fn age(written: &str) -> Duration {
    let written = DateTime::from_str(written, DateTimeFormat::DateTime).ok();
    let written = written.and_then(|written| SystemTime::try_from(written).ok());
    written.and_then(|written| written.elapsed().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_as_old_as_its_last_writing() {
        assert!(age("2020-01-01T00:00:00.000Z") > Duration::from_secs(86_400));
        assert_eq!(age("unknown"), Duration::ZERO);
    }
}
