//! Runs sessions: threads that start others, wait for Futures, sleep, call Python, and end.
//!
//! A reading order: the ids and records, the [`Commit`] and the [`storage`] port with the in-memory reference, [`step`]
//! (all rules about Futures, continuations and ends, as pure functions), the ports [`invoker`] and [`foreign`], then
//! what drives a thread's turn, a session, and the [`Engine`]. Clock, randomness and OS threads are provided through
//! the ports. The feature `simulator` adds a world in which all of them are derived from a seed.

mod assignment;
mod calls;
pub mod codec;
mod commit;
pub mod conformance;
mod deadline;
mod deadlock;
mod demand;
mod dispatch;
mod encoded;
mod engine;
mod export;
mod failure;
pub mod foreign;
mod history;
mod id;
mod import;
pub mod invoker;
mod journal;
mod keyed;
mod labels;
mod leases;
pub mod limits;
mod memory;
mod options;
mod output;
pub mod outside;
mod patience;
mod place;
mod ports;
mod record;
pub mod remote;
mod report;
pub mod rows;
mod sequence;
mod server;
mod servers;
mod serving;
mod session;
mod shortage;
#[cfg(feature = "simulator")]
pub mod simulator;
mod size;
mod space;
pub mod step;
pub mod storage;
mod surroundings;
mod suspend;
mod sweeper;
mod throttle;
mod timetable;
mod turn;
mod worker_kind;

pub use assignment::{Assignment, AssignmentEnd, NoAssignment};
pub use commit::{Commit, Outcome, Renewal};
pub use deadline::Deadline;
pub use demand::Demand;
pub use dispatch::{Dispatcher, Hint};
pub use encoded::Encoded;
pub use engine::{CancelHandle, Engine, Start};
pub use failure::Failure;
pub use foreign::{Call, CallError, CallEvent, CallId, CallSink, Foreign, NoForeign, Unwanted};
pub use history::{Event, HistoryReader, LogEntry, Needed};
pub use id::{FutureId, NoThreadId, SessionId, Stamp, ThreadId};
pub use import::{ExportedSession, ImportError, import};
pub use invoker::{Invoker, Runner, TimerId, WorkerSlot};
pub use journal::{Journal, Milestone};
pub use keyed::{Keyed, session_of};
pub use labels::{Labels, check_key, check_tag, key_of_request};
pub use leases::{Announcement, Coverage, HeldThread, KnownSession, Leases, Left, Taken, Terms};
pub use memory::MemoryStorage;
pub use options::{Options, Scope};
pub use output::{Observer, OutputItem};
pub use place::{NoPool, Place, Pool, Pools};
pub use ports::Ports;
pub use record::{
    About, Awaiting, BeforeMove, Due, FutureRecord, Interest, Key, Live, PendingCall, PutBack, Record, SessionRecord,
    SessionState, Started, State, Status as ThreadStatus, Versioned, Waiter, Waiters,
};
pub use report::{Report, SessionError, Status};
pub use sequence::Sequence;
pub use servers::{Agenda, Claimed, Servers, Unattended, Woken};
pub use serving::Recovered;
pub use shortage::Shortage;
pub use size::{Size, Sizes};
pub use space::{Space, SpaceCommit, SpaceKey, SpaceRecord};
pub use storage::{
    Catalog, DamagedSession, Everything, Filter, Listed, SessionStorage, Storage, StorageError, Summary, Tenure,
};
pub use surroundings::{Surroundings, Timestamp};
pub use suspend::SuspendAt;
pub use throttle::{Bound, Disagreement, Gate, GateKind, HeldPlace, Places, Request, Token, disagreements};
pub use worker_kind::WorkerKind;
