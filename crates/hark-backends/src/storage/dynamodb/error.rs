//! Messages for the errors of DynamoDB and S3.

use std::error::Error;
use std::fmt::{self, Write};

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use hark_engine::StorageError;

use super::settings::Advice;
use crate::aws::{chain, lacks_credentials};

/// The table or bucket of a call, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub kind: TargetKind,
    pub name: &'a str,
    /// The place of the service.
    pub place: &'a str,
    pub advice: &'a Advice,
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

/// The reason why a call has no answer.
#[derive(Debug)]
pub(super) enum Failed<E> {
    /// The service refused it for a reason that the caller handles. With `in_doubt` an earlier try may have happened.
    Refused { error: E, in_doubt: bool },
    /// It was given up.
    Lost { error: StorageError, in_doubt: bool },
}

impl<E> Failed<E> {
    /// The error for callers that handle no reasons.
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

/// The message for a failed try.
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
    if let Some(function) = &target.advice.function {
        return match lacks_credentials(&text) {
            true => format!("{text}; the function `{function}` has no credentials: has somebody deleted its role?"),
            false => format!("{text}; the function `{function}` cannot reach {place}"),
        };
    }
    if lacks_credentials(&text) {
        return format!(
            "{text}; no credentials were found for AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a \
             profile that has some, or log in with `aws sso login`"
        );
    }
    format!("{text}; is {place} the right place, and can this machine reach it?")
}

fn refusal(name: &str, target: Target<'_>, error: &impl ProvideErrorMetadata) -> String {
    let Advice { make, check, function } = target.advice;
    let code = error.code().unwrap_or("an unknown error");
    let mut text = format!("{name} on {target}: {code}");
    if let Some(message) = error.message() {
        let _ = write!(text, ": {}", message.trim_end_matches('.'));
    }
    text.push_str(&match code {
        "ResourceNotFoundException" => {
            format!("; there is no such table at {}: `{make}` makes it, if that is the right place", target.place)
        }
        "NoSuchBucket" => {
            format!("; there is no such bucket at {}: make it, or name another one in hark.toml", target.place)
        }
        "PermanentRedirect" | "AuthorizationHeaderMalformed" => {
            "; the bucket is in another region: it must be in that of the table".to_owned()
        }
        "AccessDeniedException" | "AccessDenied" => match function {
            Some(function) => {
                format!("; the role of the function `{function}` does not allow this call: `{make}` mends it")
            }
            None => format!("; the credentials do not allow this call: `{check}` lists what is needed"),
        },
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "ExpiredTokenException"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "RequestTimeTooSkewed" => match function {
            Some(function) => format!("; AWS does not accept the credentials of the function `{function}`"),
            None => "; AWS does not accept the credentials, or the clock of this machine is wrong".to_owned(),
        },
        "ThrottlingException" | "ProvisionedThroughputExceededException" | "RequestLimitExceeded" => {
            "; more is asked than the table or the account allows: try it again later, or raise that limit".to_owned()
        }
        "ValidationException" => format!("; `{check}` says whether it is a table that Hark made"),
        _ => String::new(),
    });
    text
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::ErrorMetadata;

    use super::*;

    fn told(advice: &Advice, code: &str) -> String {
        let target = Target { kind: TargetKind::Table, name: "orders", place: "the AWS region `eu-west-1`", advice };
        refusal("GetItem", target, &ErrorMetadata::builder().code(code).build())
    }

    fn lost(advice: &Advice) -> String {
        let target = Target { kind: TargetKind::Table, name: "orders", place: "the AWS region `eu-west-1`", advice };
        text::<ErrorMetadata>("GetItem", target, &SdkError::timeout_error("it is silent"))
    }

    #[test]
    fn advice_is_for_who_reads_it() {
        let here = Advice {
            make: "hark storage init --config a.toml".into(),
            check: "hark storage check".into(),
            function: None,
        };
        let there =
            Advice { make: "hark deploy --uuid shop".into(), function: Some("hark-shop".into()), ..here.clone() };
        assert!(told(&here, "ResourceNotFoundException").contains(": `hark storage init --config a.toml` makes it"));
        assert!(told(&there, "ResourceNotFoundException").contains(": `hark deploy --uuid shop` makes it"));
        assert!(told(&here, "AccessDeniedException").ends_with(": `hark storage check` lists what is needed"));
        let denied =
            "; the role of the function `hark-shop` does not allow this call: `hark deploy --uuid shop` mends it";
        assert!(told(&there, "AccessDeniedException").ends_with(denied));
        assert!(lost(&here).ends_with("can this machine reach it?"), "{}", lost(&here));
        assert!(lost(&there).ends_with("; the function `hark-shop` cannot reach the AWS region `eu-west-1`"));
        for code in ["AccessDenied", "ExpiredToken", "NoSuchBucket", "ThrottlingException", "ValidationException"] {
            assert!(!told(&there, code).contains("this machine"), "{}", told(&there, code));
        }
    }
}
