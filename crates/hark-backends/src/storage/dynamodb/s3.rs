//! One request of S3's API: where it goes, how it is signed, what is answered.
//!
//! Only five calls are needed, so they are made by hand with the SDK's own signature and HTTP client: a second generated client
//! would take as long to compile as that of DynamoDB.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_sdk_dynamodb::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::error::{ConnectorError, ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_xml::decode::{Document, try_data};
use tokio::time::timeout;

use super::api::{ANY_REGION, CONNECT_TIME_MAX, local_credentials, place_of};
use super::settings::DynamoSettings;

/// How long one try may take: an object has a megabyte.
const TRY_TIME_MAX: Duration = Duration::from_secs(15);

/// Credentials that expire this soon are asked for anew.
const CREDENTIALS_TIME_MIN: Duration = Duration::from_secs(300);

/// Where the environment says that S3 is. For all services at once the SDK itself looks.
const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL_S3";

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
pub(super) struct S3 {
    http: Connector,
    endpoint: Option<String>,
    region: String,
    provider: Option<SharedCredentialsProvider>,
    credentials: Mutex<Option<Credentials>>,
    /// Where it is, as messages name it.
    place: String,
}

impl S3 {
    pub fn new(settings: &DynamoSettings, loaded: &SdkConfig) -> S3 {
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let timeouts = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIME_MAX).build();
        let named = || std::env::var(ENDPOINT_VARIABLE).ok().or_else(|| loaded.endpoint_url().map(str::to_owned));
        let endpoint = settings.bucket_endpoint.clone().or_else(named);
        S3 {
            http: Connector::builder().connector_settings(timeouts).tls_provider(tls).build(),
            region: loaded.region().map_or(ANY_REGION, Region::as_ref).to_owned(),
            provider: loaded.credentials_provider(),
            credentials: Mutex::new(endpoint.as_deref().and_then(|at| local_credentials(settings, at))),
            place: place_of(endpoint.as_deref(), loaded.region()),
            endpoint,
        }
    }

    pub fn place(&self) -> &str {
        &self.place
    }

    /// The body of the answer.
    pub async fn send(&self, request: Request<'_>) -> Answer {
        let credentials = self.credentials().await?;
        let signed = signed(&request, self.url(&request), &self.region, credentials, SystemTime::now());
        let signed = signed.map_err(SdkError::construction_failure)?;
        let answered = timeout(TRY_TIME_MAX, async {
            let mut answer = self.http.call(signed).await?;
            let body = ByteStream::new(answer.take_body()).collect().await;
            let body = body.map_err(|error| ConnectorError::io(error.into()))?;
            Ok((answer, body.to_vec()))
        });
        let (answer, body) = answered.await.map_err(SdkError::timeout_error)?.map_err(SdkError::dispatch_failure)?;
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
        if let Some(endpoint) = &self.endpoint {
            return format!("{}/{bucket}/{key}{mark}{query}", endpoint.trim_end_matches('/'));
        }
        let region = &self.region;
        let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        match bucket.contains('.') {
            true => format!("https://s3.{region}.{domain}/{bucket}/{key}{mark}{query}"),
            false => format!("https://{bucket}.s3.{region}.{domain}/{key}{mark}{query}"),
        }
    }

    async fn credentials(&self) -> Result<Credentials, SdkError<S3Error, HttpResponse>> {
        let is_good =
            |known: &Credentials| known.expiry().is_none_or(|expiry| expiry > SystemTime::now() + CREDENTIALS_TIME_MIN);
        let known = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(is_good) {
            return Ok(known);
        }
        let provider =
            self.provider.as_ref().ok_or_else(|| SdkError::construction_failure("no credentials were found"))?;
        let found = provider.provide_credentials().await;
        let found = found.map_err(|error| SdkError::dispatch_failure(ConnectorError::user(error.into())))?;
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        Ok(found)
    }
}

fn signed(
    request: &Request<'_>,
    url: String,
    region: &str,
    credentials: Credentials,
    now: SystemTime,
) -> Result<HttpRequest, Box<dyn std::error::Error + Send + Sync>> {
    let mut settings = SigningSettings::default();
    // What S3 does otherwise than all other services.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = credentials.into();
    let params = SigningParams::builder().identity(&identity).region(region).name("s3").time(now).settings(settings);
    let body = SignableBody::Bytes(request.body);
    let signable = SignableRequest::new(request.method, &url, std::iter::empty(), body)?;
    let (instructions, _) = sign(signable, &params.build()?.into())?.into_parts();
    let http = http::Request::builder().method(request.method).uri(url);
    let http = instructions.headers().fold(http, |http, (name, value)| http.header(name, value));
    Ok(HttpRequest::try_from(http.body(SdkBody::from(request.body))?)?)
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

    /// The examples with which AWS documents the signature of requests to S3.
    #[test]
    fn a_request_is_signed_as_aws_documents_it() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        for (query, expected) in [
            ("?lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ] {
            let request = Request { method: "GET", bucket: "examplebucket", key: "", query, body: b"" };
            let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, None, None, "test");
            let url = format!("https://examplebucket.s3.amazonaws.com/{query}");
            let signed = signed(&request, url, "us-east-1", credentials, at).unwrap();
            let told = signed.headers().get("authorization").unwrap();
            assert!(told.ends_with(&format!("Signature={expected}")), "{query}: {told}");
        }
    }

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
