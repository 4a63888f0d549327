//! Invokes an instance's main function for a command, and explains failures.

use hark_backends::aws::{Aws, AwsError, EVENT_BYTES_MAX, Functions, InvocationError};
use serde_json::Value;

use super::Instance;
use crate::commands::REJECTED;
use crate::commands::deploy::account;
use crate::deployed::WHERE;
use crate::failure::Failure;
use crate::place::Place;

/// The kind of a function's error for an invalid event, with which no other try can succeed.
pub const REFUSED: &str = "Hark.Refused";

/// The kind of a function's other errors that Hark itself reports.
pub const FAILED: &str = "Hark.Failed";

/// The kind of the error of a function whose process cannot begin.
pub const CANNOT_BEGIN: &str = "Hark.CannotBegin";

/// The kind of an error by which a function reports a failure.
pub fn kind_of(failure: &Failure) -> &'static str {
    if failure.exit_status() == REJECTED { REFUSED } else { FAILED }
}

impl Instance {
    /// Invokes the main function and waits for its answer. The event must have no further effect if it is delivered
    /// twice.
    ///
    /// # Errors
    /// If it cannot be invoked, or fails.
    pub fn invoke(&self, aws: &Aws, event: &Value) -> Result<Value, InvocationError> {
        let functions = Functions::new(aws)?;
        functions.invoke(&self.main_function(), &self.code, event.to_string().as_bytes())
    }
}

/// Refuses an event that is too large to be sent.
///
/// # Errors
/// If it is too large.
pub fn check_size(event: &Value) -> Result<(), Failure> {
    match event.to_string().len() {
        ..=EVENT_BYTES_MAX => Ok(()),
        bytes => Err(too_large(&format!("the arguments take {:.1} MB", bytes as f64 / 1e6))),
    }
}

fn too_large(what: &str) -> Failure {
    Failure::usage(format!("{what}, and an AWS Lambda invocation takes at most 6 MB")).with_hint(
        "put them into a bucket that the program may read, such as one of `managed_buckets`, and pass the object's key",
    )
}

/// The failure of an invocation.
pub fn failure(error: InvocationError, instance: &Instance, place: &Place) -> Failure {
    match error {
        InvocationError::Function { kind, message } if [REFUSED, FAILED, CANNOT_BEGIN].contains(&&*kind) => {
            of_hark(&instance.main_function(), &kind, &message)
        }
        InvocationError::Function { kind, message } => {
            Failure::undone(format!("the function `{}` failed: {message} ({kind})", instance.main_function()))
                .with_hint(format!("`{}` shows what it has written", place.instance_command("logs")))
        }
        InvocationError::Call(error) => refused(error, instance, place),
    }
}

/// The failure that a function has reported: a message, and perhaps a hint, as they are drawn.
fn of_hark(function: &str, kind: &str, drawn: &str) -> Failure {
    // The lines of a text of several lines are indented.
    let text = |drawn: &str| drawn.replace("\n  ", "\n");
    let (message, hint) = match drawn.split_once("\nhint: ") {
        Some((message, hint)) => (text(message), Some(text(hint))),
        None => (text(drawn), None),
    };
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    let failure = match kind {
        REFUSED => Failure::usage(message),
        _ => Failure::undone(format!("the function `{function}` failed: {message}")),
    };
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// The failure for a call that Lambda refuses.
fn refused(error: AwsError, instance: &Instance, place: &Place) -> Failure {
    let AwsError::Refused { code, .. } = &error else { return account::failure(error) };
    match &**code {
        "ResourceNotFoundException" => {
            Failure::undone(format!("there is no function `{}` with the alias `{}`", instance.main_function(), instance.code))
                .with_hint(format!("`{}` creates the instance; {WHERE} determine where Hark looks for it", place.instance_command("deploy")))
        }
        "RequestEntityTooLargeException" | "RequestTooLargeException" => too_large("the arguments are too large"),
        "TooManyRequestsException" => Failure::undone(error.to_string()).with_hint(
            "as many invocations are under way as the account or the function allows; try again later, or raise the limit in \
             the service quotas of AWS Lambda",
        ),
        "AccessDeniedException" => Failure::undone(error.to_string()).with_hint(format!(
            "the credentials do not allow `lambda:InvokeFunction` on `{}`; `AWS_PROFILE` selects others",
            instance.main_function()
        )),
        _ => account::failure(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_function_reports_is_a_failure_of_the_command() {
        let refused = of_hark("hark-shop", REFUSED, "error: there is no function `f`\nhint: the functions are: main");
        let Failure::Usage { message, hint } = refused else { panic!("{refused:?}") };
        assert_eq!((&*message, hint.as_deref()), ("there is no function `f`", Some("the functions are: main")));
        let failed = of_hark("hark-shop", FAILED, "error: the table does not answer");
        let told = "the function `hark-shop` failed: the table does not answer";
        assert_eq!((failed.exit_status(), &*failed.message()), (1, told));
        let rejected =
            of_hark("hark-shop", REFUSED, "error: rejected:\n  error[HK0012]: x\n  hint: y\nhint: `hark check`");
        let Failure::Usage { message, hint } = rejected else { panic!("{rejected:?}") };
        assert_eq!((&*message, hint.as_deref()), ("rejected:\nerror[HK0012]: x\nhint: y", Some("`hark check`")));
    }
}
