//! Hark on AWS Lambda: an *instance* is the deployment of a project in an AWS account.
//!
//! This crate makes no requests. It names the parts of an instance and describes them in a CloudFormation template,
//! from the settings in `hark.toml` and from the program, whose functions may need Lambda functions of their own.
//!
//! A reading order: `event` (what an invocation has to do), `response` (to HTTP requests), `names`, `size` (the Lambda
//! functions that a program needs), `settings`, `template`, `package`.

pub mod event;
pub mod names;
pub mod package;
pub mod response;
pub mod settings;
pub mod size;
pub mod template;

pub use event::{BadEvent, Event, StartOfSession};
pub use names::{BadInstanceName, InstanceName};
pub use settings::{InstanceSettings, Schedule, UploadTrigger};
pub use size::{BadSize, Size, sizes_of};
pub use template::{Architecture, Code, Deployment, Runtime};
