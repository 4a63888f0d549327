//! The answer to an event, which is sent once.

use std::sync::atomic::{AtomicBool, Ordering};

use hark_backends::invoker::lambda::RuntimeApi;
use hark_engine::StorageError;

use crate::failure::Failure;
use crate::instance::invocation;
use crate::output;
use crate::render::Style;

/// Answers an event.
pub struct Reply<'a> {
    api: &'a RuntimeApi,
    event: &'a str,
    is_given: AtomicBool,
}

impl Reply<'_> {
    /// To the event with this id.
    pub fn new<'a>(api: &'a RuntimeApi, event: &'a str) -> Reply<'a> {
        Reply { api, event, is_given: AtomicBool::new(false) }
    }

    /// Answers with JSON. The process may continue afterwards: Lambda freezes it only when it asks for the next event.
    ///
    /// # Errors
    /// If the interface of Lambda cannot be used.
    pub fn give(&self, answer: &str) -> Result<(), StorageError> {
        self.is_given.store(true, Ordering::Release);
        self.api.answer(self.event, answer)
    }

    /// Reports that the event could not be handled, also in the log: perhaps nobody waits for the answer, or it was already given.
    ///
    /// # Errors
    /// If the interface of Lambda cannot be used.
    pub fn fail(&self, failure: &Failure) -> Result<(), StorageError> {
        let text = failure.drawn(Style::for_stderr());
        output::tell(&text);
        if self.is_given.load(Ordering::Acquire) {
            return Ok(());
        }
        self.api.fail(self.event, invocation::kind_of(failure), text.trim_end())
    }
}
