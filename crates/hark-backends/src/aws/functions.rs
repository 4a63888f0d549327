//! Functions of Lambda: invoking one, and what it answers.

use std::time::Duration;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use serde_json::Value;

use super::error::refusal_in_json;
use super::{Aws, AwsError, Request, Service, retried};

/// The maximum number of bytes of the event of an invocation that is waited for.
pub const EVENT_BYTES_MAX: usize = 6 << 20;

/// How long one try may take: as long as a function may run, and the start of its process.
const TRY_TIME_MAX: Duration = Duration::from_secs(960);

/// How long an invocation is tried again that is refused, because too many are under way.
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
    /// The function says that it failed, or has ended without an answer.
    #[error("the function failed: {message} ({kind})")]
    Function {
        /// The kind of the error.
        kind: String,
        /// What it says.
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

    /// Where they are, as messages name it.
    pub fn place(&self) -> &str {
        self.service.place()
    }

    /// Invokes a function and waits for its answer. If the answer is lost it is invoked again, so the event must say what happens
    /// only once.
    ///
    /// # Errors
    /// If it cannot be invoked, or fails.
    pub fn invoke(&self, function: &str, alias: &str, event: &[u8]) -> Result<Value, InvocationError> {
        let base = match self.service.endpoint() {
            Some(endpoint) => endpoint.to_owned(),
            None => format!("https://lambda.{}.{}", self.service.region(), self.service.domain()),
        };
        let url = format!("{base}/2015-03-31/functions/{function}/invocations?Qualifier={alias}");
        let headers = [("x-amz-invocation-type", "RequestResponse"), ("content-type", "application/json")];
        let request = Request { method: "POST", url, headers: &headers, body: event };
        let ask = || async {
            let (answer, body) = self.service.send::<ErrorMetadata>(&request).await?;
            if !answer.status().is_success() {
                return Err(SdkError::service_error(refusal_in_json(&answer, &body), answer));
            }
            Ok((answer.headers().get("x-amz-function-error").is_some(), body))
        };
        let answered = self.aws.wait(async { Ok(retried(PATIENCE, ask).await) }).map_err(AwsError::from)?;
        let (has_failed, body) = answered.map_err(|error| AwsError::of("Invoke", self.place(), error))?;
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
}
