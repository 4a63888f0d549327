//! What every storage and every invoker must hold to, as suites that a backend's tests call.
//!
//! A suite panics with what is wrong. A new backend calls it and adds nothing.

mod invoker;
mod kept;
mod leases;
mod remote;
mod rows;
pub(crate) mod sample;
mod servers;
mod space;
mod storage;

pub use invoker::check_invoker;
pub use leases::{check_leases, check_priorities};
pub use remote::{Supervisor, check_remote_invoker};
pub use rows::check_rows;
pub use servers::check_servers;
pub use storage::check_storage;
#[cfg(test)]
pub(crate) use storage::every_kind;
