//! Converts a worker's answer to a call into the program's value or error.

use std::path::Path;

use hark_machine::{Error, Value};

use crate::call::Call;
use crate::protocol::{Outcome, Raised};
use crate::requirements;
use crate::values::refused_arguments;
use crate::worker::Fault;

/// The value or error of the call.
pub fn result_of(call: &Call, outcome: Result<Outcome, Fault>) -> Result<Value, Error> {
    let (type_name, problem) = match outcome {
        Ok(Outcome::Returned(value)) => return Ok(value),
        Ok(Outcome::Raised(raised)) => {
            return Err(Error::new("python", raised.message).with_data(raised.data).with_classes(raised.classes));
        }
        Ok(Outcome::TooLarge(message)) => return Err(Error::limit(message)),
        Err(Fault::Refused(refused)) => return Err(refused_arguments(&call.described(), refused)),
        Err(Fault::TimedOut) => return Err(call.timed_out()),
        Ok(Outcome::Unreadable(problem)) => ("TypeError", format!("returned a value that Hark cannot take: {problem}")),
        Err(Fault::NotBegun) => ("NoProcess", "was not called: its Python process had already ended".to_owned()),
        Err(Fault::Died(end) | Fault::Killed(end)) => {
            (end.name, format!("did not return: its Python process ended {}", end.described))
        }
        Err(Fault::Confused(problem)) => {
            ("BadMessage", format!("did not return: its Python process sent an invalid message: {problem}"))
        }
    };
    Err(call.failure(type_name, &problem))
}

impl Raised {
    /// Adds to the message which listed package contains the missing module. The file is shown relative to the project.
    pub fn name_package(&mut self, requirements: &Path, project: &Path) {
        let package = self.missing_module.as_ref().and_then(|module| requirements::package_of(module, requirements));
        if let Some(package) = package {
            let file = requirements.strip_prefix(project).unwrap_or(requirements).display();
            self.message.push_str(&format!("; `{file}` lists `{package}`, and `hark sync` installs it"));
        }
    }
}
