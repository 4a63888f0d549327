//! Memory storage in which some promises are already settled when a session begins.

use std::sync::Arc;

use hark_engine::{
    Commit, Failure, FutureId, FutureRecord, MemoryStorage, Outcome, Record, SessionId, SessionStorage, Space, Stamp,
    Storage, StorageError, Surroundings, ThreadId,
};
use hark_machine::{Error, Program};

use super::lines::{Line, Settled};

/// Stores the session of a case.
pub struct Settling {
    /// The underlying storage.
    pub memory: MemoryStorage,
    /// The promises to settle.
    pub settled: Arc<Vec<Line<Settled>>>,
    /// The clock for the times of failures.
    pub surroundings: Arc<dyn Surroundings>,
}

impl Storage for Settling {
    fn space(&self) -> &dyn Space {
        self.memory.space()
    }

    fn session(&self, id: &SessionId, program: &Arc<Program>) -> Result<Arc<dyn SessionStorage>, StorageError> {
        let records = self.memory.session(id, program)?;
        if self.settled.is_empty() {
            return Ok(records);
        }
        let mut commit = Commit::new(Stamp(std::num::NonZeroU64::MIN));
        for line in self.settled.iter() {
            let record = match &line.content.outcome {
                Ok(value) => FutureRecord::Resolved(value.clone()),
                Err(message) => {
                    let error = Error::new("error", message.as_str());
                    FutureRecord::Failed(Arc::new(Failure::new(error, ThreadId(0), self.surroundings.steady_now())))
                }
            };
            commit.put.push(Record::Future(FutureId::Promise(line.content.promise.as_str().into()), record));
        }
        match records.commit(&mut commit)? {
            Outcome::Done => Ok(records),
            Outcome::Conflict | Outcome::Unknown => Err(StorageError::Permanent("the session already exists".into())),
        }
    }
}
