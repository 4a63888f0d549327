//! Judges a failed try: whether to retry it, and whether it may have happened.

use std::error::Error;
use std::fmt::Write;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// What to do about a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Retry it: it has not happened.
    Again,
    /// Retry it: it may have happened.
    AgainInDoubt,
    /// Leave it to the caller.
    Callers,
    /// Give up.
    Never,
}

/// What to do about a try that failed with this error.
pub(crate) fn verdict<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Verdict {
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            match service.err().code() {
                Some(
                    "ConditionalCheckFailedException"
                    | "TransactionCanceledException"
                    | "ResourceInUseException"
                    | "NoSuchKey",
                ) => Verdict::Callers,
                Some(
                    "ProvisionedThroughputExceededException"
                    | "ThrottlingException"
                    | "Throttling"
                    | "TooManyRequestsException"
                    | "RequestLimitExceeded"
                    | "TransactionConflictException"
                    | "LimitExceededException"
                    | "RequestTimeout"
                    | "OperationAborted"
                    | "SlowDown",
                ) => Verdict::Again,
                Some("TransactionInProgressException" | "InternalServerError" | "ServiceUnavailable") => {
                    Verdict::AgainInDoubt
                }
                _ if status >= 500 => Verdict::AgainInDoubt,
                _ => Verdict::Never,
            }
        }
        SdkError::ConstructionFailure(_) => Verdict::Never,
        SdkError::DispatchFailure(failure)
            if failure.is_user()
                || failure.as_connector_error().is_some_and(|error| lacks_credentials(&chain(error))) =>
        {
            Verdict::Never
        }
        _ => Verdict::AgainInDoubt,
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// Whether an error says that there are no credentials.
pub(crate) fn lacks_credentials(text: &str) -> bool {
    text.contains("redentials") || text.contains("identity")
}
