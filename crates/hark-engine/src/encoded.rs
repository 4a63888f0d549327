//! Implements a storage of records on top of a storage of rows: encodes and decodes records, splits large contents into
//! parts and counts references to them, seals rows, and caches what it has just written, so that the writer of a thread
//! need not read it again.

mod ahead;
mod kept;
mod leases;
mod pickles;
mod session;
mod used;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hark_bytecode::Executable;
use hark_machine::Program;

use crate::codec::row::{Sealer, decode_session};
use crate::dispatch::{Dispatcher, Hint};
use crate::id::{SessionId, Stamp};
use crate::place::Pools;
use crate::record::SessionRecord;
use crate::rows::{Row, RowStorage, RowTenure, SessionEntry};
use crate::space::Space;
use crate::storage::{Catalog, DamagedSession, Filter, Listed, SessionStorage, Storage, StorageError, Summary, Tenure};
use kept::Cache;
use pickles::HeldPickles;
use session::EncodedSession;

/// A storage whose rows are stored by another one.
pub struct Encoded {
    shared: Arc<Shared>,
    dispatcher: Option<Arc<dyn Dispatcher>>,
}

/// The state shared by sessions.
struct Shared {
    storage: Arc<dyn RowStorage>,
    /// Threads as last written.
    kept: Arc<Cache>,
    /// The pickles held by this process.
    pickles: HeldPickles,
}

impl Encoded {
    /// Stores records as rows of this storage.
    pub fn new(storage: Arc<dyn RowStorage>) -> Encoded {
        let shared = Shared { storage, kept: Arc::default(), pickles: HeldPickles::default() };
        Encoded { shared: Arc::new(shared), dispatcher: None }
    }

    /// Dispatches hints with this dispatcher. Without one, a hint only wakes the processes that serve the storage.
    pub fn set_dispatcher(&mut self, dispatcher: Arc<dyn Dispatcher>) {
        self.dispatcher = Some(dispatcher);
    }

    fn rows(&self) -> &dyn RowStorage {
        &*self.shared.storage
    }

    /// The record in a session's own row.
    fn decode(&self, id: &SessionId, row: &Row) -> Result<SessionRecord, StorageError> {
        let decoded = decode_session(row, &Sealer::new(id));
        decoded.map_err(|error| self.shared.damaged(id, "the summary", &error))
    }
}

impl Shared {
    fn damaged(&self, id: &SessionId, what: &str, error: &dyn std::error::Error) -> StorageError {
        StorageError::Permanent(format!("{}: {what} of session {id}: {error}", self.storage.name()))
    }
}

impl Storage for Encoded {
    fn session(&self, id: &SessionId, program: &Arc<Program>) -> Result<Arc<dyn SessionStorage>, StorageError> {
        let rows = self.rows().session(id)?;
        Ok(Arc::new(EncodedSession::new(self.shared.clone(), rows, id.clone(), program.clone())))
    }

    fn space(&self) -> &dyn Space {
        self.rows().space()
    }

    fn catalog(&self) -> Option<&dyn Catalog> {
        Some(self)
    }

    fn tenure(&self) -> Tenure<'_> {
        match self.rows().tenure() {
            RowTenure::Servers(servers) => Tenure::Servers(servers),
            RowTenure::Leases(leases) => Tenure::Leases(leases),
            RowTenure::Due(_) => Tenure::Leases(self),
        }
    }

    fn scratch_folder(&self) -> Option<&Path> {
        self.rows().scratch_folder()
    }
}

impl Dispatcher for Encoded {
    /// The hinted threads are due in their rows, so the processes that serve the storage only need to be woken.
    fn dispatch(&self, session: &SessionId, hints: &[Hint]) {
        self.rows().announce();
        if let Some(dispatcher) = &self.dispatcher {
            dispatcher.dispatch(session, hints);
        }
    }

    fn started_pools(&self) -> Option<&Pools> {
        self.dispatcher.as_ref()?.started_pools()
    }

    fn reaches(&self, code: &str) -> bool {
        self.dispatcher.as_ref().is_none_or(|dispatcher| dispatcher.reaches(code))
    }
}

impl Catalog for Encoded {
    fn put_program(&self, hash: &str, executable: &Executable) -> Result<(), StorageError> {
        self.rows().put_program(hash, &executable.encode())
    }

    fn program(&self, hash: &str) -> Result<Executable, StorageError> {
        let damaged = |why: &str| StorageError::Permanent(format!("the program {hash} {why}"));
        let content = self.rows().program(hash)?.ok_or_else(|| damaged("is missing"))?;
        let executable = Executable::decode(&content).map_err(|error| damaged(&format!("cannot be read: {error}")))?;
        if executable.hash().to_string() != hash {
            return Err(damaged("has a different content"));
        }
        Ok(executable)
    }

    fn record(&self, id: &SessionId) -> Result<Option<(Stamp, SessionRecord)>, StorageError> {
        let found = self.rows().summary(id)?;
        found.map(|row| Ok((row.stamp, self.decode(id, &row)?))).transpose()
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Listed>, StorageError> {
        let summary = |SessionEntry { id, row, threads, is_served }| match row
            .and_then(|row| Ok((row.stamp, self.decode(&id, &row)?)))
        {
            Ok((stamp, record)) => {
                let is_served = is_served && !record.state.is_over();
                let threads = record.threads.unwrap_or(threads);
                Ok(Summary { id, record, stamp, is_served, threads })
            }
            Err(error) => Err(DamagedSession { id, error }),
        };
        Ok(self.rows().sessions(filter)?.into_iter().map(summary).collect())
    }

    fn wait_for_news(&self, at_most: Duration) -> bool {
        self.rows().wait_for_news(at_most)
    }

    fn ring(&self) {
        self.rows().ring();
    }

    fn remove(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.rows().remove(id, expected)
    }

    fn remove_programs(&self) -> Result<(), StorageError> {
        self.rows().remove_programs()
    }

    fn clear(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.rows().clear(id, expected)
    }
}
