//! The limits of calls into Python. Each is tested or stated in the guide.

use std::time::Duration;

/// The maximum size of a message, and so of a call's arguments or its result.
pub const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// The maximum size of a call's message in a worker's inbox, without its length. Larger messages go over the worker's
/// connection.
pub const INBOX_MESSAGE_BYTES_MAX: usize = 1 << 14;

/// The maximum size of the arguments of a call that is sent ahead, such that its message certainly fits the inbox.
pub const AHEAD_BYTES_MAX: u64 = 1 << 12;

/// How many calls are sent ahead to a worker at most. Few, because each waits for the ones before it.
pub const CALLS_AHEAD_MAX: usize = 16;

/// Calls are sent ahead only to a worker whose last call took at most this time.
pub const SHORT_CALL_TIME: Duration = Duration::from_millis(2);

/// How long an interpreter may take to answer, unless the pool is given another time. On a busy machine or a slow
/// network disk, starting takes many times longer than usual.
pub const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a starting worker may delay others when as many as there are cores are starting. A start keeps a core busy,
/// and two starts that share a core are both late; but one that waits for a disk should not hold up the rest.
pub const START_TURN: Duration = Duration::from_millis(150);

/// How many descriptors of this process a worker needs while it starts.
pub const FILES_OF_WORKER: usize = 8;

/// How many descriptors the rest of this process may need: the storage, signals, standard input and output.
pub const FILES_OF_OTHERS: usize = 40;

/// How long a shortage of processes, descriptors or memory may last before the call is given up, if no worker is
/// running.
pub const SHORTAGE_TIME_MAX: Duration = Duration::from_secs(2);

/// How long a call waits for a worker to come back before it tries again to start one.
pub const SHORTAGE_WAIT: Duration = Duration::from_millis(200);

/// How long a call runs before its output is read while it runs.
pub const SILENT_TIME_MAX: Duration = Duration::from_millis(10);

/// How long a worker is assumed to be alive after it has answered.
pub const TRUSTED_TIME: Duration = Duration::from_millis(5);

/// The interval at which the output of a longer call is handed on.
pub const OUTPUT_INTERVAL: Duration = Duration::from_millis(40);

/// The minimum interval at which the progress of a call is handed on. Each time costs a durable session a commit.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// How much output of a longer call is read at a time: the capacity of a pipe.
pub const PIPE_CHUNK_BYTES: usize = 1 << 16;

/// How long to wait for the end of a worker before its keeper is told to enforce it. The guard does so in half of this
/// time.
pub const END_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a keeper may take to kill a worker before the keeper itself is killed.
pub const KILL_TIMEOUT: Duration = Duration::from_secs(6);

/// How long a thread that runs queued calls stays idle before it ends.
pub const QUEUE_THREAD_IDLE_MAX: Duration = Duration::from_secs(5);

/// The maximum capacity that a worker's message buffer keeps between calls.
pub const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// How long the error of a call is held back after its process was ended from outside. A service manager that ends all
/// processes may end this one next; then the call should be made again instead of being recorded as failed.
pub const KILLED_WAIT: Duration = Duration::from_millis(300);

/// How long an interpreter may take to check the functions that a program imports. Usually some ten milliseconds, but
/// more on a busy machine.
pub const CHECK_TIME_MAX: Duration = Duration::from_secs(120);
