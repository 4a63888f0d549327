//! AWS's *JSON* protocols, with the action in a header: CloudWatch Logs and SQS.

use std::time::Duration;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use serde_json::Value;

use super::error::refusal_in_json;
use super::{Aws, AwsError, Request, Service, retried};

/// How long one try may take.
const TRY_TIME_MAX: Duration = Duration::from_secs(30);

/// How long a call is tried again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A service with such a protocol.
pub(super) struct JsonService {
    aws: Aws,
    service: Service,
    protocol: JsonProtocol,
}

/// The constants of a service's calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct JsonProtocol {
    /// The service's name in its domain and in signatures.
    pub name: &'static str,
    /// The name before the action.
    pub target: &'static str,
    /// The type of the content.
    pub content_type: &'static str,
}

impl JsonService {
    pub fn new(aws: &Aws, protocol: JsonProtocol) -> Result<JsonService, AwsError> {
        let service = Service::new(aws, protocol.name, aws.endpoint(protocol.name)?, TRY_TIME_MAX)?;
        Ok(JsonService { aws: aws.clone(), service, protocol })
    }

    /// Calls an action that may happen twice, and retries it while that may help.
    pub fn call(&self, action: &str, parameters: &Value) -> Result<Value, AwsError> {
        let JsonProtocol { name, target, content_type } = self.protocol;
        let url = match self.service.endpoint() {
            Some(endpoint) => format!("{endpoint}/"),
            None => format!("https://{name}.{}.{}/", self.service.region(), self.service.domain()),
        };
        let (target, body) = (format!("{target}.{action}"), parameters.to_string());
        let headers = [("content-type", content_type), ("x-amz-target", target.as_str())];
        let request = Request { method: "POST", url, headers: &headers, body: body.as_bytes() };
        let ask = || async {
            let (answer, body) = self.service.send::<ErrorMetadata>(&request).await?;
            if answer.status().is_success() {
                return Ok(body);
            }
            Err(SdkError::service_error(refusal_in_json(&answer, &body), answer))
        };
        let answered = self.aws.wait(async { Ok(retried(PATIENCE, ask).await) })?;
        let body = answered.map_err(|error| AwsError::of(action, self.service.place(), error))?;
        serde_json::from_slice(&body)
            .map_err(|_| AwsError::Failed { action: action.to_owned(), why: "its answer cannot be read".to_owned() })
    }
}
