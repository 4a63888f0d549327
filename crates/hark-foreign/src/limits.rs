//! The limits of calls into Python. Each is tested or stated in the guide.

use std::time::Duration;

/// The most bytes of one message, so of a call's arguments or its result.
pub const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// The most bytes of a call's message that goes through a worker's inbox, as the worker reads it; larger ones go over its
/// connection.
pub const INBOX_MESSAGE_BYTES_MAX: usize = 1 << 14;

/// How large the arguments may be of a call that is sent ahead, so that its message certainly goes through the inbox.
pub const AHEAD_BYTES_MAX: u64 = 1 << 12;

/// How many calls are sent ahead to a worker at most. They are few, as each waits for those before it.
pub const CALLS_AHEAD_MAX: usize = 16;

/// How long the calls before may take of a worker to which some are sent ahead.
pub const SHORT_CALL_TIME: Duration = Duration::from_millis(2);

/// How long an interpreter may take until it answers, unless the pool is told another time. On a machine that does much
/// else, or from a disk that is far away, it takes many times what is usual.
pub const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a worker's start may keep others from starting when there are as many as cores. A start is work for a core, and
/// two that share one are both ready late; but one that waits for a disk should not hold up the rest.
pub const START_TURN: Duration = Duration::from_millis(150);

/// How many descriptors of this process a worker needs while it starts.
pub const FILES_OF_WORKER: usize = 8;

/// How many descriptors others in this process may need: the storage, signals, standard input and output.
pub const FILES_OF_OTHERS: usize = 40;

/// How long a shortage of processes, descriptors or memory may last where no worker runs, until the call is given up.
pub const SHORTAGE_TIME_MAX: Duration = Duration::from_secs(2);

/// How long a call waits for a worker that comes back, until it tries once more to start one.
pub const SHORTAGE_WAIT: Duration = Duration::from_millis(200);

/// How long a call may run until its output is read while it runs.
pub const SILENT_TIME_MAX: Duration = Duration::from_millis(10);

/// How long a worker that has answered is taken to be alive.
pub const TRUSTED_TIME: Duration = Duration::from_millis(5);

/// How often a longer call's output is handed on.
pub const OUTPUT_INTERVAL: Duration = Duration::from_millis(40);

/// How often it is handed on at most how far a longer call says that it is. Each time costs a kept session a commit.
pub const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// How much of a longer call's output is read at a time: what a pipe holds.
pub const PIPE_CHUNK_BYTES: usize = 1 << 16;

/// How long a worker's end is waited for, which its guard sees to in half of that, before the keeper is told to see to it.
pub const END_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a keeper has to have a worker killed before it is killed itself.
pub const KILL_TIMEOUT: Duration = Duration::from_secs(6);

/// How long a thread that runs queued calls stays when there are none.
pub const QUEUE_THREAD_IDLE_MAX: Duration = Duration::from_secs(5);

/// What a worker's buffer for messages may keep between calls.
pub const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// How long the error of a call is held back whose process was ended from outside. Whoever ends everything, as a service
/// manager does, may come to this process next, and then the call is to be made again, not to have failed.
pub const KILLED_WAIT: Duration = Duration::from_millis(300);

/// How long an interpreter may take to look at the functions that a program imports: some ten milliseconds, unless the
/// machine does much else.
pub const CHECK_TIME_MAX: Duration = Duration::from_secs(120);
