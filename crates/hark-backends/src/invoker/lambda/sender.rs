//! Sends invocations to functions, and messages to the queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use hark_engine::{Assignment, StorageError, Surroundings, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tracing::warn;

use super::payload::Threads;
use super::{DELAY_MAX, LambdaSettings, Target};
use crate::aws::{Aws, Request, Service, chain, refusal_in_json, retried};
use crate::surroundings::System;

/// How long one try may take.
const TRY_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a request is tried again.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many requests are in flight at a time.
const WIDTH: usize = 16;

/// How many messages a queue takes in one request.
const MESSAGES_MAX: usize = 10;

pub(super) struct Sender {
    aws: Aws,
    settings: LambdaSettings,
    services: OnceLock<Result<Arc<Services>, StorageError>>,
    /// The targets that no longer exist. They stay gone, because an alias is never reused for other code.
    gone: Mutex<BTreeSet<Target>>,
}

struct Services {
    lambda: Service,
    sqs: Service,
}

/// A request that is not sent yet.
struct Letter {
    to_queue: bool,
    url: String,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
}

impl Sender {
    pub fn new(aws: Aws, settings: LambdaSettings) -> Sender {
        Sender { aws, settings, services: OnceLock::new(), gone: Mutex::default() }
    }

    /// Sends all of these. Hints that cannot be sent are dropped.
    pub fn send(&self, now: BTreeMap<Target, Vec<Assignment>>, later: Vec<(Timestamp, Assignment)>, hops: u32) {
        let services = match self.services() {
            Ok(services) => services,
            Err(error) => return warn!(%error, "hints cannot be sent"),
        };
        let invocation = |target: Target, threads| {
            let cut = Threads::cut(threads, hops);
            cut.iter().map(|threads| self.invocation(services, &target, threads.to_json())).collect::<Vec<_>>()
        };
        let mut letters: Vec<Letter> =
            now.into_iter().flat_map(|(target, threads)| invocation(target, threads)).collect();
        if let Some(queue) = &self.settings.timers {
            letters.extend(messages(services, queue, later, hops));
        }
        let sent = self.aws.wait(send_all(services.clone(), letters));
        if let Err(error) = sent {
            warn!(%error, "hints are not sent");
        }
    }

    fn services(&self) -> Result<&Arc<Services>, StorageError> {
        let connect = || {
            let service = |name| Service::new(&self.aws, name, self.aws.endpoint(name)?, TRY_TIME_MAX);
            Ok(Arc::new(Services { lambda: service("lambda")?, sqs: service("sqs")? }))
        };
        self.services.get_or_init(connect).as_ref().map_err(Clone::clone)
    }

    /// Whether this function exists and has this version or alias. True if that cannot be determined.
    pub fn reaches(&self, target: Target) -> bool {
        if self.gone.lock().unwrap_or_else(PoisonError::into_inner).contains(&target) {
            return false;
        }
        let Ok(services) = self.services() else { return true };
        // A dry run checks everything, but does not run the function.
        let nothing = br#"{"hark":1,"threads":[],"hops":0}"#.to_vec();
        let mut letter = self.invocation(services, &target, nothing);
        letter.headers[0] = ("x-amz-invocation-type", "DryRun");
        let asked = self.aws.wait(async { Ok(answer_to(services, &letter).await) });
        let is_missing = |error: &SdkError<ErrorMetadata, HttpResponse>| {
            error.raw_response().is_some_and(|answer| answer.status().as_u16() == 404)
        };
        let is_gone = matches!(&asked, Ok(Err(error)) if is_missing(error));
        if is_gone {
            self.gone.lock().unwrap_or_else(PoisonError::into_inner).insert(target);
        }
        !is_gone
    }

    fn invocation(&self, services: &Services, Target { function, code }: &Target, body: Vec<u8>) -> Letter {
        let base = base(&services.lambda, "lambda");
        let qualifier = code.as_ref().or(self.settings.qualifier.as_ref());
        let qualifier = qualifier.map(|name| format!("?Qualifier={name}")).unwrap_or_default();
        Letter {
            to_queue: false,
            url: format!("{base}/2015-03-31/functions/{function}/invocations{qualifier}"),
            headers: vec![("x-amz-invocation-type", "Event"), ("content-type", "application/json")],
            body,
        }
    }
}

fn base(service: &Service, name: &str) -> String {
    match service.endpoint() {
        Some(endpoint) => endpoint.to_owned(),
        None => format!("https://{name}.{}.{}", service.region(), service.domain()),
    }
}

/// Queue messages that are delivered at their times: one for all hints of each second.
fn messages(services: &Services, queue: &str, mut later: Vec<(Timestamp, Assignment)>, hops: u32) -> Vec<Letter> {
    later.sort_by_key(|(until, _)| *until);
    let now = System.steady_now();
    // Rounded up, because a message that arrives early would have to be sent again.
    let delay = |until: Timestamp| until.since(now).as_millis().div_ceil(1_000).min(u128::from(DELAY_MAX.as_secs()));
    let mut entries: Vec<Value> = Vec::new();
    for together in later.chunk_by(|(one, _), (next, _)| delay(*one) == delay(*next)) {
        let threads = together.iter().map(|(_, assignment)| assignment.clone()).collect();
        for payload in Threads::cut(threads, hops) {
            let body = String::from_utf8(payload.to_json()).expect("JSON is UTF-8");
            let id = entries.len().to_string();
            entries.push(json!({"Id": id, "MessageBody": body, "DelaySeconds": delay(together[0].0) as u64}));
        }
    }
    let letter = |entries: &[Value]| Letter {
        to_queue: true,
        url: format!("{}/", base(&services.sqs, "sqs")),
        headers: vec![("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "AmazonSQS.SendMessageBatch")],
        body: json!({"QueueUrl": queue, "Entries": entries}).to_string().into_bytes(),
    };
    entries.chunks(MESSAGES_MAX).map(letter).collect()
}

/// Sends letters, some at a time.
async fn send_all(services: Arc<Services>, letters: Vec<Letter>) -> Result<(), StorageError> {
    let (mut letters, mut sending) = (letters.into_iter(), JoinSet::new());
    loop {
        while sending.len() < WIDTH {
            let Some(letter) = letters.next() else { break };
            let services = services.clone();
            sending.spawn(async move {
                if let Err(error) = send(&services, &letter).await {
                    warn!(error, url = letter.url, "hints are lost");
                }
            });
        }
        if sending.join_next().await.is_none() {
            return Ok(());
        }
    }
}

/// Sends a letter, and retries it if that may help, because a second delivery does no harm.
async fn send(services: &Services, letter: &Letter) -> Result<(), String> {
    answer_to(services, letter).await.map_err(|error| match &error {
        SdkError::ServiceError(refused) => refused.err().to_string(),
        error => chain(error),
    })
}

async fn answer_to(services: &Services, letter: &Letter) -> Result<(), SdkError<ErrorMetadata, HttpResponse>> {
    let service = if letter.to_queue { &services.sqs } else { &services.lambda };
    let request = Request { method: "POST", url: letter.url.clone(), headers: &letter.headers, body: &letter.body };
    let ask = || async {
        let (answer, body) = service.send(&request).await?;
        match refusal(&answer, &body) {
            None => Ok(()),
            Some(refusal) => Err(SdkError::service_error(refusal, answer)),
        }
    };
    retried(PATIENCE, ask).await
}

/// The error in an answer. A queue also reports failures of single messages in a successful answer.
fn refusal(answer: &HttpResponse, body: &[u8]) -> Option<ErrorMetadata> {
    if answer.status().is_success() {
        let told: Value = serde_json::from_slice(body).unwrap_or_default();
        let failed = told["Failed"].get(0)?;
        let code = if failed["SenderFault"] == true { "SenderFault" } else { "ServiceUnavailable" };
        return Some(ErrorMetadata::builder().code(code).message(failed.to_string()).build());
    }
    Some(refusal_in_json(answer, body))
}
