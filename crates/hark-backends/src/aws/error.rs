//! Errors of calls to the services of an account.

use std::fmt::Debug;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hark_engine::StorageError;
use roxmltree::Document;
use serde_json::Value;

use super::chain;

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// The service refused it.
    #[error("AWS refuses `{action}`: {why} ({code})")]
    Refused {
        /// The action.
        action: String,
        /// The service's name for the error.
        code: String,
        /// Its message.
        why: String,
    },
    /// There was no answer, or it could not be read.
    #[error("`{action}` failed: {why}")]
    Failed {
        /// What was called.
        action: String,
        /// The reason.
        why: String,
    },
    /// No connection can be made.
    #[error(transparent)]
    Unconnected(#[from] StorageError),
}

impl AwsError {
    /// That an action failed at this place.
    pub(super) fn of<E, R>(action: &str, place: &str, error: SdkError<E, R>) -> AwsError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: Debug + Send + Sync + 'static,
    {
        let action = action.to_owned();
        match error {
            SdkError::ServiceError(refused) => AwsError::Refused {
                action,
                code: refused.err().code().unwrap_or("without a code").to_owned(),
                why: refused.err().message().unwrap_or("it does not say why").to_owned(),
            },
            error => AwsError::Failed { action, why: format!("{place}: {}", chain(&error)) },
        }
    }
}

/// The error in an XML answer. S3 and the services with the Query protocol have code and message at different depths.
pub(super) fn refusal(body: &[u8]) -> ErrorMetadata {
    let mut told = ErrorMetadata::builder();
    if let Ok(document) = Document::parse(&String::from_utf8_lossy(body)) {
        for node in document.descendants() {
            match (node.tag_name().name(), node.text()) {
                ("Code", Some(text)) => told = told.code(text),
                ("Message", Some(text)) => told = told.message(text),
                _ => {}
            }
        }
    }
    told.build()
}

/// The error in a JSON answer. Its code is in a header or in the body, with an address or a namespace around it:
/// `ThrottlingException:http://...`, `com.amazonaws.sqs#QueueDoesNotExist`.
pub(crate) fn refusal_in_json(answer: &HttpResponse, body: &[u8]) -> ErrorMetadata {
    let told: Value = serde_json::from_slice(body).unwrap_or_default();
    let status = answer.status().as_u16();
    let code = answer.headers().get("x-amzn-errortype").or_else(|| told["__type"].as_str());
    let code = code.map(|code| code.split(':').next().unwrap_or(code));
    let code = code.map(|code| code.rsplit('#').next().unwrap_or(code));
    let code = code.or((status == 429).then_some("TooManyRequestsException"));
    let why = told["message"].as_str().or_else(|| told["Message"].as_str());
    let mut error = ErrorMetadata::builder().message(match why {
        Some(why) => why.to_owned(),
        None => format!("status {status}"),
    });
    if let Some(code) = code {
        error = error.code(code);
    }
    error.build()
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn a_refusal_in_json_is_read() {
        let answer = |status: u16, header: Option<&str>| {
            let http = http::Response::builder().status(status);
            let http = header.into_iter().fold(http, |http, kind| http.header("x-amzn-errortype", kind));
            HttpResponse::try_from(http.body(SdkBody::empty()).unwrap()).unwrap()
        };
        for (answer, body, expected) in [
            (answer(400, None), r#"{"__type": "com.x#Bad", "message": "no"}"#, (Some("Bad"), Some("no"))),
            (answer(404, Some("Gone:http://x")), r#"{"Message": "no"}"#, (Some("Gone"), Some("no"))),
            (answer(429, None), "", (Some("TooManyRequestsException"), Some("status 429"))),
            (answer(500, None), "x", (None, Some("status 500"))),
        ] {
            let told = refusal_in_json(&answer, body.as_bytes());
            assert_eq!((told.code(), told.message()), expected);
        }
    }

    #[test]
    fn a_refusal_is_read() {
        let told = refusal(
            b"<ErrorResponse><Error><Code>ValidationError</Code><Message>a &lt; b</Message></Error></ErrorResponse>",
        );
        assert_eq!((told.code(), told.message()), (Some("ValidationError"), Some("a < b")));
        assert_eq!(refusal(b"no XML").code(), None);
    }
}
