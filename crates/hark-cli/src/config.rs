//! `hark.toml`: the settings there are, and reading them.

mod read;
mod template;

use std::path::PathBuf;
use std::time::Duration;

use hark_backends::storage::sqlite::LEASE;
use hark_engine::Options;

use crate::args::StorageName;

pub use read::read_settings;
pub use template::template;

/// The name of the settings file. Its folder is a project.
pub const FILE_NAME: &str = "hark.toml";
/// The most Python workers that may be asked for.
pub const WORKERS_MAX: u32 = 1000;
/// The longest lease, in seconds.
pub const LEASE_MAX: u32 = 86_400;
/// The most tries that may be asked for.
pub const MAX_TRIES_MAX: u32 = 1_000_000;

/// The longest time that cancelled threads may be given, in seconds: a day.
pub const CANCEL_GRACE_MAX: u32 = 86_400;

/// What `hark.toml` says, or the defaults. Paths are as written, relative to the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The program that `hark` without FILE runs.
    pub hark_file: PathBuf,
    /// Where the program's Python modules are.
    pub python_src: PathBuf,
    /// The file that lists the Python packages that the program needs.
    pub python_requirements: PathBuf,
    /// The interpreter to use, if it is not to be looked for.
    pub python: Option<PathBuf>,
    /// The folder of Hark's own data.
    pub data_dir: PathBuf,
    /// Where sessions are kept unless the command line says.
    pub storage: Option<StorageName>,
    /// How many Python workers may run at a time, if the default is not wanted.
    pub workers: Option<u32>,
    /// How long a process may be still before others take over its sessions.
    pub lease: Duration,
    /// Which processes run a session.
    pub tenure: Tenure,
    /// How many times the worker of a call or step is lost before that fails.
    pub max_tries: u32,
    /// How long a cancelled thread may go on before it is stopped.
    pub cancel_grace: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            hark_file: "service.hk".into(),
            python_src: "src".into(),
            python_requirements: "requirements.txt".into(),
            python: None,
            data_dir: ".hark".into(),
            storage: None,
            workers: None,
            lease: LEASE,
            tenure: Tenure::Sessions,
            max_tries: Options::default().max_tries,
            cancel_grace: Options::default().cancel_grace,
        }
    }
}

/// Which processes run a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenure {
    /// One at a time.
    Sessions,
    /// Each of its threads has one at a time.
    Threads,
}

/// The names of [`Tenure`].
const TENURES: [(&str, Tenure); 2] = [("sessions", Tenure::Sessions), ("threads", Tenure::Threads)];

/// What a setting's value has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// The name of a storage.
    Storage,
    /// The name of a tenure.
    Tenure,
    /// A whole number from 1 to the limit.
    Count(u32),
    /// A setting of the Python Hark for deployments, which this one leaves alone.
    Inherited,
}

/// One setting.
#[derive(Debug)]
struct Setting {
    section: &'static str,
    key: &'static str,
    kind: Kind,
    /// What is used without it, as TOML, or an example where nothing is.
    default: &'static str,
    /// What it is for, a comment line each.
    about: &'static [&'static str],
}

const SECTIONS: [&str; 4] = ["project", "python", "sessions", "instance"];

const SETTINGS: &[Setting] = &[
    Setting {
        section: "project",
        key: "hark_file",
        kind: Kind::Text,
        default: "\"service.hk\"",
        about: &["The program that `hark` runs when no file is named."],
    },
    Setting {
        section: "project",
        key: "python_src",
        kind: Kind::Text,
        default: "\"src\"",
        about: &["The folder of Python modules. They can be imported, and so can those of the project's folder."],
    },
    Setting {
        section: "project",
        key: "data_dir",
        kind: Kind::Text,
        default: "\".hark\"",
        about: &["Where Hark keeps its own data: sessions, if they are to last."],
    },
    Setting {
        section: "project",
        key: "storage",
        kind: Kind::Storage,
        default: "\"memory\"",
        about: &[
            "Where sessions are kept: \"memory\", or \"sqlite\" for one file in data_dir, so that no crash loses them.",
        ],
    },
    Setting {
        section: "project",
        key: "python_requirements",
        kind: Kind::Text,
        default: "\"requirements.txt\"",
        about: &[
            "The file that lists the Python packages that the program needs. `hark sync` installs them into .venv.",
        ],
    },
    Setting {
        section: "project",
        key: "python",
        kind: Kind::Text,
        default: "\"python3\"",
        about: &[
            "The Python interpreter: a program's name, or a path. `hark sync` makes .venv from it, whose interpreter is used",
            "from then on. Without either it is the one of the active virtual environment, else that of any other .venv, else",
            "python3.",
        ],
    },
    inherited("project", "provider"),
    inherited("project", "build_cmd"),
    inherited("project", "package"),
    Setting {
        section: "python",
        key: "workers",
        kind: Kind::Count(WORKERS_MAX),
        default: "4",
        about: &[
            "How many calls of Python functions run at a time, each in a process of its own. Without this setting:",
            "twice the number of processor cores, at least 4.",
        ],
    },
    Setting {
        section: "sessions",
        key: "lease",
        kind: Kind::Count(LEASE_MAX),
        default: "10",
        about: &[
            "How many seconds a process may be still before others take over its sessions. That it has ended they",
            "notice at once.",
        ],
    },
    Setting {
        section: "sessions",
        key: "tenure",
        kind: Kind::Tenure,
        default: "\"sessions\"",
        about: &[
            "What a process serves: \"sessions\", each whole, so that several `hark worker` share the sessions; or \"threads\",",
            "so that they run the threads of one session together.",
        ],
    },
    Setting {
        section: "sessions",
        key: "max_tries",
        kind: Kind::Count(MAX_TRIES_MAX),
        default: "5",
        about: &[
            "How many times a call of a Python function, or a step of a thread, is tried whose process is lost each time.",
            "Then it fails, with an error of kind \"worker_lost\".",
        ],
    },
    Setting {
        section: "sessions",
        key: "cancel_grace",
        kind: Kind::Count(CANCEL_GRACE_MAX),
        default: "10",
        about: &["How many seconds a cancelled thread has to clean up, until it is stopped."],
    },
    inherited("instance", "policy_file"),
    inherited("instance", "extra_layers"),
    inherited("instance", "lambda_timeout"),
    inherited("instance", "lambda_memory"),
    inherited("instance", "env"),
    inherited("instance", "managed_buckets"),
    inherited("instance", "s3_access"),
    inherited("instance", "upload_triggers"),
    inherited("instance", "enable_api"),
];

const fn inherited(section: &'static str, key: &'static str) -> Setting {
    Setting { section, key, kind: Kind::Inherited, default: "", about: &[] }
}
