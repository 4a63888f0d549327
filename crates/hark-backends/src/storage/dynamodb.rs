//! Sessions in a DynamoDB table, or on any server with DynamoDB's API, with large contents in an S3 bucket if one is
//! set.
//!
//! Threads are leased, so that one session runs on many machines. `layout` describes the table, `commit` how a change
//! becomes calls. The engine calls synchronously; the client, and the async runtime that waits for its answers, are
//! created when they are first needed.

mod api;
mod batches;
mod bell;
mod bucket;
mod catalog;
mod clock;
mod commit;
mod counts;
mod due;
mod error;
mod expiries;
mod history;
mod item;
mod layout;
mod numbers;
mod objects;
mod pack;
mod parts;
mod programs;
mod requests;
mod session;
mod settings;
mod space;
mod table;

use std::path::Path;
use std::sync::Arc;

use hark_engine::rows::RowStorage;
use hark_engine::{Catalog, Dispatcher, Encoded, SessionId, SessionStorage, Space, Storage, StorageError, Tenure};
use hark_machine::Program;

use crate::aws::Aws;
use api::Api;
use batches::Batches;
use bell::Bell;
use catalog::DynamoRows;
use clock::Clock;
pub use counts::DynamoCounts;
use expiries::Expiries;
use numbers::NextNumbers;
use programs::KnownPrograms;
pub use settings::{Advice, DynamoSettings, LEASE, TABLE};
pub use table::{Created, Finding};

/// Keeps sessions in a table.
pub struct DynamoStorage {
    shared: Arc<Shared>,
    encoded: Encoded,
}

/// The state that sessions and catalog share.
struct Shared {
    api: Api,
    clock: Clock,
    batches: Batches,
    bell: Bell,
    programs: KnownPrograms,
    next_numbers: NextNumbers,
    expiries: Expiries,
}

impl DynamoStorage {
    /// A table with these settings. Makes no requests yet.
    ///
    /// # Errors
    /// If the name of the table or the bucket is invalid.
    pub fn open(settings: DynamoSettings) -> Result<DynamoStorage, StorageError> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
        if !(3..=255).contains(&settings.table.len()) || !settings.table.chars().all(is_plain) {
            return Err(StorageError::Permanent(format!(
                "`{}` cannot be the name of a table: a name has 3 to 255 letters, digits, `_`, `-` and `.`",
                settings.table
            )));
        }
        let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.".contains(letter);
        if let Some(bucket) = &settings.bucket
            && !((3..=63).contains(&bucket.len()) && bucket.chars().all(is_plain))
        {
            return Err(StorageError::Permanent(format!(
                "`{bucket}` cannot be the name of a bucket: a name has 3 to 63 lowercase letters, digits, `-` and `.`"
            )));
        }
        let shared = Arc::new(Shared {
            api: Api::new(settings),
            clock: Clock::default(),
            batches: Batches::default(),
            bell: Bell::default(),
            programs: KnownPrograms::default(),
            next_numbers: NextNumbers::default(),
            expiries: Expiries::default(),
        });
        let encoded = Encoded::new(Arc::new(DynamoRows(shared.clone())));
        Ok(DynamoStorage { shared, encoded })
    }

    /// Sets the dispatcher of hints, such as one that starts a process for each.
    pub fn set_dispatcher(&mut self, dispatcher: Arc<dyn Dispatcher>) {
        self.encoded.set_dispatcher(dispatcher);
    }

    /// The account of the table.
    pub fn aws(&self) -> &Aws {
        self.shared.api.aws()
    }

    /// Creates the table if it does not exist, and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create_table(&self) -> Result<Created, StorageError> {
        self.shared.api.wait(self.shared.create_table())
    }

    /// Checks everything that sessions need: the table, its indexes, the clock, and each call.
    ///
    /// # Errors
    /// If not even a client can be created.
    pub fn check(&self) -> Result<Vec<Finding>, StorageError> {
        self.shared.api.wait(async { Ok(self.shared.check().await) })
    }

    /// The table as a storage of rows.
    pub fn rows(&self) -> Arc<dyn RowStorage> {
        Arc::new(DynamoRows(self.shared.clone()))
    }

    /// Counts of the requests to DynamoDB so far.
    pub fn counts(&self) -> DynamoCounts {
        self.shared.api.counter().counts()
    }
}

impl Storage for DynamoStorage {
    fn session(&self, id: &SessionId, program: &Arc<Program>) -> Result<Arc<dyn SessionStorage>, StorageError> {
        self.encoded.session(id, program)
    }

    fn space(&self) -> &dyn Space {
        &*self.shared
    }

    fn catalog(&self) -> Option<&dyn Catalog> {
        self.encoded.catalog()
    }

    fn tenure(&self) -> Tenure<'_> {
        self.encoded.tenure()
    }

    fn scratch_folder(&self) -> Option<&Path> {
        None
    }
}
