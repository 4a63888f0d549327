//! Why a call of an account's own services failed.

use std::fmt::Debug;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hark_engine::StorageError;
use roxmltree::Document;

use super::chain;

/// A call that did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AwsError {
    /// The service does not do it.
    #[error("AWS refuses `{action}`: {why} ({code})")]
    Refused {
        /// What was called.
        action: String,
        /// The service's name for the error.
        code: String,
        /// What it says.
        why: String,
    },
    /// There was no answer, or none that can be understood.
    #[error("`{action}` failed: {why}")]
    Failed {
        /// What was called.
        action: String,
        /// What was wrong.
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

/// What an answer in XML says that is an error. S3 and the services of the Query protocol have its code and message at different
/// depths.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read() {
        let told = refusal(
            b"<ErrorResponse><Error><Code>ValidationError</Code><Message>a &lt; b</Message></Error></ErrorResponse>",
        );
        assert_eq!((told.code(), told.message()), (Some("ValidationError"), Some("a < b")));
        assert_eq!(refusal(b"no XML").code(), None);
    }
}
