//! The client, created when it is first needed, and the retries of calls.
//!
//! The engine calls synchronously; a small async runtime waits for the network. The SDK's own retries are off, because
//! it does not know which calls may be repeated when they may have happened.

use std::error::Error;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_config::Region;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use hark_engine::StorageError;
use tokio::task::JoinSet;
use tracing::debug;

use super::counts::Counter;
use super::error::{Failed, Target, TargetKind, text};
use super::settings::DynamoSettings;
use crate::aws::s3::S3;
use crate::aws::{
    ANY_REGION, Aws, AwsSettings, PAUSE, PAUSE_MAX, Verdict, check_endpoint, drawn_below, place_of, verdict,
};

/// How long one try may take.
pub(super) const TRY_TIME_MAX: Duration = Duration::from_secs(5);
/// The same for an object, which may have a megabyte.
const OBJECT_TIME_MAX: Duration = Duration::from_secs(15);

/// How long a call is retried. The caller, which knows how long it wants to wait, may make it again.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

/// How many calls of one request are in flight at a time.
pub(super) const WIDTH: usize = 16;

#[derive(Clone)]
pub(super) struct Api(Arc<Inner>);

struct Inner {
    settings: DynamoSettings,
    aws: Aws,
    connected: OnceLock<Result<Connected, StorageError>>,
    /// Made when something is first kept in a bucket, or read from one.
    s3: OnceLock<Result<S3, StorageError>>,
    counter: Counter,
}

struct Connected {
    client: Client,
    /// The place of the service, for messages.
    place: String,
}

impl Api {
    pub fn new(settings: DynamoSettings) -> Api {
        let (region, profile) = (settings.region.clone(), settings.profile.clone());
        let aws = Aws::new(AwsSettings { region, profile, try_time_max: TRY_TIME_MAX });
        let (connected, s3) = (OnceLock::new(), OnceLock::new());
        Api(Arc::new(Inner { settings, aws, connected, s3, counter: Counter::default() }))
    }

    pub fn settings(&self) -> &DynamoSettings {
        &self.0.settings
    }

    pub fn aws(&self) -> &Aws {
        &self.0.aws
    }

    pub fn table(&self) -> &str {
        &self.0.settings.table
    }

    pub fn counter(&self) -> &Counter {
        &self.0.counter
    }

    /// Does something asynchronous with the client, and waits for it.
    pub fn wait<T>(&self, request: impl Future<Output = Result<T, StorageError>>) -> Result<T, StorageError> {
        self.0.aws.wait(request)
    }

    pub fn client(&self) -> Result<&Client, StorageError> {
        Ok(&self.connected()?.client)
    }

    pub fn s3(&self) -> Result<&S3, StorageError> {
        self.0
            .s3
            .get_or_init(|| S3::new(&self.0.aws, self.0.settings.bucket_endpoint.clone(), OBJECT_TIME_MAX))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The table, for messages.
    pub fn target(&self) -> Target<'_> {
        let place = self.connected().map_or("", |connected| &connected.place);
        Target { kind: TargetKind::Table, name: self.table(), place, advice: &self.settings().advice }
    }

    fn connected(&self) -> Result<&Connected, StorageError> {
        self.0.connected.get_or_init(|| connect(&self.0.settings, &self.0.aws)).as_ref().map_err(Clone::clone)
    }

    /// Makes a call, and repeats it after transient errors for `patience` at most. `is_retryable` says whether a refusal is transient.
    pub async fn call<O, E, F>(
        &self,
        name: &'static str,
        patience: Duration,
        is_retryable: fn(&E) -> bool,
        send: impl Fn() -> F + Send,
    ) -> Result<O, Failed<E>>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        F: Future<Output = Result<O, SdkError<E, HttpResponse>>> + Send,
    {
        self.call_on(self.target(), name, patience, is_retryable, send).await
    }

    /// The same, on a table or a bucket.
    pub async fn call_on<O, E, F>(
        &self,
        target: Target<'_>,
        name: &'static str,
        patience: Duration,
        is_retryable: fn(&E) -> bool,
        send: impl Fn() -> F + Send,
    ) -> Result<O, Failed<E>>
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        F: Future<Output = Result<O, SdkError<E, HttpResponse>>> + Send,
    {
        let (begun, mut in_doubt, mut bound, mut tries) = (Instant::now(), false, PAUSE, 0);
        loop {
            self.counter().note_call(name, tries > 0);
            debug!(call = name, "{} is asked", target.service());
            tries += 1;
            let error = match send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let verdict = match (&error, verdict(&error)) {
                (SdkError::ServiceError(service), Verdict::Callers) if is_retryable(service.err()) => Verdict::Again,
                (_, verdict) => verdict,
            };
            match (verdict, error) {
                (Verdict::Callers, SdkError::ServiceError(service)) => {
                    return Err(Failed::Refused { error: service.into_err(), in_doubt });
                }
                (Verdict::Again | Verdict::AgainInDoubt, error) => {
                    in_doubt |= verdict == Verdict::AgainInDoubt;
                    let (pause, error) = (drawn_below(bound), text(name, target, &error));
                    if begun.elapsed() + pause > patience {
                        return Err(Failed::Lost { error: StorageError::Transient(error), in_doubt });
                    }
                    debug!(call = name, tries, error, "a call is made again");
                    tokio::time::sleep(pause).await;
                    bound = (bound * 2).min(PAUSE_MAX);
                }
                (_, error) => {
                    let error = StorageError::Permanent(text(name, target, &error));
                    return Err(Failed::Lost { error, in_doubt });
                }
            }
        }
    }

    /// Makes these calls concurrently, some at a time. Returns the answers in the same order.
    pub async fn all<T, F>(requests: impl IntoIterator<Item = F>) -> Result<Vec<T>, StorageError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StorageError>> + Send + 'static,
    {
        let mut requests = requests.into_iter().enumerate();
        let (mut running, mut answers) = (JoinSet::new(), Vec::new());
        loop {
            while running.len() < WIDTH {
                let Some((index, request)) = requests.next() else { break };
                running.spawn(async move { (index, request.await) });
            }
            match running.join_next().await {
                None => break,
                Some(Ok((index, answer))) => answers.push((index, answer?)),
                Some(Err(error)) => return Err(StorageError::Transient(error.to_string())),
            }
        }
        answers.sort_by_key(|(index, _)| *index);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }
}

/// The endpoint from the environment. The generated client reads profiles itself.
const ENDPOINT_VARIABLES: [&str; 2] = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"];

/// A client for the table.
fn connect(settings: &DynamoSettings, aws: &Aws) -> Result<Connected, StorageError> {
    let loaded = aws.loaded()?;
    let mut config = aws_sdk_dynamodb::config::Builder::from(loaded);
    let named = || ENDPOINT_VARIABLES.iter().find_map(|name| std::env::var(name).ok());
    let endpoint = settings.endpoint.clone().or_else(named);
    if let Some(endpoint) = &endpoint {
        check_endpoint(endpoint)?;
        config = config.endpoint_url(endpoint);
        if let Some(credentials) = aws.local_credentials(endpoint) {
            config = config.credentials_provider(credentials);
        }
    }
    if loaded.region().is_none() {
        if endpoint.is_none() {
            return Err(StorageError::Permanent(
                "no AWS region is set: set AWS_REGION, or `region` in [storage.dynamodb] of hark.toml".into(),
            ));
        }
        config = config.region(Region::new(ANY_REGION));
    }
    let place = place_of(endpoint.as_deref(), loaded.region());
    Ok(Connected { client: Client::from_conf(config.build()), place })
}
