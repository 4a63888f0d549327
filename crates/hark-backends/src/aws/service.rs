//! Sends one signed request to a service.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use hark_engine::StorageError;
use tokio::time::timeout;

use super::{ANY_REGION, Aws, CONNECT_TIME_MAX, place_of};

/// Credentials that expire this soon are renewed.
const CREDENTIALS_TIME_MIN: Duration = Duration::from_secs(300);

/// A service, and how it is reached.
pub(crate) struct Service {
    /// Its name in signatures.
    name: &'static str,
    http: Connector,
    endpoint: Option<String>,
    region: String,
    provider: Option<SharedCredentialsProvider>,
    credentials: Mutex<Option<Credentials>>,
    place: String,
    try_time_max: Duration,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    pub method: &'static str,
    pub url: String,
    /// Headers beside those of the signature.
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

impl Service {
    /// A service of this name in signatures, at this endpoint or at AWS. A try may take this long.
    pub fn new(
        aws: &Aws,
        name: &'static str,
        endpoint: Option<String>,
        try_time_max: Duration,
    ) -> Result<Service, StorageError> {
        let loaded = aws.loaded()?;
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let timeouts = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIME_MAX).build();
        Ok(Service {
            name,
            http: Connector::builder().connector_settings(timeouts).tls_provider(tls).build(),
            region: loaded.region().map_or(ANY_REGION, Region::as_ref).to_owned(),
            provider: loaded.credentials_provider(),
            credentials: Mutex::new(endpoint.as_deref().and_then(|at| aws.local_credentials(at))),
            place: place_of(endpoint.as_deref(), loaded.region()),
            endpoint,
            try_time_max,
        })
    }

    /// Its place, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Its endpoint if it is not at AWS, without a trailing slash.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref().map(|endpoint| endpoint.trim_end_matches('/'))
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    /// The domain of AWS in this region.
    pub fn domain(&self) -> &'static str {
        if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
    }

    /// Sends a request. Returns the answer and its body; the caller checks the status for errors.
    pub async fn send<E>(&self, request: &Request<'_>) -> Result<(HttpResponse, Vec<u8>), SdkError<E, HttpResponse>> {
        let credentials = self.credentials().await?;
        let signed = signed(request, self.name, &self.region, credentials, SystemTime::now());
        let signed = signed.map_err(SdkError::construction_failure)?;
        let answered = timeout(self.try_time_max, async {
            let mut answer = self.http.call(signed).await?;
            let body = ByteStream::new(answer.take_body()).collect().await;
            let body = body.map_err(|error| ConnectorError::io(error.into()))?;
            Ok((answer, body.to_vec()))
        });
        answered.await.map_err(SdkError::timeout_error)?.map_err(SdkError::dispatch_failure)
    }

    async fn credentials<E>(&self) -> Result<Credentials, SdkError<E, HttpResponse>> {
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
    service: &str,
    region: &str,
    credentials: Credentials,
    now: SystemTime,
) -> Result<HttpRequest, Box<dyn Error + Send + Sync>> {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        // S3 differs from all other services here.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let identity = credentials.into();
    let params = SigningParams::builder().identity(&identity).region(region).name(service).time(now).settings(settings);
    let body = SignableBody::Bytes(request.body);
    let signable = SignableRequest::new(request.method, &request.url, request.headers.iter().copied(), body)?;
    let (instructions, _) = sign(signable, &params.build()?.into())?.into_parts();
    let http = http::Request::builder().method(request.method).uri(&request.url);
    let http = request.headers.iter().fold(http, |http, (name, value)| http.header(*name, *value));
    let http = instructions.headers().fold(http, |http, (name, value)| http.header(name, value));
    Ok(HttpRequest::try_from(http.body(SdkBody::from(request.body))?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(request: &Request<'_>, service: &str, secret: &str, at: u64) -> String {
        let credentials = Credentials::new("AKIDEXAMPLE", secret, None, None, "test");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        let signed = signed(request, service, "us-east-1", credentials, at).unwrap();
        let authorization = signed.headers().get("authorization").unwrap();
        authorization.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    /// The examples with which AWS documents the signature of requests to S3.
    #[test]
    fn a_request_to_s3_is_signed_as_aws_documents_it() {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        for (query, expected) in [
            ("?lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            ("?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ] {
            let url = format!("https://examplebucket.s3.amazonaws.com/{query}");
            let request = Request { method: "GET", url, headers: &[], body: b"" };
            assert_eq!(signature(&request, "s3", secret, 1_369_353_600), expected, "{query}");
        }
    }

    /// The examples `get-vanilla` and `post-header-key-sort` of the test suite for signatures that AWS publishes.
    #[test]
    fn a_request_to_another_service_is_signed_as_aws_documents_it() {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let url = || "https://example.amazonaws.com/".to_owned();
        let get = Request { method: "GET", url: url(), headers: &[], body: b"" };
        let expected = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        assert_eq!(signature(&get, "service", secret, 1_440_938_160), expected);
        let post = Request { method: "POST", url: url(), headers: &[("My-Header1", "value1")], body: b"" };
        let expected = "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c";
        assert_eq!(signature(&post, "service", secret, 1_440_938_160), expected);
    }
}
