//! Where sessions are kept.

#[cfg(feature = "sqlite")]
pub mod sqlite;
