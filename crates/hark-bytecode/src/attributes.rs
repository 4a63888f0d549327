//! `#[...]` attributes: how a function's calls are executed.

use std::path::Path;

use crate::Span;

/// The attributes of a function or import. An absent field was not written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes {
    /// `#[retry(attempts: 5, backoff: 1.0, on: ["timeout"])]`
    pub retry: Option<Retry>,
    /// `#[timeout(30)]`: seconds allowed for one attempt.
    pub timeout_seconds: Option<f64>,
    /// `#[limit(10, name: "stripe")]`
    pub limit: Option<Limit>,
    /// `#[rate(100, per: 60)]`
    pub rate: Option<Rate>,
    /// `#[priority(5)]`: waiting calls and sessions with a higher priority go first. The default is 0.
    pub priority: Option<i32>,
    /// `#[memory(2048)]`: the memory that it needs, in MB.
    pub memory_megabytes: Option<u32>,
    /// `#[pool("gpu")]`: the pool of processes in which it runs.
    pub pool: Option<String>,
    /// `#[kwargs]`, for imports: if the last argument is a hash, it is passed as keyword arguments.
    pub kwargs: bool,
}

impl Attributes {
    /// The source spans stored in these attributes.
    pub fn spans_mut(&mut self) -> impl Iterator<Item = &mut Span> {
        let limit = self.limit.as_mut().map(|limit| &mut limit.span);
        limit.into_iter().chain(self.rate.as_mut().map(|rate| &mut rate.span))
    }
}

/// The maximum length of a pool's name.
pub const POOL_NAME_MAX: usize = 64;

/// Whether a pool may have this name: letters, digits, `-`, `_` and `.`, so that it can stand in other texts.
pub fn is_pool_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=POOL_NAME_MAX).contains(&name.len()) && name.bytes().all(is_part)
}

/// How often a failed call is retried, and after which delays.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// The maximum number of attempts, including the first; at least 1.
    pub attempts: u32,
    /// The delay before the second attempt, in seconds.
    pub backoff_seconds: f64,
    /// Each further delay is the previous one multiplied by this factor.
    pub factor: f64,
    /// The longest delay, in seconds.
    pub max_backoff_seconds: f64,
    /// Whether delays are randomly shortened.
    pub jitter: bool,
    /// The kinds and Python classes of the errors to retry; every error if absent.
    pub on: Option<Vec<String>>,
    /// The kinds and Python classes of the errors not to retry.
    pub except: Vec<String>,
    /// The time limit for all attempts and the delays between them, in seconds.
    pub deadline_seconds: Option<f64>,
}

impl Default for Retry {
    /// The values of a plain `#[retry]`.
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

/// The maximum number of concurrent calls, over all sessions of a storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// At least 1.
    pub count: u32,
    /// Functions that give the same name share the limit; the default is the function's own name.
    pub name: Option<String>,
    /// Where the program declares it.
    pub span: Span,
}

/// The maximum number of calls started per period, over all sessions of a storage.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// At least 1.
    pub count: u32,
    /// The period, in seconds.
    pub per_seconds: f64,
    /// Functions that give the same name share the rate; the default is the function's own name.
    pub name: Option<String>,
    /// Where the program declares it.
    pub span: Span,
}

/// The default name of a limit or rate of a function in the main program. The module part is the main program's path.
pub fn own_gate_name(main_path: &str, function: &str) -> String {
    match Path::new(main_path).file_stem().and_then(|stem| stem.to_str()) {
        Some(module) => format!("{module}.{function}"),
        None => function.to_owned(),
    }
}
