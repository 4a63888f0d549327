//! `hark.toml`: the existing settings, and reading them.

mod instance;
mod names;
mod read;
mod template;

use std::path::PathBuf;
use std::time::Duration;

use hark_engine::{Options, Pool, Pools};

use crate::args::StorageName;

#[cfg(any(test, feature = "lambda"))]
pub use instance::ENV_FILE;
pub use instance::{Instance, RuntimeName};
pub use read::read_settings;
pub use template::template;

/// The name of the settings file. Its folder is a project.
pub const FILE_NAME: &str = "hark.toml";
/// The maximum number of Python workers.
pub const WORKERS_MAX: u32 = 1000;
/// The maximum lease, in seconds.
pub const LEASE_MAX: u32 = 86_400;
/// The maximum number of tries.
pub const MAX_TRIES_MAX: u32 = 1_000_000;

/// The maximum time for a cancelled thread to clean up, in seconds: a day.
pub const CANCEL_GRACE_MAX: u32 = 86_400;

/// The settings in `hark.toml`, or the defaults. Paths are as written, relative to the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The program that `hark` runs if no file is given.
    pub hark_file: PathBuf,
    /// The folder of the program's Python modules.
    pub python_src: PathBuf,
    /// The file that lists the Python packages needed by the program.
    pub python_requirements: PathBuf,
    /// The Python interpreter, if it is configured.
    pub python: Option<PathBuf>,
    /// The folder of Hark's own data.
    pub data_dir: PathBuf,
    /// The storage of sessions if the command line does not say.
    pub storage: Option<StorageName>,
    /// The maximum number of Python workers, if configured.
    pub workers: Option<u32>,
    /// How long a process may be silent before others take over its sessions, if not the storage's default.
    pub lease: Option<Duration>,
    /// Which processes run a session.
    pub tenure: Tenure,
    /// How often the worker of a call or step may be lost before the call or step fails.
    pub max_tries: u32,
    /// How long a cancelled thread may clean up before it is stopped.
    pub cancel_grace: Duration,
    /// The pools that `hark worker` serves if the command line does not say.
    pub pools: Pools,
    /// The table of the DynamoDB storage, and how it is reached.
    pub dynamodb: DynamoDb,
    /// The settings of the instance that `hark deploy` creates.
    pub instance: Instance,
}

/// The settings in `[storage.dynamodb]`. The AWS SDK finds missing ones in the environment, profiles, or the machine's
/// role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DynamoDb {
    /// The name of the table.
    pub table: Option<String>,
    /// The URL of the server, if it is not AWS.
    pub endpoint: Option<String>,
    /// The region of AWS.
    pub region: Option<String>,
    /// The profile of the AWS configuration files whose settings and credentials are used.
    pub profile: Option<String>,
    /// The S3 bucket for large contents, if they are not kept in the table.
    pub bucket: Option<String>,
    /// The URL of the server of the bucket, if it is not AWS.
    pub bucket_endpoint: Option<String>,
    /// How long after its start a session is removed, if ever.
    pub ttl: Option<Duration>,
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
            lease: None,
            tenure: Tenure::Sessions,
            max_tries: Options::default().max_tries,
            cancel_grace: Options::default().cancel_grace,
            pools: [Pool::default()].into_iter().collect(),
            dynamodb: DynamoDb::default(),
            instance: Instance::default(),
        }
    }
}

impl Settings {
    /// Whether several processes run the threads of a session, according to the settings and the command line, which
    /// may name another storage.
    pub fn has_pools(&self, named: Option<StorageName>) -> bool {
        match named.or(self.storage) {
            Some(StorageName::Memory) => false,
            Some(StorageName::Sqlite) | None => self.tenure == Tenure::Threads,
            #[cfg(feature = "dynamodb")]
            Some(StorageName::Dynamodb) => true,
            #[cfg(feature = "lambda")]
            Some(StorageName::Lambda) => false,
        }
    }
}

/// Which processes may run a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenure {
    /// One process at a time.
    Sessions,
    /// Several processes: each of its threads is run by one at a time.
    Threads,
}

/// The names of [`Tenure`].
const TENURES: [(&str, Tenure); 2] = [("sessions", Tenure::Sessions), ("threads", Tenure::Threads)];

/// The kind of value a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// The name of a DynamoDB table.
    Table,
    /// The name of a storage.
    Storage,
    /// The name of a tenure.
    Tenure,
    /// A list of names of pools.
    Pools,
    /// A time, with its unit.
    Age,
    /// A whole number from 1 to the limit.
    Count(u32),
    /// A whole number from the first to the second.
    Between(u32, u32),
    /// One of these whole numbers.
    OneOf(&'static [u32]),
    /// Yes or no.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of strings.
    Texts,
    /// A list of lists of strings, which are these.
    Rows(&'static [&'static str]),
    /// A deployment setting of the Python implementation of Hark, which is ignored here.
    Inherited,
}

/// One setting.
#[derive(Debug)]
struct Setting {
    section: &'static str,
    key: &'static str,
    kind: Kind,
    /// The default as TOML, or an example if there is no default.
    default: &'static str,
    /// The description, as lines of a comment.
    about: &'static [&'static str],
}

const SECTIONS: [&str; 6] = ["project", "python", "sessions", "worker", "storage.dynamodb", "instance"];

const SETTINGS: &[Setting] = &[
    Setting {
        section: "project",
        key: "hark_file",
        kind: Kind::Text,
        default: "\"service.hk\"",
        about: &["The program that `hark` runs if no file is given."],
    },
    Setting {
        section: "project",
        key: "python_src",
        kind: Kind::Text,
        default: "\"src\"",
        about: &["The folder of Python modules that can be imported, in addition to those in the project's folder."],
    },
    Setting {
        section: "project",
        key: "data_dir",
        kind: Kind::Text,
        default: "\".hark\"",
        about: &["The folder of Hark's own data, such as stored sessions."],
    },
    Setting {
        section: "project",
        key: "storage",
        kind: Kind::Storage,
        default: "\"memory\"",
        about: &[
            "Where sessions are kept: \"memory\"; \"sqlite\" for one file in data_dir, so that no crash loses them; \"dynamodb\" for a",
            "table on AWS, which many machines share; or \"lambda\" for the instance on AWS Lambda that `hark deploy` has made.",
        ],
    },
    Setting {
        section: "project",
        key: "python_requirements",
        kind: Kind::Text,
        default: "\"requirements.txt\"",
        about: &[
            "The file that lists the Python packages needed by the program. `hark sync` installs them into .venv.",
        ],
    },
    Setting {
        section: "project",
        key: "python",
        kind: Kind::Text,
        default: "\"python3\"",
        about: &[
            "The Python interpreter: a program's name, or a path. `hark sync` creates .venv from it, and from then on the",
            "interpreter in .venv is used. Default: the one of the active virtual environment, else of any other .venv, else",
            "python3.",
        ],
    },
    inherited("project", "provider"),
    Setting {
        section: "project",
        key: "build_cmd",
        kind: Kind::Text,
        default: "\"make package\"",
        about: &["A shell command that builds `package`."],
    },
    Setting {
        section: "project",
        key: "package",
        kind: Kind::Text,
        default: "\"package\"",
        about: &[
            "The folder, or the zip file, with the Python modules that `hark deploy` takes. Without it: those in python_src, and the",
            "packages of python_requirements, which it installs.",
        ],
    },
    Setting {
        section: "python",
        key: "workers",
        kind: Kind::Count(WORKERS_MAX),
        default: "4",
        about: &[
            "The maximum number of concurrent calls of Python functions, each in its own process. Default: twice the",
            "number of processor cores, at least 4.",
        ],
    },
    Setting {
        section: "sessions",
        key: "lease",
        kind: Kind::Count(LEASE_MAX),
        default: "10",
        about: &[
            "How many seconds a process may be silent before others take over its sessions; in a file they notice at once",
            "that it has ended. Without this setting: 10, with DynamoDB 30.",
        ],
    },
    Setting {
        section: "sessions",
        key: "tenure",
        kind: Kind::Tenure,
        default: "\"sessions\"",
        about: &[
            "What a process serves: \"sessions\", so that several `hark worker` share the sessions; or \"threads\", so that they",
            "run the threads of one session together.",
        ],
    },
    Setting {
        section: "sessions",
        key: "max_tries",
        kind: Kind::Count(MAX_TRIES_MAX),
        default: "5",
        about: &[
            "How often the process that runs a call of a Python function, or a step of a thread, may be lost. Then the",
            "call or step fails, with an error of kind \"worker_lost\".",
        ],
    },
    Setting {
        section: "sessions",
        key: "cancel_grace",
        kind: Kind::Count(CANCEL_GRACE_MAX),
        default: "10",
        about: &["The number of seconds a cancelled thread may clean up before it is stopped."],
    },
    Setting {
        section: "worker",
        key: "pools",
        kind: Kind::Pools,
        default: "[\"default\"]",
        about: &[
            "The pools whose threads and calls `hark worker` runs, where several processes share a session; `#[pool(\"gpu\")]` in a",
            "program names one. \"default\" is the pool of all others.",
        ],
    },
    Setting {
        section: "storage.dynamodb",
        key: "table",
        kind: Kind::Table,
        default: "\"hark\"",
        about: &["The table of sessions for `-s dynamodb`. `hark storage init` creates it."],
    },
    Setting {
        section: "storage.dynamodb",
        key: "region",
        kind: Kind::Text,
        default: "\"eu-west-1\"",
        about: &["The AWS region. Without it: AWS_REGION, or that of the profile."],
    },
    Setting {
        section: "storage.dynamodb",
        key: "profile",
        kind: Kind::Text,
        default: "\"default\"",
        about: &["The profile of ~/.aws/config with region and credentials. Without it: AWS_PROFILE, or \"default\"."],
    },
    Setting {
        section: "storage.dynamodb",
        key: "endpoint",
        kind: Kind::Text,
        default: "\"http://127.0.0.1:8000\"",
        about: &[
            "The URL of a server that speaks DynamoDB's API. Without it: AWS_ENDPOINT_URL_DYNAMODB, or the region's own.",
        ],
    },
    Setting {
        section: "storage.dynamodb",
        key: "bucket",
        kind: Kind::Text,
        default: "\"my-hark\"",
        about: &["An S3 bucket for large contents, in the table's region. Without it: the table contains them."],
    },
    Setting {
        section: "storage.dynamodb",
        key: "bucket_endpoint",
        kind: Kind::Text,
        default: "\"http://127.0.0.1:9000\"",
        about: &["The URL of a server that speaks S3's API. Without it: AWS_ENDPOINT_URL_S3, or the region's own."],
    },
    Setting {
        section: "storage.dynamodb",
        key: "ttl",
        kind: Kind::Age,
        default: "\"30d\"",
        about: &[
            "How long after its start a session is removed, whatever its state. Without it: when `hark prune` removes it.",
        ],
    },
    Setting {
        section: "instance",
        key: "lambda_timeout",
        kind: Kind::Between(instance::TIMEOUT_MIN, hark_lambda::size::TIMEOUT_MAX),
        default: "240",
        about: &[
            "How many seconds an invocation of AWS Lambda may take, and so one call of a Python function without `#[timeout]`.",
            "A thread takes as many invocations as it needs.",
        ],
    },
    Setting {
        section: "instance",
        key: "lambda_memory",
        kind: Kind::Between(hark_lambda::size::MEMORY_MIN, hark_lambda::size::MEMORY_MAX),
        default: "512",
        about: &[
            "The memory in MB of functions without `#[memory]`. On AWS Lambda the share of a processor grows with it.",
        ],
    },
    Setting {
        section: "instance",
        key: "env",
        kind: Kind::Text,
        default: "\"hark_env.txt\"",
        about: &[
            "The file with environment variables for Python functions: a line NAME=VALUE for each. It need not exist.",
        ],
    },
    Setting {
        section: "instance",
        key: "extra_layers",
        kind: Kind::Texts,
        default: "[]",
        about: &["The ARNs of layers with more files, five at most."],
    },
    Setting {
        section: "instance",
        key: "policy_file",
        kind: Kind::Text,
        default: "\"policy.json\"",
        about: &["A file with an IAM policy that gives the program further permissions in the account."],
    },
    Setting {
        section: "instance",
        key: "s3_access",
        kind: Kind::Texts,
        default: "[]",
        about: &["S3 buckets whose objects the program may read and write."],
    },
    Setting {
        section: "instance",
        key: "managed_buckets",
        kind: Kind::Texts,
        default: "[]",
        about: &[
            "Buckets that belong to the instance: `hark deploy` makes them, and `hark destroy` deletes those that are empty. The",
            "program may read and write their objects.",
        ],
    },
    Setting {
        section: "instance",
        key: "upload_triggers",
        kind: Kind::Rows(&["bucket", "prefix", "suffix"]),
        default: "[]",
        about: &[
            "Uploads that start a session, which calls `on_upload(bucket, key)`: of objects in a managed bucket whose keys begin and",
            "end like this, such as [[\"photos\", \"in/\", \".jpg\"]].",
        ],
    },
    Setting {
        section: "instance",
        key: "enable_api",
        kind: Kind::Flag,
        default: "false",
        about: &[
            "Whether there is an HTTP API: each request starts a session, which calls `on_http(method, path, event)`.",
        ],
    },
    Setting {
        section: "instance",
        key: "schedules",
        kind: Kind::Rows(&["expression", "function"]),
        default: "[]",
        about: &[
            "Schedules that start sessions, and the functions that these call, such as [[\"rate(1 hour)\", \"hourly\"]].",
        ],
    },
    Setting {
        section: "instance",
        key: "log_days",
        kind: Kind::OneOf(instance::LOG_DAYS),
        default: "30",
        about: &["The number of days for which AWS keeps the logs."],
    },
    Setting {
        section: "instance",
        key: "runtime",
        kind: Kind::Word(&instance::RUNTIMES),
        default: "\"managed\"",
        about: &[
            "Where the functions' Python comes from: \"managed\" is the one that AWS maintains, with its packages; \"bundled\" is the one in",
            "the folder `bundled_python`.",
        ],
    },
    Setting {
        section: "instance",
        key: "python_version",
        kind: Kind::Word(&instance::PYTHON_VERSIONS),
        default: "\"3.13\"",
        about: &["The version of Python for which packages are installed."],
    },
    Setting {
        section: "instance",
        key: "bundled_python",
        kind: Kind::Text,
        default: "\"python\"",
        about: &["The folder of a Python that works at any path, with `bin/python3` in it."],
    },
    Setting {
        section: "instance",
        key: "architecture",
        kind: Kind::Word(&instance::ARCHITECTURES),
        default: "\"x86_64\"",
        about: &[
            "The functions' processors: \"x86_64\", or \"arm64\", which costs less. Without it: those of this computer.",
        ],
    },
    Setting {
        section: "instance",
        key: "hark_binary",
        kind: Kind::Text,
        default: "\"hark\"",
        about: &["The program `hark` for the functions, if their processors or system are not this computer's."],
    },
];

const fn inherited(section: &'static str, key: &'static str) -> Setting {
    Setting { section, key, kind: Kind::Inherited, default: "", about: &[] }
}
