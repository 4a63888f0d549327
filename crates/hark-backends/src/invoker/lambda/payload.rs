//! The payload of an invocation for threads.

use hark_engine::Assignment;
use serde::{Deserialize, Serialize};

/// The maximum number of bytes of an asynchronous invocation's payload. AWS allows a megabyte and counts each 64 KB beyond the first
/// 256 KB as another request.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1_024;

/// The maximum number of threads of one invocation. They share its one Python process, and calls that wait there for
/// long are handed on.
pub const THREADS_MAX: usize = 16;

/// The version of the payload.
const VERSION: u32 = 1;

/// Threads for an invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threads {
    /// The version of this format.
    hark: u32,
    /// The threads, as texts.
    threads: Vec<String>,
    /// The length of the chain of invocations that led to this one.
    hops: u32,
}

impl Threads {
    /// Splits a list of threads into payloads. Threads of one session and one commit, which are adjacent, stay together
    /// where possible.
    pub fn cut(threads: Vec<Assignment>, hops: u32) -> Vec<Threads> {
        let texts: Vec<String> = threads.iter().map(Assignment::to_string).collect();
        let mut payloads: Vec<Threads> = Vec::new();
        // Payloads of equal size, so that no thread waits much longer than others.
        let count = texts.len().div_ceil(THREADS_MAX).max(1);
        let share = texts.len().div_ceil(count).max(1);
        let mut bytes = usize::MAX;
        for text in texts {
            match payloads.last_mut() {
                Some(last) if last.threads.len() < share && bytes + text.len() + 3 <= PAYLOAD_BYTES_MAX => {
                    bytes += text.len() + 3;
                    last.threads.push(text);
                }
                _ => {
                    // The frame around the threads is shorter.
                    bytes = 100 + text.len();
                    payloads.push(Threads { hark: VERSION, threads: vec![text], hops });
                }
            }
        }
        payloads
    }

    /// The threads, unless this was written by a later version, or is damaged.
    ///
    /// # Errors
    /// The reason.
    pub fn assignments(&self) -> Result<Vec<Assignment>, String> {
        if self.hark != VERSION {
            return Err(format!("the payload has version {}, and this is version {VERSION}", self.hark));
        }
        let parse = |text: &String| text.parse().map_err(|error| format!("`{text}`: {error}"));
        self.threads.iter().map(parse).collect()
    }

    /// How many invocations in a row have led to this one.
    pub fn hops(&self) -> u32 {
        self.hops
    }

    /// As JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has nothing that JSON cannot have")
    }
}

#[cfg(test)]
mod tests {
    use hark_engine::{SessionId, ThreadId, Timestamp};

    use super::*;

    fn threads(count: u64) -> Vec<Assignment> {
        let session = SessionId::new(Timestamp(1_000_000), 7);
        let thread = |thread| Assignment {
            session: session.clone(),
            thread: ThreadId(thread),
            held: None,
            left: hark_engine::Left::Free,
        };
        (0..count).map(thread).collect()
    }

    #[test]
    fn threads_are_cut_into_equal_payloads() {
        assert!(Threads::cut(Vec::new(), 1).is_empty());
        for (count, expected) in [(1, vec![1]), (16, vec![16]), (17, vec![9, 8]), (33, vec![11, 11, 11])] {
            let cut = Threads::cut(threads(count), 3);
            assert_eq!(cut.iter().map(|payload| payload.threads.len()).collect::<Vec<_>>(), expected);
            let all: Vec<Assignment> = cut.iter().flat_map(|payload| payload.assignments().unwrap()).collect();
            assert_eq!(all, threads(count));
            assert!(cut.iter().all(|payload| payload.to_json().len() <= PAYLOAD_BYTES_MAX && payload.hops() == 3));
        }
    }

    #[test]
    fn a_payload_of_another_version_is_refused() {
        let read = |text: &str| serde_json::from_str::<Threads>(text).unwrap().assignments();
        assert!(read(r#"{"hark": 2, "threads": [], "hops": 0}"#).unwrap_err().contains("version 2"));
        assert!(read(r#"{"hark": 1, "threads": ["x"], "hops": 0}"#).is_err());
    }
}
