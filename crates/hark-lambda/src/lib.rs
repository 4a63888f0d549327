//! Hark on AWS Lambda: what an *instance* consists of, one deployment of a project in an account.
//!
//! This crate calls nobody. It names the parts of an instance, and describes them in a template for CloudFormation, from
//! the settings in `hark.toml` and from the program, whose functions may need functions of Lambda of their own.
//!
//! A reading order: `event` (what an invocation is asked), `response` (to requests of HTTP), `names`, `size` (the functions of Lambda that a program needs), `settings`, `template`.

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
