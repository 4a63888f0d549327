//! The parts that all calls to AWS share: region, credentials and endpoints, the async runtime, signing and sending a
//! request, and deciding whether to retry it.
//!
//! Only DynamoDB has a generated client. The few calls to other services are signed with the SDK's own signing crate
//! and sent with its HTTP client (`Service`), because each further generated client would take as long to compile as
//! that of DynamoDB, and would be in every package.

mod buckets;
mod cloudformation;
mod error;
mod functions;
mod json;
mod logs;
mod query;
mod queues;
pub(crate) mod s3;
mod service;
mod verdict;

use std::env;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hark_engine::StorageError;
use tokio::runtime::{Builder, Runtime};

use crate::surroundings::random;
pub use buckets::Buckets;
pub use cloudformation::{Change, ChangeSet, CloudFormation, Stack, StackEvent, StackResource, TemplateSource};
pub use error::AwsError;
#[cfg(feature = "lambda")]
pub(crate) use error::refusal_in_json;
pub use functions::{EVENT_BYTES_MAX, Functions, InvocationError};
pub use logs::{LogLine, LogLines, Logs};
pub use query::account_number;
pub use queues::{QueueMessages, Queues};
pub(crate) use service::{Request, Service};
pub(crate) use verdict::{Verdict, chain, lacks_credentials, verdict};

/// How long connecting may take.
pub(crate) const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);

/// Pauses between tries are random, from zero to a bound that doubles from this one to [`PAUSE_MAX`].
pub(crate) const PAUSE: Duration = Duration::from_millis(10);
pub(crate) const PAUSE_MAX: Duration = Duration::from_millis(640);

/// The region in signatures for a server that is not AWS, which ignores it.
pub(crate) const ANY_REGION: &str = "us-east-1";

/// How long connecting to an unreachable service is retried. Longer rarely helps, and the user of a command sees
/// nothing meanwhile.
const UNREACHABLE_TIME_MAX: Duration = Duration::from_secs(10);

/// OS threads that wait for the network.
const RUNTIME_THREADS: usize = 2;

/// The account and the region. Missing settings are found as in every AWS SDK: environment, profiles, roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSettings {
    /// The region.
    pub region: Option<String>,
    /// The profile of `~/.aws` to use.
    pub profile: Option<String>,
    /// How long one try of a generated client may take.
    pub try_time_max: Duration,
}

/// An AWS account as this process reaches it. The connection is made when it is first needed; clones share it.
#[derive(Clone)]
pub struct Aws(Arc<Inner>);

struct Inner {
    settings: AwsSettings,
    connected: OnceLock<Result<Connected, StorageError>>,
}

struct Connected {
    /// Set until this is dropped, which may happen in one of the runtime's own threads, by a request that was given up.
    runtime: Option<Runtime>,
    loaded: SdkConfig,
}

impl Drop for Connected {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Aws {
    /// The account that these settings select. Makes no requests yet.
    pub fn new(settings: AwsSettings) -> Aws {
        Aws(Arc::new(Inner { settings, connected: OnceLock::new() }))
    }

    /// Waits for a request.
    ///
    /// # Errors
    /// If the request fails, or there are no threads for the network.
    pub fn wait<T>(&self, request: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
        self.connected()?.runtime.as_ref().expect("it has not been dropped").block_on(request)
    }

    /// The region, if one is set.
    ///
    /// # Errors
    /// If there are no threads for the network.
    pub fn region(&self) -> Result<Option<String>, AwsError> {
        let set = self.loaded()?.region().map(|region| region.as_ref().to_owned());
        Ok(set.filter(|region| !region.is_empty()))
    }

    /// The configuration from the environment and the profiles.
    pub(crate) fn loaded(&self) -> Result<&SdkConfig, StorageError> {
        Ok(&self.connected()?.loaded)
    }

    /// The endpoint of a service, if it is not at AWS: from an environment variable such as `AWS_ENDPOINT_URL_LAMBDA`,
    /// or the one that environment or profile set for all services.
    pub(crate) fn endpoint(&self, service: &str) -> Result<Option<String>, StorageError> {
        let named = env::var(format!("AWS_ENDPOINT_URL_{}", service.to_uppercase())).ok();
        let endpoint = named.or(self.loaded()?.endpoint_url().map(str::to_owned));
        endpoint.as_deref().map_or(Ok(()), check_endpoint)?;
        Ok(endpoint)
    }

    /// The credentials for a server on this machine, if there are no others: the server accepts any, but the SDK sends
    /// no request without.
    pub(crate) fn local_credentials(&self, endpoint: &str) -> Option<Credentials> {
        let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
        let is_local = ["127.0.0.1", "localhost", "[::1]"].iter().any(|local| host.starts_with(local));
        let is_named = ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"].iter().any(|name| env::var_os(name).is_some());
        (is_local && self.0.settings.profile.is_none() && !is_named)
            .then(|| Credentials::new("local", "local", None, None, "local"))
    }

    fn connected(&self) -> Result<&Connected, StorageError> {
        self.0.connected.get_or_init(|| connect(&self.0.settings)).as_ref().map_err(Clone::clone)
    }
}

/// The place of a service, for messages.
pub(crate) fn place_of(endpoint: Option<&str>, region: Option<&Region>) -> String {
    match endpoint {
        Some(endpoint) => format!("the endpoint `{endpoint}`"),
        None => format!("the AWS region `{}`", region.map_or("?", Region::as_ref)),
    }
}

/// Checks an endpoint, because the SDK's error for a missing scheme shows the whole request.
///
/// # Errors
/// If this is not the address of a server.
pub(crate) fn check_endpoint(endpoint: &str) -> Result<(), StorageError> {
    let host = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    if host.is_some_and(|host| !host.is_empty() && !host.starts_with('/')) {
        return Ok(());
    }
    Err(StorageError::Permanent(format!(
        "the endpoint `{endpoint}` is not the address of a server, such as `http://localhost:8000`: AWS_ENDPOINT_URL, \
         AWS_ENDPOINT_URL_DYNAMODB or `endpoint` in hark.toml sets it"
    )))
}

/// # Errors
/// If no region can have this name.
fn check_region(region: &str) -> Result<(), StorageError> {
    let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if !region.is_empty() && region.chars().all(is_plain) {
        return Ok(());
    }
    Err(StorageError::Permanent(format!(
        "`{region}` is not the name of an AWS region, such as `eu-west-1`: set AWS_REGION, or `region` in \
         [storage.dynamodb] of hark.toml"
    )))
}

/// A pause before the next try.
pub(crate) fn drawn_below(bound: Duration) -> Duration {
    Duration::from_micros(random() % (bound.as_micros() as u64 + 1))
}

/// Makes a request, and repeats it while that may help, for at most this long. The request must be one that may happen
/// twice.
pub(crate) async fn retried<E: ProvideErrorMetadata, T, F>(
    patience: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T, SdkError<E, HttpResponse>>
where
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
{
    let (begun, mut bound) = (Instant::now(), PAUSE);
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let pause = drawn_below(bound);
        let may_help = matches!(verdict(&error), Verdict::Again | Verdict::AgainInDoubt);
        let is_unreachable = matches!(&error, SdkError::DispatchFailure(failure) if failure.is_io());
        let patience = if is_unreachable { patience.min(UNREACHABLE_TIME_MAX) } else { patience };
        if !may_help || begun.elapsed() + pause > patience {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        bound = (bound * 2).min(PAUSE_MAX);
    }
}

fn connect(settings: &AwsSettings) -> Result<Connected, StorageError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .thread_name("aws")
        .enable_all()
        .build()
        .map_err(|error| StorageError::Transient(format!("cannot start threads for the network: {error}")))?;
    let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
    let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIME_MAX)
        .operation_attempt_timeout(settings.try_time_max)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::disabled());
    if let Ok(name) = AppName::new("hark") {
        loader = loader.app_name(name);
    }
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let loaded = runtime.block_on(loader.load());
    loaded.region().map_or(Ok(()), |region| check_region(region.as_ref()))?;
    Ok(Connected { runtime: Some(runtime), loaded })
}
