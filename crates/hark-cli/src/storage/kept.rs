//! The storages whose sessions outlive this process: where they are, and what the commands ask of them beyond the port.

use std::ffi::OsString;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "lambda")]
use hark_backends::aws::Aws;
#[cfg(feature = "dynamodb")]
use hark_backends::storage::dynamodb::{DynamoSettings, DynamoStorage};
use hark_backends::storage::sqlite::{SqliteStorage, Work};
#[cfg(feature = "dynamodb")]
use hark_engine::Tenure as StorageTenure;
use hark_engine::{Storage, StorageError};

use super::failure;
use crate::config::Tenure;
use crate::failure::Failure;
#[cfg(feature = "lambda")]
use crate::instance::Instance;
use crate::project::Project;
#[cfg(feature = "lambda")]
use hark_lambda::InstanceName;

/// The place of such a storage.
#[derive(Debug, Clone)]
pub enum Address {
    /// A file in this folder.
    Folder(PathBuf),
    /// A DynamoDB table.
    #[cfg(feature = "dynamodb")]
    Table(DynamoSettings),
    /// That of an instance on AWS Lambda.
    #[cfg(feature = "lambda")]
    Instance(InstanceName, DynamoSettings),
}

/// An open storage of this kind.
#[derive(Clone)]
pub enum Kept {
    /// A file.
    Sqlite(Arc<SqliteStorage>),
    /// A DynamoDB table.
    #[cfg(feature = "dynamodb")]
    DynamoDb {
        /// The storage.
        table: Arc<DynamoStorage>,
        /// How long after their starts its sessions are removed.
        ttl: Option<Duration>,
        /// The instance on AWS Lambda to which the table belongs, if it belongs to one. Its functions run the sessions
        /// then, and this process runs no threads: only the functions have the Python code as it was deployed.
        #[cfg(feature = "lambda")]
        instance: Option<Arc<Instance>>,
    },
}

impl Address {
    /// Whether anything may ever have been kept there.
    pub fn exists(&self) -> bool {
        match self {
            Address::Folder(folder) => SqliteStorage::exists(folder),
            #[cfg(feature = "dynamodb")]
            Address::Table(_) => true,
            #[cfg(feature = "lambda")]
            Address::Instance(..) => true,
        }
    }

    /// Opens it, as the project's settings want it used.
    ///
    /// # Errors
    /// If that cannot be done.
    pub fn open(&self, project: &Project) -> Result<Kept, Failure> {
        match self {
            Address::Folder(folder) => open_file(project, folder),
            #[cfg(feature = "dynamodb")]
            Address::Table(settings) => {
                let table = open_table(settings)?;
                Ok(Kept::DynamoDb {
                    table: Arc::new(table),
                    ttl: settings.ttl,
                    #[cfg(feature = "lambda")]
                    instance: None,
                })
            }
            #[cfg(feature = "lambda")]
            Address::Instance(name, settings) => {
                let instance = Instance::deployed(project, name)?;
                let (table, _) = instance.open(settings.clone())?;
                Ok(Kept::DynamoDb { table: Arc::new(table), ttl: settings.ttl, instance: Some(Arc::new(instance)) })
            }
        }
    }
}

/// The table. If the environment names an instance on AWS Lambda, it is the instance's table, and the instance's
/// functions run the threads that this process leaves to others.
#[cfg(feature = "lambda")]
fn open_table(settings: &DynamoSettings) -> Result<DynamoStorage, Failure> {
    if let Some(instance) = Instance::of_environment()? {
        return instance.open(settings.clone()).map(|(table, _)| table);
    }
    DynamoStorage::open(settings.clone()).map_err(failure)
}

#[cfg(all(feature = "dynamodb", not(feature = "lambda")))]
fn open_table(settings: &DynamoSettings) -> Result<DynamoStorage, Failure> {
    DynamoStorage::open(settings.clone()).map_err(failure)
}

fn open_file(project: &Project, folder: &Path) -> Result<Kept, Failure> {
    let mut file = SqliteStorage::open(folder).map_err(failure)?;
    if let Some(lease) = project.settings.lease {
        file = file.with_lease(lease);
    }
    Ok(Kept::Sqlite(Arc::new(match project.settings.tenure {
        Tenure::Sessions => file,
        Tenure::Threads => file.with_leased_threads(),
    })))
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Folder(folder) => folder.display().fmt(formatter),
            #[cfg(feature = "dynamodb")]
            Address::Table(settings) => write!(formatter, "the table `{}`", settings.table),
            #[cfg(feature = "lambda")]
            Address::Instance(name, _) => write!(formatter, "the table `{}`", name.table()),
        }
    }
}

impl Kept {
    /// Whether it is reached over a network.
    pub fn is_remote(&self) -> bool {
        !matches!(self, Kept::Sqlite(_))
    }

    /// The instance whose functions run its sessions, with its account, if the table belongs to one.
    #[cfg(feature = "lambda")]
    pub fn instance(&self) -> Option<(&Arc<Instance>, &Aws)> {
        match self {
            Kept::DynamoDb { table, instance: Some(instance), .. } => Some((instance, table.aws())),
            _ => None,
        }
    }

    /// Whether AWS Lambda functions run its sessions, and not this process.
    pub fn is_run_by_functions(&self) -> bool {
        #[cfg(feature = "lambda")]
        return self.instance().is_some();
        #[cfg(not(feature = "lambda"))]
        false
    }

    /// For an engine.
    pub fn shared(&self) -> Arc<dyn Storage> {
        match self {
            Kept::Sqlite(file) => file.clone(),
            #[cfg(feature = "dynamodb")]
            Kept::DynamoDb { table, .. } => table.clone(),
        }
    }

    /// The folder for output of its sessions that cannot be shown yet, if it has one of its own.
    pub fn folder(&self) -> Option<PathBuf> {
        match self {
            Kept::Sqlite(file) => Some(file.folder().to_path_buf()),
            #[cfg(feature = "dynamodb")]
            Kept::DynamoDb { .. } => None,
        }
    }

    /// How long a process that has ended may still seem to hold sessions. None where the end of a process is known at
    /// once.
    pub fn lease_of_the_lost(&self) -> Option<Duration> {
        match (self, self.tenure()) {
            #[cfg(feature = "dynamodb")]
            (Kept::DynamoDb { .. }, StorageTenure::Leases(leases)) => Some(leases.lease()),
            _ => None,
        }
    }

    /// Whether the storage is still the one that was opened: the file may have been moved away, for example.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_in_place(&self) -> Result<(), StorageError> {
        match self {
            Kept::Sqlite(file) => file.check_in_place(),
            #[cfg(feature = "dynamodb")]
            Kept::DynamoDb { .. } => Ok(()),
        }
    }

    /// The options by which another process of this program opens it for the same project.
    pub fn arguments(&self) -> Vec<OsString> {
        match self {
            Kept::Sqlite(file) => {
                vec!["--storage".into(), "sqlite".into(), "--data-dir".into(), file.folder().as_os_str().to_owned()]
            }
            #[cfg(feature = "dynamodb")]
            Kept::DynamoDb { ttl, .. } => {
                let mut arguments: Vec<OsString> = vec!["--storage".into(), "dynamodb".into()];
                if let Some(ttl) = ttl {
                    arguments.extend(["--ttl".into(), format!("{}s", ttl.as_secs()).into()]);
                }
                arguments
            }
        }
    }

    /// Names and counts of this process's requests to the disk or the table so far.
    pub fn work(&self) -> Vec<(&'static str, f64)> {
        match self {
            Kept::Sqlite(file) => {
                let Work { commits, fsyncs } = file.work();
                vec![("commits", commits as f64), ("fsyncs", fsyncs as f64)]
            }
            #[cfg(feature = "dynamodb")]
            Kept::DynamoDb { table, .. } => {
                let counts = table.counts();
                let calls: u64 = counts.calls.values().sum();
                vec![("calls", calls as f64), ("read units", counts.read_units), ("write units", counts.write_units)]
            }
        }
    }
}

impl Deref for Kept {
    type Target = dyn Storage;

    fn deref(&self) -> &Self::Target {
        match self {
            Kept::Sqlite(file) => &**file,
            #[cfg(feature = "dynamodb")]
            Kept::DynamoDb { table, .. } => &**table,
        }
    }
}
