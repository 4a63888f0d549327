//! Lambda functions: invokes them, and lists their aliases.

use std::time::Duration;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use serde_json::Value;

use super::error::refusal_in_json;
use super::s3::encoded;
use super::{Aws, AwsError, Request, Service, retried};

/// The maximum size of the event of a synchronous invocation, in bytes.
pub const EVENT_BYTES_MAX: usize = 6 << 20;

/// How long one try may take: as long as a function may run, and the start of its process.
const TRY_TIME_MAX: Duration = Duration::from_secs(960);

/// How long an invocation is retried if it is refused because too many are running.
const PATIENCE: Duration = Duration::from_secs(30);

/// All functions of an account.
pub struct Functions {
    aws: Aws,
    service: Service,
}

/// An invocation that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvocationError {
    /// The function could not be invoked.
    #[error(transparent)]
    Call(#[from] AwsError),
    /// The function reported an error, or ended without an answer.
    #[error("the function failed: {message} ({kind})")]
    Function {
        /// The kind of the error.
        kind: String,
        /// Its message.
        message: String,
    },
}

impl Functions {
    /// Those of an account.
    ///
    /// # Errors
    /// If the environment does not tell how to reach them.
    pub fn new(aws: &Aws) -> Result<Functions, AwsError> {
        let service = Service::new(aws, "lambda", aws.endpoint("lambda")?, TRY_TIME_MAX)?;
        Ok(Functions { aws: aws.clone(), service })
    }

    /// Invokes a function and waits for its answer. If the answer is lost, it is invoked again, so the event must have
    /// no further effect if it is delivered twice.
    ///
    /// # Errors
    /// If it cannot be invoked, or fails.
    pub fn invoke(&self, function: &str, alias: &str, event: &[u8]) -> Result<Value, InvocationError> {
        let url = self.url(&format!("{function}/invocations?Qualifier={alias}"));
        let headers = [("x-amz-invocation-type", "RequestResponse"), ("content-type", "application/json")];
        let request = Request { method: "POST", url, headers: &headers, body: event };
        let (has_failed, body) = self.ask("Invoke", &request)?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        if has_failed {
            return Err(InvocationError::Function {
                kind: text("errorType").unwrap_or_else(|| "Unhandled".to_owned()),
                message: text("errorMessage").unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned()),
            });
        }
        Ok(answer)
    }

    /// The aliases of a function.
    ///
    /// # Errors
    /// If they cannot be asked for.
    pub fn aliases(&self, function: &str) -> Result<Vec<String>, AwsError> {
        let (mut found, mut marker) = (Vec::new(), String::new());
        loop {
            let url = self.url(&format!("{function}/aliases{marker}"));
            let (_, body) = self.ask("ListAliases", &Request { method: "GET", url, headers: &[], body: b"" })?;
            let page: Value = serde_json::from_slice(&body).unwrap_or_default();
            let names = page["Aliases"].as_array().into_iter().flatten().filter_map(|alias| alias["Name"].as_str());
            found.extend(names.map(str::to_owned));
            match page["NextMarker"].as_str().filter(|next| !next.is_empty()) {
                Some(next) => marker = format!("?Marker={}", encoded(next)),
                None => return Ok(found),
            }
        }
    }

    fn url(&self, path: &str) -> String {
        let base = match self.service.endpoint() {
            Some(endpoint) => endpoint.to_owned(),
            None => format!("https://lambda.{}.{}", self.service.region(), self.service.domain()),
        };
        format!("{base}/2015-03-31/functions/{path}")
    }

    /// The body of the answer, and whether the function failed.
    fn ask(&self, action: &str, request: &Request<'_>) -> Result<(bool, Vec<u8>), AwsError> {
        let ask = || async {
            let (answer, body) = self.service.send::<ErrorMetadata>(request).await?;
            if !answer.status().is_success() {
                return Err(SdkError::service_error(refusal_in_json(&answer, &body), answer));
            }
            Ok((answer.headers().get("x-amz-function-error").is_some(), body))
        };
        let answered = self.aws.wait(async { Ok(retried(PATIENCE, ask).await) })?;
        answered.map_err(|error| AwsError::of(action, self.service.place(), error))
    }
}
