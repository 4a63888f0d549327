//! Storages for sessions.

#[cfg(feature = "sqlite")]
pub mod sqlite;
