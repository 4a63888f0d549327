//! The section `[instance]`, and what else `hark deploy` needs.

use std::path::PathBuf;

use hark_lambda::{Architecture, InstanceSettings};

/// The shortest time of an invocation, in seconds: with less there is no time for a call.
pub(super) const TIMEOUT_MIN: u32 = 15;

/// The times that CloudWatch keeps logs for, in days.
pub(super) const LOG_DAYS: &[u32] =
    &[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// The names of [`RuntimeName`].
pub(super) const RUNTIMES: [&str; 2] = ["managed", "bundled"];

/// The versions of Python that AWS Lambda maintains.
pub(super) const PYTHON_VERSIONS: [&str; 5] = ["3.10", "3.11", "3.12", "3.13", "3.14"];

/// The names of the processors of functions.
pub(super) const ARCHITECTURES: [&str; 2] = ["x86_64", "arm64"];

/// What an instance is made from. Paths are as written, relative to the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// What it is to be like, without the contents of files.
    pub settings: InstanceSettings,
    /// The file with environment variables, if it is named.
    pub env: Option<PathBuf>,
    /// The file with a policy.
    pub policy_file: Option<PathBuf>,
    /// Where Python comes from.
    pub runtime: RuntimeName,
    /// The version of Python.
    pub python_version: String,
    /// The folder with a Python.
    pub bundled_python: Option<PathBuf>,
    /// The functions' processors, if not this computer's.
    pub architecture: Option<Architecture>,
    /// The program `hark` for the functions, if not this one.
    pub hark_binary: Option<PathBuf>,
    /// The folder or zip file of Python modules, if they are not to be put together.
    pub package: Option<PathBuf>,
    /// The command that makes it.
    pub build_cmd: Option<String>,
}

/// Where the Python of functions comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeName {
    /// AWS maintains it.
    Managed,
    /// It is in the package.
    Bundled,
}

/// The default file with environment variables, which need not exist.
#[cfg(any(test, feature = "lambda"))]
pub const ENV_FILE: &str = "hark_env.txt";

impl Default for Instance {
    fn default() -> Instance {
        Instance {
            settings: InstanceSettings::default(),
            env: None,
            policy_file: None,
            runtime: RuntimeName::Managed,
            python_version: "3.13".to_owned(),
            bundled_python: None,
            architecture: None,
            hark_binary: None,
            package: None,
            build_cmd: None,
        }
    }
}
