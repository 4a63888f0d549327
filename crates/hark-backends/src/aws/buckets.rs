//! The S3 buckets of an instance: for its code, and for its project.

use std::time::Duration;

use super::s3::{Request, S3, S3Error, encoded, texts};
use super::{Aws, AwsError, retried};

/// How long one try may take: a package has up to some hundred megabytes.
const TRY_TIME_MAX: Duration = Duration::from_secs(600);

/// How long a call is tried again.
const PATIENCE: Duration = Duration::from_secs(60);

/// All buckets of an account.
pub struct Buckets {
    aws: Aws,
    s3: S3,
}

impl Buckets {
    /// Those of an account.
    ///
    /// # Errors
    /// If the environment does not tell how to reach them.
    pub fn new(aws: &Aws) -> Result<Buckets, AwsError> {
        Ok(Buckets { aws: aws.clone(), s3: S3::new(aws, None, TRY_TIME_MAX)? })
    }

    /// Whether there is a bucket of this name that may be used.
    ///
    /// # Errors
    /// If it cannot be asked for, or is another account's.
    pub fn exists(&self, bucket: &str) -> Result<bool, AwsError> {
        self.is_there("HeadBucket", bucket, "")
    }

    /// Whether a bucket has an object under this key.
    ///
    /// # Errors
    /// If it cannot be asked for.
    pub fn has(&self, bucket: &str, key: &str) -> Result<bool, AwsError> {
        self.is_there("HeadObject", bucket, key)
    }

    fn is_there(&self, action: &str, bucket: &str, key: &str) -> Result<bool, AwsError> {
        match self.ask(action, Request { method: "HEAD", bucket, key, query: "", body: b"" }) {
            Ok(_) => Ok(true),
            Err(AwsError::Refused { code, .. }) if ["NoSuchBucket", "NoSuchKey", "NotFound"].contains(&&*code) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes an object.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, bucket: &str, key: &str, body: &[u8]) -> Result<(), AwsError> {
        self.ask("PutObject", Request { method: "PUT", bucket, key, query: "", body }).map(drop)
    }

    /// The URL of an object.
    pub fn url(&self, bucket: &str, key: &str) -> String {
        self.s3.url(&Request { method: "GET", bucket, key, query: "", body: b"" })
    }

    /// Whether a bucket has no objects.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_empty(&self, bucket: &str) -> Result<bool, AwsError> {
        self.keys(bucket, "max-keys=1&").map(|keys| keys.is_empty())
    }

    /// Deletes all objects of a bucket.
    ///
    /// # Errors
    /// If one cannot be deleted.
    pub fn empty(&self, bucket: &str) -> Result<(), AwsError> {
        loop {
            let keys = self.keys(bucket, "")?;
            if keys.is_empty() {
                return Ok(());
            }
            for key in keys {
                let key = key.split('/').map(encoded).collect::<Vec<_>>().join("/");
                self.ask("DeleteObject", Request { method: "DELETE", bucket, key: &key, query: "", body: b"" })?;
            }
        }
    }

    /// Deletes an empty bucket, if it is there.
    ///
    /// # Errors
    /// If it cannot be deleted.
    pub fn delete(&self, bucket: &str) -> Result<(), AwsError> {
        match self.ask("DeleteBucket", Request { method: "DELETE", bucket, key: "", query: "", body: b"" }) {
            Err(AwsError::Refused { code, .. }) if code == "NoSuchBucket" => Ok(()),
            answered => answered.map(drop),
        }
    }

    /// The keys of a bucket's first objects. A bucket that is gone has none.
    fn keys(&self, bucket: &str, query: &str) -> Result<Vec<String>, AwsError> {
        let query = format!("list-type=2&{query}");
        let query = query.trim_end_matches('&');
        match self.ask("ListObjectsV2", Request { method: "GET", bucket, key: "", query, body: b"" }) {
            Ok(answer) => {
                let found = texts(&answer, &["Contents"]).into_iter();
                Ok(found.filter(|(name, _)| name == "Key").map(|(_, key)| key).collect())
            }
            Err(AwsError::Refused { code, .. }) if code == "NoSuchBucket" => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn ask(&self, action: &str, request: Request<'_>) -> Result<Vec<u8>, AwsError> {
        let answer = self.aws.wait(async { Ok(retried::<S3Error, _, _>(PATIENCE, || self.s3.send(request)).await) })?;
        answer.map_err(|error| AwsError::of(action, self.s3.place(), error))
    }
}
