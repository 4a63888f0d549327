//! One request of S3's API: its URL and its answer.

use std::fmt;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hark_engine::StorageError;
use roxmltree::Document;

use super::{Aws, Service, error};

/// A request to a bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub method: &'static str,
    pub bucket: &'a str,
    /// The object's key, of letters that need no encoding. Empty for the bucket itself.
    pub key: &'a str,
    /// The query string, with encoded values.
    pub query: &'a str,
    pub body: &'a [u8],
}

/// An error that S3 answered.
#[derive(Debug)]
pub(crate) struct S3Error(ErrorMetadata);

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

pub(crate) type Answer = Result<Vec<u8>, SdkError<S3Error, HttpResponse>>;

/// A client for S3.
pub(crate) struct S3(Service);

impl S3 {
    /// S3 at this endpoint, or the one from the environment. A try may take this long.
    pub fn new(aws: &Aws, endpoint: Option<String>, try_time_max: Duration) -> Result<S3, StorageError> {
        let endpoint = match endpoint {
            Some(endpoint) => Some(endpoint),
            None => aws.endpoint("s3")?,
        };
        Service::new(aws, "s3", endpoint, try_time_max).map(S3)
    }

    /// Its place, for messages.
    pub fn place(&self) -> &str {
        self.0.place()
    }

    /// The body of the answer.
    pub async fn send(&self, request: Request<'_>) -> Answer {
        let Request { method, body, .. } = request;
        let (answer, body) =
            self.0.send(&super::Request { method, url: self.url(&request), headers: &[], body }).await?;
        if answer.status().is_success() {
            return Ok(body);
        }
        let error = S3Error(refusal(answer.status().as_u16(), &request, &body));
        Err(SdkError::service_error(error, answer))
    }

    /// Servers other than AWS have the bucket in the path. S3 itself has it in the host name, except for a bucket with
    /// a dot, which S3's certificates do not cover.
    pub fn url(&self, Request { bucket, key, query, .. }: &Request<'_>) -> String {
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

/// The error in an answer. An answer to HEAD has only a status.
fn refusal(status: u16, request: &Request<'_>, body: &[u8]) -> ErrorMetadata {
    let told = error::refusal(body);
    let code = match (told.code(), request.method, status) {
        (None, "HEAD", 404) if request.key.is_empty() => "NoSuchBucket",
        (None, "HEAD", 404) => "NoSuchKey",
        (None, "HEAD", 403) => "AccessDenied",
        (None, "HEAD", 301 | 400) => "PermanentRedirect",
        _ => return told,
    };
    ErrorMetadata::builder().code(code).build()
}

/// The names and texts of the elements within the root of an answer, or within each of its elements of these names.
pub(crate) fn texts(body: &[u8], within: &[&str]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let Ok(document) = Document::parse(&text) else { return Vec::new() };
    let elements = document.root_element().children().filter(|node| node.is_element());
    let named = elements.flat_map(|element| match within.contains(&element.tag_name().name()) {
        true => element.children().filter(|node| node.is_element()).collect(),
        false => vec![element],
    });
    named.map(|node| (node.tag_name().name().to_owned(), node.text().unwrap_or_default().to_owned())).collect()
}

/// Percent-encodes a text for a query or a form (RFC 3986): letters, digits and `-_.~` are left as they are.
pub(crate) fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_encoded() {
        assert_eq!(encoded("a-b_c.d/e+f="), "a-b_c.d%2Fe%2Bf%3D");
        assert_eq!(encoded("{\"a b\": \u{e4}}&"), "%7B%22a%20b%22%3A%20%C3%A4%7D%26");
    }

    #[test]
    fn what_an_answer_says_is_found() {
        let body = b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>a &lt; b</Message></Error>";
        let request = Request { method: "GET", bucket: "b", key: "k", query: "", body: b"" };
        let told = refusal(404, &request, body);
        assert_eq!((told.code(), told.message()), (Some("NoSuchKey"), Some("a < b")));
        assert_eq!(refusal(404, &request, b"no XML").code(), None);
        assert_eq!(refusal(404, &Request { method: "HEAD", key: "", ..request }, b"").code(), Some("NoSuchBucket"));
        let listed =
            b"<R><IsTruncated>true</IsTruncated><Contents><Key>a</Key></Contents><Contents><Key>b</Key></Contents></R>";
        let found: Vec<String> = texts(listed, &["Contents"]).into_iter().map(|(name, text)| name + &text).collect();
        assert_eq!(found, ["IsTruncatedtrue", "Keya", "Keyb"]);
    }
}
