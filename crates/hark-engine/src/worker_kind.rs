//! What kind of worker a call waits for that this process does not make, as histories have it and people are told of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::place::Place;

/// The kind of worker that a place needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerKind {
    /// One that serves this pool.
    Pool(String),
    /// Where functions of several sizes run threads: one that is large enough. Without a number the main function is.
    Size {
        /// The memory in MB.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memory: Option<u32>,
        /// How long a call may take, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u32>,
    },
}

impl WorkerKind {
    /// The kind that a place needs. Functions of several sizes run what is in any pool.
    pub fn of(place: &Place, are_functions: bool) -> WorkerKind {
        match are_functions {
            false => WorkerKind::Pool(place.pool().to_string()),
            true => WorkerKind::Size { memory: place.memory(), seconds: place.call_seconds() },
        }
    }
}

impl fmt::Display for WorkerKind {
    /// "a worker of pool `gpu`", "a function with 2048 MB for calls of 600 s"
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkerKind::Pool(pool) => write!(formatter, "a worker of pool `{pool}`"),
            WorkerKind::Size { memory: None, seconds: None } => formatter.write_str("the main function"),
            WorkerKind::Size { memory, seconds } => {
                formatter.write_str("a function")?;
                memory.map_or(Ok(()), |memory| write!(formatter, " with {memory} MB"))?;
                seconds.map_or(Ok(()), |seconds| write!(formatter, " for calls of {seconds} s"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Event;

    #[test]
    fn a_history_says_it_as_fields_of_the_event() {
        let event = |worker| Event::QueuedInPool { worker, function: "f".into(), attempt: 1, arguments: String::new() };
        for (worker, text) in [
            (WorkerKind::Pool("gpu".into()), r#"{"event":"queued in pool","pool":"gpu","function":"f","attempt":1}"#),
            (
                WorkerKind::Size { memory: Some(9), seconds: None },
                r#"{"event":"queued in pool","size":{"memory":9},"function":"f","attempt":1}"#,
            ),
        ] {
            let event = event(worker);
            assert_eq!(serde_json::to_string(&event).expect("it is JSON"), text);
            assert_eq!(serde_json::from_str::<Event>(text).expect("it is an event"), event);
        }
    }

    #[test]
    fn a_pool_means_nothing_to_functions_and_a_size_nothing_to_workers() {
        let of =
            |place: &str, are_functions| WorkerKind::of(&place.parse().expect("a place"), are_functions).to_string();
        assert_eq!(of("gpu:2048", false), "a worker of pool `gpu`");
        assert_eq!(of(":2048", false), "a worker of pool `default`");
        assert_eq!(of("gpu:2048", true), "a function with 2048 MB");
        assert_eq!(of("::600", true), "a function for calls of 600 s");
        assert_eq!(of(":2048:600", true), "a function with 2048 MB for calls of 600 s");
        assert_eq!(of("gpu", true), "the main function");
    }
}
