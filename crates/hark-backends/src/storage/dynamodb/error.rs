//! What the errors of DynamoDB and S3 mean: whether a call is worth another try, whether it may have happened, and what to tell.

use std::error::Error;
use std::fmt::{self, Write};

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use hark_engine::StorageError;

/// What calls are made on, as messages name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub kind: TargetKind,
    pub name: &'a str,
    /// Where the service was looked for.
    pub place: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetKind {
    Table,
    Bucket,
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            TargetKind::Table => "table",
            TargetKind::Bucket => "bucket",
        };
        write!(formatter, "{kind} `{}`", self.name)
    }
}

impl Target<'_> {
    pub fn service(&self) -> &'static str {
        match self.kind {
            TargetKind::Table => "DynamoDB",
            TargetKind::Bucket => "S3",
        }
    }
}

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Failed<E> {
    /// The service says no, for a reason that its caller deals with. `in_doubt` says that an earlier try may have happened.
    Refused { error: E, in_doubt: bool },
    /// It was given up.
    Lost { error: StorageError, in_doubt: bool },
}

/// What becomes of a try that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It did not happen, and may work if it is tried again.
    Again,
    /// The same, but it may have happened.
    AgainInDoubt,
    /// Its caller knows what that means.
    Callers,
    /// It will not work.
    Never,
}

impl<E> Failed<E> {
    /// For callers that know no reasons.
    pub fn into_error(self, name: &str, target: Target<'_>) -> StorageError
    where
        E: ProvideErrorMetadata,
    {
        match self {
            Failed::Lost { error, .. } => error,
            Failed::Refused { error, .. } => StorageError::Permanent(refusal(name, target, &error)),
        }
    }
}

pub(super) fn verdict<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Verdict {
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

/// What is told of a try that failed.
pub(super) fn text<E>(name: &str, target: Target<'_>, error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let place = target.place;
    if let SdkError::ServiceError(service) = error {
        if service.err().code().is_none() {
            let (status, service) = (service.raw().status().as_u16(), target.service());
            return format!("{name} on {target}: {place} answers with status {status}, and not as {service} does");
        }
        return refusal(name, target, service.err());
    }
    let text = format!("{name} on {target}: {}", chain(error).trim_end_matches('.'));
    if lacks_credentials(&text) {
        return format!(
            "{text}; no credentials were found for AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a \
             profile that has some, or log in with `aws sso login`"
        );
    }
    format!("{text}; is {place} the right place, and can this machine reach it?")
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

fn lacks_credentials(text: &str) -> bool {
    text.contains("redentials") || text.contains("identity")
}

fn refusal(name: &str, target: Target<'_>, error: &impl ProvideErrorMetadata) -> String {
    let code = error.code().unwrap_or("an unknown error");
    let mut text = format!("{name} on {target}: {code}");
    if let Some(message) = error.message() {
        let _ = write!(text, ": {}", message.trim_end_matches('.'));
    }
    text.push_str(&match code {
        "ResourceNotFoundException" => {
            format!(
                "; there is no such table at {}: `hark storage init` makes it, if that is the right place",
                target.place
            )
        }
        "NoSuchBucket" => {
            format!("; there is no such bucket at {}: make it, or name another one in hark.toml", target.place)
        }
        "PermanentRedirect" | "AuthorizationHeaderMalformed" => {
            "; the bucket is in another region: it must be in that of the table".to_owned()
        }
        "AccessDeniedException" | "AccessDenied" => {
            "; the credentials do not allow this call: `hark storage check` lists what is needed".to_owned()
        }
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "ExpiredTokenException"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "RequestTimeTooSkewed" => {
            "; AWS does not accept the credentials, or the clock of this machine is wrong".to_owned()
        }
        "ThrottlingException" | "ProvisionedThroughputExceededException" | "RequestLimitExceeded" => {
            "; more is asked than the table or the account allows: try it again later, or raise that limit".to_owned()
        }
        "ValidationException" => "; `hark storage check` says whether it is a table that Hark made".to_owned(),
        _ => String::new(),
    });
    text
}
