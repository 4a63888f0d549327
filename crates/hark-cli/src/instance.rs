//! An instance of Hark on AWS Lambda, as the environment names it: its table, and the functions that run its threads.

use std::env;
use std::sync::Arc;

use hark_backends::invoker::lambda::{Lambda, LambdaSettings};
use hark_backends::storage::dynamodb::{DynamoSettings, DynamoStorage};
use hark_lambda::names::CURRENT;
use hark_lambda::{InstanceName, Size};

use crate::failure::Failure;
use crate::storage;

/// The variable with the name of the instance. A deployed function has it, and so may a command that works on its sessions.
const NAME_VARIABLE: &str = "HARK_INSTANCE";

/// The variable with the address of the queue of timers.
const TIMERS_VARIABLE: &str = "HARK_TIMERS";

/// The variable with the alias of the functions that run sessions of this code.
const CODE_VARIABLE: &str = "HARK_CODE";

/// The instance that the environment names, if it names one.
///
/// # Errors
/// If no instance can have that name.
pub fn of_environment() -> Result<Option<InstanceName>, Failure> {
    let Some(name) = text_of(NAME_VARIABLE) else { return Ok(None) };
    let named = name.parse::<InstanceName>();
    named.map(Some).map_err(|error| Failure::usage(format!("{NAME_VARIABLE} is wrong: {error}")))
}

/// The table of an instance, whose threads are run by its functions.
///
/// # Errors
/// If it cannot be opened.
pub fn open(name: &InstanceName, settings: DynamoSettings) -> Result<(DynamoStorage, Arc<Lambda>), Failure> {
    let mut table =
        DynamoStorage::open(DynamoSettings { table: name.table(), ..settings }).map_err(storage::failure)?;
    let settings = LambdaSettings {
        function: name.function(MAIN),
        qualifier: Some(text_of(CODE_VARIABLE).unwrap_or_else(|| CURRENT.to_owned())),
        timers: text_of(TIMERS_VARIABLE),
    };
    let lambda = Arc::new(Lambda::new(table.aws().clone(), settings));
    table.set_dispatcher(lambda.clone());
    Ok((table, lambda))
}

/// The main function, whose name does not depend on its size.
const MAIN: Size = Size { memory: 0, timeout: 0, is_main: true };

fn text_of(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|text| !text.is_empty())
}
