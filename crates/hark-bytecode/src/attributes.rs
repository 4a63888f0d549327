//! `#[...]`: how a call is to be run.

/// The attributes of a function or import. What is absent was not written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes {
    /// `#[retry(attempts: 5, backoff: 1.0, max_backoff: 60.0)]`
    pub retry: Option<Retry>,
    /// `#[timeout(30)]`, in seconds.
    pub timeout_seconds: Option<f64>,
    /// `#[memory(2048)]`, in MB.
    pub memory_megabytes: Option<u32>,
    /// `#[pool("gpu")]`
    pub pool: Option<String>,
    /// `#[kwargs]`, of imports: a last argument that is a hash goes as keyword arguments.
    pub kwargs: bool,
}

/// How often, and how soon, a failed call is made again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// The most calls made, the first one included; at least 1.
    pub attempts: u32,
    /// Seconds before the second call; doubled before each further one.
    pub backoff_seconds: f64,
    /// No wait is longer than this.
    pub max_backoff_seconds: f64,
}
