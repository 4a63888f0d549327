//! Lambda's runtime interface for the process of a function: it requests one event after the other, and answers each.
//!
//! The process may be frozen from an answer until the next event. The few requests use the HTTP client that is there
//! for calls to AWS. The crate `lambda_runtime` would add some twenty crates, and a second version of one.

use std::env;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use hark_engine::StorageError;
use serde_json::json;

use crate::aws::{Aws, chain};

/// Where the interface is.
const ADDRESS_VARIABLE: &str = "AWS_LAMBDA_RUNTIME_API";

/// The interface.
pub struct RuntimeApi {
    aws: Aws,
    http: Connector,
    base: String,
}

/// An event, and what is told with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The id of the request. A second try has the same.
    pub id: String,
    /// When the function is stopped, since 1970.
    pub deadline: Duration,
    /// The event.
    pub event: Vec<u8>,
}

impl RuntimeApi {
    /// The interface that the environment names, if this is the process of a function.
    pub fn of_environment(aws: Aws) -> Option<RuntimeApi> {
        let address = env::var(ADDRESS_VARIABLE).ok().filter(|address| !address.is_empty())?;
        Some(RuntimeApi {
            aws,
            // Without TLS, because the requests stay on the machine, and without a timeout, because the next event may
            // come in hours.
            http: Connector::builder().build_http(),
            base: format!("http://{address}/2018-06-01/runtime"),
        })
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// If the interface cannot be used. Then the process should end.
    pub fn next(&self) -> Result<Invocation, StorageError> {
        let (answer, event) = self.ask("GET", "invocation/next", Vec::new(), None)?;
        let header = |name: &str| answer.headers().get(name).map(str::to_owned);
        let id = header("lambda-runtime-aws-request-id").ok_or_else(|| unusable("an event has no id"))?;
        let deadline = header("lambda-runtime-deadline-ms").and_then(|deadline| deadline.parse().ok());
        let deadline = deadline.map(Duration::from_millis).ok_or_else(|| unusable("an event has no deadline"))?;
        Ok(Invocation { id, deadline, event })
    }

    /// Answers an event, with JSON.
    ///
    /// # Errors
    /// Like [`next`](RuntimeApi::next).
    pub fn answer(&self, id: &str, answer: &str) -> Result<(), StorageError> {
        self.ask("POST", &format!("invocation/{id}/response"), answer.as_bytes().to_vec(), None).map(drop)
    }

    /// Reports that an event could not be handled. If it was sent asynchronously, Lambda delivers it again.
    ///
    /// # Errors
    /// Like [`next`](RuntimeApi::next).
    pub fn fail(&self, id: &str, kind: &str, message: &str) -> Result<(), StorageError> {
        self.tell_error(&format!("invocation/{id}/error"), kind, message)
    }

    /// Reports that the process cannot start.
    ///
    /// # Errors
    /// Like [`next`](RuntimeApi::next).
    pub fn fail_to_begin(&self, kind: &str, message: &str) -> Result<(), StorageError> {
        self.tell_error("init/error", kind, message)
    }

    fn tell_error(&self, path: &str, kind: &str, message: &str) -> Result<(), StorageError> {
        let body = json!({"errorType": kind, "errorMessage": message, "stackTrace": []});
        self.ask("POST", path, body.to_string().into_bytes(), Some(kind)).map(drop)
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        body: Vec<u8>,
        error_kind: Option<&str>,
    ) -> Result<(HttpResponse, Vec<u8>), StorageError> {
        let mut request = http::Request::builder().method(method).uri(format!("{}/{path}", self.base));
        if let Some(kind) = error_kind {
            request = request.header("lambda-runtime-function-error-type", kind);
        }
        let request = request.body(SdkBody::from(body)).map_err(|error| unusable(&chain(&error)))?;
        let request = HttpRequest::try_from(request).map_err(|error| unusable(&chain(&error)))?;
        self.aws.wait(async {
            let mut answer = self.http.call(request).await.map_err(|error| unusable(&chain(&error)))?;
            let body = ByteStream::new(answer.take_body()).collect().await;
            let body = body.map_err(|error| unusable(&chain(&error)))?.to_vec();
            if !answer.status().is_success() {
                let (status, body) = (answer.status().as_u16(), String::from_utf8_lossy(&body));
                return Err(unusable(&format!("it answers with status {status}: {body}")));
            }
            Ok((answer, body))
        })
    }
}

fn unusable(why: &str) -> StorageError {
    StorageError::Permanent(format!("the interface of Lambda cannot be used: {why}"))
}
