//! The limits of the engine. Each is tested.

use std::time::Duration;

pub use hark_machine::limits::THREADS_MAX;

/// How long a turn is: so many calls and repetitions, some tenths of a millisecond.
pub const TURN_FUEL: u32 = 20_000;

/// How much a thread may run after an `await` that was answered within its turn, and how many of these a turn may have.
/// Together they bound a turn's length without any measuring of what was used.
pub const RESUMED_FUEL: u32 = 1_000;
/// See [`RESUMED_FUEL`].
pub const AWAITS_PER_TURN_MAX: u32 = 1_000;

/// A wait for which so many Futures are read counts as one more.
pub const FUTURES_PER_AWAIT: u32 = 16;

/// The same for Futures that the step has seen already.
pub const FUTURES_KNOWN_PER_AWAIT: u32 = 256;

/// How many instructions a turn has where a thread is suspended between instructions.
pub const TURN_INSTRUCTIONS: u64 = 2_000;

/// How many threads a worker takes at a time, if their records are in memory.
pub const THREADS_AT_A_TIME: usize = 64;

/// The same if each turn is written down. The worker commits their steps together.
pub const DURABLE_THREADS_AT_A_TIME: usize = 64;

/// How long a step waits at most until others have had their turns, to be committed with them.
pub const BATCH_TIME_MAX: Duration = Duration::from_millis(1);

/// The most bytes of JSON that a call says how far it is with.
pub const PROGRESS_BYTES_MAX: usize = 4_096;

/// The most waiters that a Future's own record holds; those that come later have records of their own.
pub const WAITERS_INLINE_MAX: usize = 16;

/// The most records that others may know which a commit touches, in any storage.
pub const COMMIT_RECORDS_MAX: usize = 32;

/// The same where records are in the memory or the file of one machine, and many cost little more than one.
pub const LOCAL_COMMIT_RECORDS_MAX: usize = 2_048;

/// How long after a thread has learned that it is cancelled it is looked whether all threads of its session were to be told, and
/// whoever has begun that was lost.
pub const CANCEL_TOLD_WAIT: Duration = Duration::from_secs(2);

/// How many of these a step may need that ends its thread and wakes those who wait. The rest is for what the step has
/// learned of other Futures.
pub const STEP_RECORDS_MAX: usize = 28;

/// The same for a step that ends with a wait.
pub const WAIT_RECORDS_MAX: usize = 11;

/// The most failed threads that one commit puts back for a retry: five records each.
pub const RETRIES_PER_COMMIT_MAX: usize = 6;

/// The most ranges of numbers in which a thread's record tells which threads it has started.
pub const STARTED_RANGES_MAX: usize = 64;

/// How long a thread that was cancelled may go on, unless the options say otherwise.
pub const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// The most frames of a trace that runs through threads; what lies in its middle is counted.
pub const TRACE_FRAMES_MAX: usize = 80;

/// The most Futures that are named where it is told what a thread waits for.
pub const SHOWN_FUTURES_MAX: usize = 4;

/// The most threads that a deadlock's error lists.
pub const DEADLOCK_THREADS_MAX: usize = 10;

/// How many threads are read together where it is looked whether a session is a deadlock.
pub const DEADLOCK_SCAN: usize = 256;

/// How long a step of a durable session may go on before it is written down, if it does nothing that must be.
pub const STEP_TIME_MAX: Duration = Duration::from_secs(2);

/// The same for a step that has started threads, or printed something.
pub const GATHERED_TIME_MAX: Duration = Duration::from_millis(50);

/// How often a step that goes on looks whether something has come for its thread: it may be cancelled.
pub const NEWS_LOOK_PAUSE: Duration = Duration::from_millis(50);

/// How many new threads such a step may have gathered.
pub const PAUSED_FRESH_MAX: usize = 1_000;

/// How many entries of the history such a step may have gathered.
pub const PAUSED_LOG_MAX: usize = 1_000;

/// How much a call may have printed until that is written down while the call goes on.
pub const OUTPUT_PIECE_BYTES: usize = 1 << 18;

/// How many commits of a history are in memory at a time where it is read in pages.
pub const HISTORY_PAGE: usize = 50;

/// How many bytes of output such a step may have gathered.
pub const PAUSED_OUTPUT_MAX: usize = 1 << 16;

/// How long a server waits for news at most, before it looks for sessions whose server was lost.
pub const NEWS_WAIT_MAX: Duration = Duration::from_secs(1);

/// A look at all mailboxes is followed by a pause of so many times its length.
pub const MAILBOX_TIME_SHARE: u32 = 10;

/// How long a server waits after its storage failed.
pub const STORAGE_RETRY_WAIT: Duration = Duration::from_millis(200);

/// How long a server waits before it goes on with a session for which the computer had too little of something. Each try is
/// one more of a call.
pub const EXHAUSTED_RETRY_WAIT: Duration = Duration::from_secs(5);

/// How long a session under way waits for a storage that does not answer, before it is given up, and how many times it asks
/// at least: a process that was stopped meanwhile has not waited.
pub const STORAGE_PATIENCE: Duration = Duration::from_secs(300);
/// See [`STORAGE_PATIENCE`].
pub const STORAGE_TRIES_MIN: u32 = 20;

/// How long it waits before it asks again: at first, and at most.
pub const STORAGE_PAUSE: Duration = Duration::from_millis(10);
/// See [`STORAGE_PAUSE`].
pub const STORAGE_PAUSE_MAX: Duration = Duration::from_millis(500);

/// The most characters of an argument that a session's summary shows.
pub const SHOWN_ARGUMENT_MAX: usize = 200;

/// The most characters of a session's key, and of a tag's name and value.
pub const LABEL_CHARACTERS_MAX: usize = 200;

/// The most tags of a session.
pub const TAGS_MAX: usize = 64;

/// The most characters that a history shows of a call's arguments, and of its value.
pub const SHOWN_CALL_MAX: usize = 200;

/// How many times a call is made whose worker was lost, unless the options say otherwise.
pub const MAX_TRIES: u32 = 5;

/// The most calls that a thread may make, and the most frames that a trace may leave out: what any reader of JSON keeps
/// exactly.
pub const COUNT_MAX: u64 = 1 << 53;

/// The most tries within each other, of functions with `#[timeout]` or `#[retry]` that call each other: each has a thread of its
/// own, of some 2 KB in memory.
pub const TRIES_NESTED_MAX: u32 = 100_000;

/// The most tries of a call and losses of a thread that a record may tell of. No session gets there, so that they can be
/// counted on without an overflow.
pub const TRIES_MAX: u32 = 1 << 30;

/// A pickle of so many bytes is kept by itself, and what holds it only names it.
pub const APART_BYTES_MIN: usize = 4 << 10;

/// The longest sleep, some 30,000 years: `sleep(1e300)` is for ever, but its end is still a time.
pub const SLEEP_MAX: Duration = Duration::from_secs(1 << 40);

/// How many starts of a rate are told apart. Where more may start, those within so small a part of its time are counted as one.
pub const RATE_STARTS_MAX: u64 = 200;

/// The most threads that one commit lets through a gate.
pub const GATE_GRANTS_MAX: usize = 64;

/// The most entries of a gate that are removed together.
pub const GATE_HOLDS_MAX: usize = 1_000;

/// Where threads are leased, a process takes threads until it has so many for each worker, if it calls no functions. Else it
/// takes as many as it makes calls at a time, and some whose calls wait for these.
pub const HELD_PER_WORKER: usize = 2;

/// The most calls at a time for which a process takes threads.
pub const CALLS_HELD_MAX: usize = 64;

/// The most threads that a process takes whose calls wait for others there.
pub const CALLS_QUEUED_MAX: usize = 64;

/// Each call that is answered this soon after it was made lets the queue of calls be longer by one.
pub const QUEUE_TIME_SHORT: Duration = Duration::from_millis(100);

/// A call that has waited for so long is left to other processes, and the queue begins anew.
pub const QUEUE_TIME_MAX: Duration = Duration::from_millis(500);

/// How long a process has a session for itself that it exports or imports, where threads are leased. After that others take it for
/// lost, and what it does is undone.
pub const MOVE_TIME_MAX: Duration = Duration::from_secs(600);

/// How often a process looks at most what others have done to the sessions that it has in memory. Without news it looks once in
/// [`NEWS_WAIT_MAX`].
pub const OTHERS_LOOK_PAUSE: Duration = Duration::from_millis(100);
