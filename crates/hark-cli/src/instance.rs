//! An instance of Hark on AWS Lambda, described by the environment or by its stack: its table, and the functions that
//! run its threads.

pub mod invocation;

use std::env;
use std::sync::Arc;

use hark_backends::invoker::lambda::{Lambda, LambdaSettings};
use hark_backends::storage::dynamodb::{DynamoSettings, DynamoStorage};
use hark_engine::{Place, Size as EngineSize, Sizes};
use hark_lambda::names::CURRENT;
use hark_lambda::template::{CONTENTS_OUTPUT, EDITION_OUTPUT, TIMERS_OUTPUT};
use hark_lambda::{BadInstanceName, InstanceName, Size};

use crate::commands::deploy::account::{self, Account};
use crate::deployed;
use crate::failure::Failure;
use crate::place::Place as CommandPlace;
use crate::project::Project;
use crate::storage;

/// The variable with the name of the instance. It is set in deployed functions, and may be set for commands on the
/// instance's sessions.
const NAME_VARIABLE: &str = "HARK_INSTANCE";

/// The variable with the address of the timer queue.
const TIMERS_VARIABLE: &str = "HARK_TIMERS";

/// The variable with the bucket for large contents.
const BUCKET_VARIABLE: &str = "HARK_BUCKET";

/// The variable with the alias of the functions that run sessions of this code.
const CODE_VARIABLE: &str = "HARK_CODE";

/// The variable with the name of the Lambda function in which a process runs.
const FUNCTION_VARIABLE: &str = "AWS_LAMBDA_FUNCTION_NAME";

/// The variable with the size of the main function.
const SIZE_VARIABLE: &str = "HARK_SIZE";

/// What to do about these variables if they are wrong.
pub const SET_BY_DEPLOY: &str = "`hark deploy` sets it for the functions, and a command does without it";

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Its name, from which the names of its parts are derived.
    pub name: InstanceName,
    /// The alias of its functions.
    pub code: String,
    /// The address of its timer queue.
    timers: Option<String>,
    /// The bucket for large contents, if it has one.
    bucket: Option<String>,
    /// The size of its main function. If it is unknown, hints go to the main function, which hands on the threads that
    /// it is too small for.
    main: Option<Size>,
}

impl Instance {
    /// The instance that the environment names, if it names one.
    ///
    /// # Errors
    /// If no instance can have that name, or its main function that size.
    pub fn of_environment() -> Result<Option<Instance>, Failure> {
        let Some(name) = text_of(NAME_VARIABLE) else { return Ok(None) };
        let wrong = |variable: &str, why: &str| Failure::usage(format!("the variable {variable} is wrong: {why}"));
        let name: Result<InstanceName, BadInstanceName> = name.parse();
        let name = name.map_err(|error| wrong(NAME_VARIABLE, &error.to_string()).with_hint(SET_BY_DEPLOY))?;
        let main = text_of(SIZE_VARIABLE).map(|text| {
            let size = Size::of_main(&text).ok_or_else(|| format!("`{text}` is no size, such as `m512-t240`"));
            size.map_err(|why| wrong(SIZE_VARIABLE, &why).with_hint(SET_BY_DEPLOY))
        });
        Ok(Some(Instance {
            name,
            code: text_of(CODE_VARIABLE).unwrap_or_else(|| CURRENT.to_owned()),
            timers: text_of(TIMERS_VARIABLE),
            bucket: text_of(BUCKET_VARIABLE),
            main: main.transpose()?,
        }))
    }

    /// The instance of this name, described by the environment or by its stack.
    ///
    /// # Errors
    /// If there is no such instance, or AWS cannot be asked.
    pub fn deployed(project: &Project, name: &InstanceName) -> Result<Instance, Failure> {
        if let Some(known) = Instance::of_environment()?.filter(|known| known.name == *name) {
            return Ok(known);
        }
        let account = Account::of(project)?;
        let stack = account.stacks.stack(&name.stack()).map_err(account::failure)?;
        let stack = stack.ok_or_else(|| deployed::no_instance(name, &account.region))?;
        if !stack.outputs.contains_key(EDITION_OUTPUT) {
            let failure = Failure::undone(format!("the instance `{name}` is not complete ({})", stack.status));
            let deploy = CommandPlace::of_instance(project, Some(name.as_str())).instance_command("deploy");
            return Err(failure.with_hint(format!("`{deploy}` completes it")));
        }
        let output = |name: &str| stack.outputs.get(name).cloned();
        Ok(Instance {
            name: name.clone(),
            code: CURRENT.to_owned(),
            timers: output(TIMERS_OUTPUT),
            bucket: output(CONTENTS_OUTPUT),
            main: None,
        })
    }

    /// The name of the function in which this process runs.
    pub fn own_function(&self) -> String {
        text_of(FUNCTION_VARIABLE).unwrap_or_else(|| self.main_function())
    }

    /// The name of the main function.
    pub fn main_function(&self) -> String {
        self.name.function(MAIN)
    }

    /// Its table, whose threads are run by its functions.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(&self, settings: DynamoSettings) -> Result<(DynamoStorage, Arc<Lambda>), Failure> {
        let settings =
            DynamoSettings { table: self.name.table(), bucket: self.bucket.clone().or(settings.bucket), ..settings };
        let mut table = DynamoStorage::open(settings).map_err(storage::failure)?;
        let (name, main) = (self.name.clone(), self.main);
        let size_of =
            move |place: &Place| main.map_or(MAIN, |main| main.for_needs(place.memory(), place.call_seconds()));
        let settings = LambdaSettings {
            function_of: Arc::new(move |place| name.function(size_of(place))),
            qualifier: Some(self.code.clone()),
            timers: self.timers.clone(),
        };
        let lambda = Arc::new(Lambda::new(table.aws().clone(), settings));
        table.set_dispatcher(lambda.clone());
        Ok((table, lambda))
    }

    /// The name of this process's code, if the process runs one of its functions.
    pub fn own_code(&self) -> Option<String> {
        Some(self.code.clone()).filter(|code| code != CURRENT)
    }

    /// The sizes for a process that runs one of its functions: its own and that of the main one.
    pub fn sizes(&self) -> Option<Sizes> {
        let main = self.main?;
        let own = text_of(FUNCTION_VARIABLE).and_then(|function| Size::of_function(&function, &self.name));
        let told = |size: Size| EngineSize { memory: size.memory, call_seconds: size.call_seconds() };
        Some(Sizes { own: told(own.unwrap_or(main)), main: told(main) })
    }
}

/// The main function, whose name does not depend on its size.
const MAIN: Size = Size { memory: 0, timeout: 0, is_main: true };

fn text_of(variable: &str) -> Option<String> {
    env::var(variable).ok().filter(|text| !text.is_empty())
}
