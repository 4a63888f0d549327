//! The limits of the engine. Each is tested.

use std::time::Duration;

pub use hark_machine::limits::THREADS_MAX;

/// The length of a turn: this many calls and repetitions, some tenths of a millisecond.
pub const TURN_FUEL: u32 = 20_000;

/// The fuel of a thread after an `await` that was answered within its turn, and the maximum number of these in a turn.
/// Together they bound the length of a turn without measuring what was used.
pub const RESUMED_FUEL: u32 = 1_000;
/// See [`RESUMED_FUEL`].
pub const AWAITS_PER_TURN_MAX: u32 = 1_000;

/// A wait counts once more for each of this many Futures that are read.
pub const FUTURES_PER_AWAIT: u32 = 16;

/// The same for Futures that the step has already read.
pub const FUTURES_KNOWN_PER_AWAIT: u32 = 256;

/// The number of instructions in a turn if threads are suspended between instructions.
pub const TURN_INSTRUCTIONS: u64 = 2_000;

/// The number of threads that a worker takes at a time, if their records are in memory.
pub const THREADS_AT_A_TIME: usize = 64;

/// The same if each turn is written. The worker commits their steps together.
pub const DURABLE_THREADS_AT_A_TIME: usize = 64;

/// How long a step waits at most for the turns of other threads, to be committed with them.
pub const BATCH_TIME_MAX: Duration = Duration::from_millis(1);

/// The maximum number of bytes of a call's progress, as JSON.
pub const PROGRESS_BYTES_MAX: usize = 4_096;

/// The maximum number of waiters in a Future's own record; further ones have their own records.
pub const WAITERS_INLINE_MAX: usize = 16;

/// The maximum number of shared records in a commit, for any storage.
pub const COMMIT_RECORDS_MAX: usize = 32;

/// The same if the records are in the memory or a file of one machine, where many cost little more than one.
pub const LOCAL_COMMIT_RECORDS_MAX: usize = 2_048;

/// How long after a thread's cancellation the session is checked for a cancellation of all threads whose process was
/// lost midway.
pub const CANCEL_TOLD_WAIT: Duration = Duration::from_secs(2);

/// The number of broken and cancelled sessions that a process remembers for its log.
pub const REMEMBERED_ENDS_MAX: usize = 10_000;

/// The maximum number of these records in a step that ends its thread and wakes waiters. The rest is for what the step
/// has learned about other Futures.
pub const STEP_RECORDS_MAX: usize = 28;

/// The same for a step that ends with a wait.
pub const WAIT_RECORDS_MAX: usize = 11;

/// The maximum number of failed threads that a commit puts back for a retry, with five records each.
pub const RETRIES_PER_COMMIT_MAX: usize = 6;

/// The maximum number of ranges with which a thread's record describes the threads it has started.
pub const STARTED_RANGES_MAX: usize = 64;

/// The default for how long a cancelled thread may continue.
pub const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// The maximum number of frames in a trace through threads; those omitted in the middle are counted.
pub const TRACE_FRAMES_MAX: usize = 80;

/// The maximum number of Futures named in the description of a wait.
pub const SHOWN_FUTURES_MAX: usize = 4;

/// The maximum number of threads listed in a deadlock error.
pub const DEADLOCK_THREADS_MAX: usize = 10;

/// The number of threads read at a time when checking for a deadlock.
pub const DEADLOCK_SCAN: usize = 256;

/// How long a step of a durable session may run before it is written, if nothing requires that earlier.
pub const STEP_TIME_MAX: Duration = Duration::from_secs(2);

/// The same for a step that has started threads or printed something.
pub const GATHERED_TIME_MAX: Duration = Duration::from_millis(50);

/// How often a running step checks whether its thread has been cancelled.
pub const NEWS_LOOK_PAUSE: Duration = Duration::from_millis(50);

/// The maximum number of new threads that such a step may collect.
pub const PAUSED_FRESH_MAX: usize = 1_000;

/// The maximum number of history entries that such a step may collect.
pub const PAUSED_LOG_MAX: usize = 1_000;

/// The number of bytes printed by a call after which they are written while it continues.
pub const OUTPUT_PIECE_BYTES: usize = 1 << 18;

/// The number of commits of a history held in memory when it is read in pages.
pub const HISTORY_PAGE: usize = 50;

/// The maximum number of bytes of output that such a step may collect.
pub const PAUSED_OUTPUT_MAX: usize = 1 << 16;

/// How long a server waits for news at most before it checks for sessions whose server was lost.
pub const NEWS_WAIT_MAX: Duration = Duration::from_secs(1);

/// A sweep of all mailboxes is followed by a pause of this many times its duration.
pub const MAILBOX_TIME_SHARE: u32 = 10;

/// How long a server waits after a failure of its storage.
pub const STORAGE_RETRY_WAIT: Duration = Duration::from_millis(200);

/// How long a server waits before it retries a session for which a resource was exhausted. Each retry is another
/// attempt of a call.
pub const EXHAUSTED_RETRY_WAIT: Duration = Duration::from_secs(5);

/// How long a running session waits for an unresponsive storage before it is given up, and the minimal number of
/// attempts: a process that was stopped meanwhile has not waited.
pub const STORAGE_PATIENCE: Duration = Duration::from_secs(300);
/// See [`STORAGE_PATIENCE`].
pub const STORAGE_TRIES_MIN: u32 = 20;

/// The initial and the maximal pause before the next attempt.
pub const STORAGE_PAUSE: Duration = Duration::from_millis(10);
/// See [`STORAGE_PAUSE`].
pub const STORAGE_PAUSE_MAX: Duration = Duration::from_millis(500);

/// The maximum number of characters of an argument in a session's summary.
pub const SHOWN_ARGUMENT_MAX: usize = 200;

/// The maximum number of characters of a session's key, and of a tag's name and value.
pub const LABEL_CHARACTERS_MAX: usize = 200;

/// The maximum number of tags of a session.
pub const TAGS_MAX: usize = 64;

/// The maximum number of characters of a call's arguments, and of its value, in the history.
pub const SHOWN_CALL_MAX: usize = 200;

/// The default for how often a call is made if its worker is lost each time.
pub const MAX_TRIES: u32 = 5;

/// The maximum number of calls of a thread, and of omitted frames in a trace: the largest integers that every JSON
/// reader represents exactly.
pub const COUNT_MAX: u64 = 1 << 53;

/// The maximum nesting of functions with `#[timeout]` or `#[retry]` that call each other: each has its own thread,
/// which takes some 2 KB of memory.
pub const TRIES_NESTED_MAX: u32 = 100_000;

/// The maximum number of attempts of a call and of losses of a thread in a record. No session reaches it, so counting
/// cannot overflow.
pub const TRIES_MAX: u32 = 1 << 30;

/// Pickles of at least this size are stored separately and referenced.
pub const APART_BYTES_MIN: usize = 4 << 10;

/// The longest sleep, some 30,000 years: `sleep(1e300)` lasts practically forever, but its end is still a valid time.
pub const SLEEP_MAX: Duration = Duration::from_secs(1 << 40);

/// The resolution of a rate: if more starts are allowed, those within a fraction of its period are counted as one.
pub const RATE_STARTS_MAX: u64 = 200;

/// The maximum number of threads that a commit lets through a gate.
pub const GATE_GRANTS_MAX: usize = 64;

/// The maximum number of entries of a gate that are removed together.
pub const GATE_HOLDS_MAX: usize = 1_000;

/// Where threads are leased, a process takes threads until it has this many per worker, if it makes no calls. Otherwise
/// it takes as many as it can make calls at a time. In both cases it takes some more that wait for these.
pub const HELD_PER_WORKER: usize = 2;

/// The maximum number of concurrent calls for which a process takes threads.
pub const CALLS_HELD_MAX: usize = 64;

/// A process that runs a thread assigned to it keeps the threads that this one starts or wakes until it has this many.
pub const ASSIGNED_HELD_MAX: usize = 16;

/// The maximum number of due threads that the recovery takes with one request.
pub const RECOVERED_AT_A_TIME: usize = 100;

/// The maximum number of timers for which one run of the recovery dispatches hints.
pub const TIMERS_DISPATCHED_MAX: usize = 10_000;

/// The maximum number of threads that a process takes in advance.
pub const TAKEN_IN_ADVANCE_MAX: usize = 64;

/// How long a process that runs assigned threads relies on a session's record that it has read.
pub const RECORD_TIME_MAX: Duration = Duration::from_secs(1);

/// Each call that is answered within this time lengthens the queue of calls by one.
pub const QUEUE_TIME_SHORT: Duration = Duration::from_millis(100);

/// A call that has waited for this long is left to other processes, and the queue is emptied.
pub const QUEUE_TIME_MAX: Duration = Duration::from_millis(500);

/// How long a process holds a session whose import it goes on with, where threads are leased. After that, others consider the
/// process lost, and remove what it has written.
pub const IMPORT_TIME_MAX: Duration = Duration::from_secs(600);

/// How often a process checks at most what others have done to the sessions in its memory. Without news it checks once
/// per [`NEWS_WAIT_MAX`].
pub const OTHERS_LOOK_PAUSE: Duration = Duration::from_millis(100);
