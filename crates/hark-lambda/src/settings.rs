//! The settings of an instance: the section `[instance]` of `hark.toml`.

use std::collections::BTreeMap;

use serde_json::Value;

/// The settings of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceSettings {
    /// How long an invocation of the main function may take, in seconds.
    pub timeout: u32,
    /// The memory of the main function, in MB.
    pub memory: u32,
    /// Environment variables for the Python functions.
    pub environment: BTreeMap<String, String>,
    /// The ARNs of layers that the functions have.
    pub extra_layers: Vec<String>,
    /// Statements of an IAM policy that are added to the functions' role.
    pub policy: Option<Value>,
    /// Buckets whose objects the functions may read and write.
    pub s3_access: Vec<String>,
    /// Buckets that belong to the instance.
    pub managed_buckets: Vec<String>,
    /// Uploads that start a session.
    pub upload_triggers: Vec<UploadTrigger>,
    /// Whether HTTP requests start sessions.
    pub enable_api: bool,
    /// Schedules that start sessions.
    pub schedules: Vec<Schedule>,
    /// The number of days for which logs are kept.
    pub log_days: u32,
}

/// Uploads of some objects into a bucket: each starts a session that calls `on_upload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadTrigger {
    /// The bucket.
    pub bucket: String,
    /// The prefix of the objects' keys.
    pub prefix: String,
    /// The suffix of the objects' keys.
    pub suffix: String,
}

/// A schedule that starts sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// `rate(1 hour)` or `cron(0 12 * * ? *)`, as EventBridge Scheduler defines them.
    pub expression: String,
    /// The function that the session calls, without arguments.
    pub function: String,
}

impl Default for InstanceSettings {
    fn default() -> InstanceSettings {
        InstanceSettings {
            timeout: 240,
            memory: 512,
            environment: BTreeMap::new(),
            extra_layers: Vec::new(),
            policy: None,
            s3_access: Vec::new(),
            managed_buckets: Vec::new(),
            upload_triggers: Vec::new(),
            enable_api: false,
            schedules: Vec::new(),
            log_days: 30,
        }
    }
}
