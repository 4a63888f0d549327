//! One request of S3's API: where it goes, and what is answered.

use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_smithy_xml::decode::{Document, try_data};
use hark_engine::StorageError;

use super::settings::DynamoSettings;
use crate::aws::{self, Aws, Service};

/// How long one try may take: an object has a megabyte.
const TRY_TIME_MAX: Duration = Duration::from_secs(15);

/// What is asked of a bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub method: &'static str,
    pub bucket: &'a str,
    /// The object's key, of letters that need no encoding. Empty for the bucket itself.
    pub key: &'a str,
    /// With values that are encoded.
    pub query: &'a str,
    pub body: &'a [u8],
}

/// An answer that S3 gives instead of what was asked for.
#[derive(Debug)]
pub(super) struct S3Error(ErrorMetadata);

impl fmt::Display for S3Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for S3Error {}

impl ProvideErrorMetadata for S3Error {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

pub(super) type Answer = Result<Vec<u8>, SdkError<S3Error, HttpResponse>>;

/// A way to S3.
pub(super) struct S3(Service);

impl S3 {
    pub fn new(settings: &DynamoSettings, aws: &Aws) -> Result<S3, StorageError> {
        let endpoint = match &settings.bucket_endpoint {
            Some(endpoint) => Some(endpoint.clone()),
            None => aws.endpoint("s3")?,
        };
        Service::new(aws, "s3", endpoint, TRY_TIME_MAX).map(S3)
    }

    /// Where it is, as messages name it.
    pub fn place(&self) -> &str {
        self.0.place()
    }

    /// The body of the answer.
    pub async fn send(&self, request: Request<'_>) -> Answer {
        let Request { method, body, .. } = request;
        let (answer, body) = self.0.send(&aws::Request { method, url: self.url(&request), headers: &[], body }).await?;
        if answer.status().is_success() {
            return Ok(body);
        }
        let error = S3Error(refusal(answer.status().as_u16(), &request, &body));
        Err(SdkError::service_error(error, answer))
    }

    /// Servers at addresses of their own have buckets in the path. S3 itself has them in the name of the host, except those with a
    /// dot, which its certificates do not cover.
    fn url(&self, Request { bucket, key, query, .. }: &Request<'_>) -> String {
        let mark = if query.is_empty() { "" } else { "?" };
        if let Some(endpoint) = self.0.endpoint() {
            return format!("{endpoint}/{bucket}/{key}{mark}{query}");
        }
        let (region, domain) = (self.0.region(), self.0.domain());
        match bucket.contains('.') {
            true => format!("https://s3.{region}.{domain}/{bucket}/{key}{mark}{query}"),
            false => format!("https://{bucket}.s3.{region}.{domain}/{key}{mark}{query}"),
        }
    }
}

/// What an answer says that is an error. One to HEAD says nothing but its status.
fn refusal(status: u16, request: &Request<'_>, body: &[u8]) -> ErrorMetadata {
    let mut told = ErrorMetadata::builder();
    for (name, text) in texts(body, &[]) {
        match name.as_str() {
            "Code" => told = told.code(text),
            "Message" => told = told.message(text),
            _ => {}
        }
    }
    let told = told.build();
    let code = match (told.code(), request.method, status) {
        (None, "HEAD", 404) => "NoSuchBucket",
        (None, "HEAD", 403) => "AccessDenied",
        (None, "HEAD", 301 | 400) => "PermanentRedirect",
        _ => return told,
    };
    ErrorMetadata::builder().code(code).build()
}

/// The names and texts of the elements within the root of an answer, or within each of its elements of these names.
pub(super) fn texts(body: &[u8], within: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let Ok(text) = std::str::from_utf8(body) else { return found };
    let mut document = Document::new(text);
    let Ok(mut root) = document.root_element() else { return found };
    while let Some(mut element) = root.next_tag() {
        let name = element.start_el().local().to_owned();
        if within.contains(&name.as_str()) {
            while let Some(mut inner) = element.next_tag() {
                let name = inner.start_el().local().to_owned();
                found.extend(try_data(&mut inner).ok().map(|text| (name, text.into_owned())));
            }
        } else {
            found.extend(try_data(&mut element).ok().map(|text| (name, text.into_owned())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_says_is_found() {
        let body = b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>a &lt; b</Message></Error>";
        let request = Request { method: "GET", bucket: "b", key: "k", query: "", body: b"" };
        let told = refusal(404, &request, body);
        assert_eq!((told.code(), told.message()), (Some("NoSuchKey"), Some("a < b")));
        assert_eq!(refusal(404, &request, b"no XML").code(), None);
        assert_eq!(refusal(404, &Request { method: "HEAD", ..request }, b"").code(), Some("NoSuchBucket"));
        let listed =
            b"<R><IsTruncated>true</IsTruncated><Contents><Key>a</Key></Contents><Contents><Key>b</Key></Contents></R>";
        let found: Vec<String> = texts(listed, &["Contents"]).into_iter().map(|(name, text)| name + &text).collect();
        assert_eq!(found, ["IsTruncatedtrue", "Keya", "Keyb"]);
    }
}
