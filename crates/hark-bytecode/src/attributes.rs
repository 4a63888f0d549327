//! `#[...]`: how a call is to be run.

use std::path::Path;

use crate::Span;

/// The attributes of a function or import. What is absent was not written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes {
    /// `#[retry(attempts: 5, backoff: 1.0, on: ["timeout"])]`
    pub retry: Option<Retry>,
    /// `#[timeout(30)]`, in seconds, for one try.
    pub timeout_seconds: Option<f64>,
    /// `#[limit(10, name: "stripe")]`
    pub limit: Option<Limit>,
    /// `#[rate(100, per: 60)]`
    pub rate: Option<Rate>,
    /// `#[priority(5)]`: who waits for a worker is served in the order of these, the highest first; 0 is the default.
    pub priority: Option<i32>,
    /// `#[memory(2048)]`, in MB.
    pub memory_megabytes: Option<u32>,
    /// `#[pool("gpu")]`
    pub pool: Option<String>,
    /// `#[kwargs]`, of imports: a last argument that is a hash goes as keyword arguments.
    pub kwargs: bool,
}

impl Attributes {
    /// The places in the text that they know.
    pub fn spans_mut(&mut self) -> impl Iterator<Item = &mut Span> {
        let limit = self.limit.as_mut().map(|limit| &mut limit.span);
        limit.into_iter().chain(self.rate.as_mut().map(|rate| &mut rate.span))
    }
}

/// How often, and how soon, a failed call is made again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// The most calls made, the first one included; at least 1.
    pub attempts: u32,
    /// Seconds before the second call.
    pub backoff_seconds: f64,
    /// What the wait is multiplied by before each further call.
    pub factor: f64,
    /// No wait is longer than this.
    pub max_backoff_seconds: f64,
    /// Whether waits are shortened by chance.
    pub jitter: bool,
    /// The kinds and Python classes of the errors that a call is made again after; every error if absent.
    pub on: Option<Vec<String>>,
    /// The kinds and Python classes of the errors that a call is not made again after.
    pub except: Vec<String>,
    /// Seconds for all calls together, with the waits between them.
    pub deadline_seconds: Option<f64>,
}

impl Default for Retry {
    /// What `#[retry]` means.
    fn default() -> Retry {
        Retry {
            attempts: 3,
            backoff_seconds: 1.0,
            factor: 2.0,
            max_backoff_seconds: 60.0,
            jitter: true,
            on: None,
            except: Vec::new(),
            deadline_seconds: None,
        }
    }
}

/// How many calls may be under way at once, over all sessions of a storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// At least 1.
    pub count: u32,
    /// Whatever has the same name shares the limit; by default it is the function's own.
    pub name: Option<String>,
    /// Where the program says so.
    pub span: Span,
}

/// How many calls may start within a time, over all sessions of a storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// At least 1.
    pub count: u32,
    /// The length of that time, in seconds.
    pub per_seconds: f64,
    /// Whatever has the same name shares the rate; by default it is the function's own.
    pub name: Option<String>,
    /// Where the program says so.
    pub span: Span,
}

/// What a limit or rate of a function of the main program is called if it has no name of its own: the program's file, which
/// has this path, is the function's module.
pub fn own_gate_name(main_path: &str, function: &str) -> String {
    match Path::new(main_path).file_stem().and_then(|stem| stem.to_str()) {
        Some(module) => format!("{module}.{function}"),
        None => function.to_owned(),
    }
}
