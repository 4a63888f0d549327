//! The limits of the engine. Each is tested.

use std::time::Duration;

/// How long a turn is: so many calls and repetitions, some tenths of a millisecond.
pub const TURN_FUEL: u32 = 20_000;

/// How much a thread may run after a `await` that was answered within its turn, and how many of these a turn may have.
/// Together they bound a turn's length without any measuring of what was used.
pub const RESUMED_FUEL: u32 = 1_000;
/// See [`RESUMED_FUEL`].
pub const AWAITS_PER_TURN_MAX: u32 = 1_000;

/// How many instructions a turn has where a thread is suspended between instructions.
pub const TURN_INSTRUCTIONS: u64 = 2_000;

/// The most waiters that a Future's own record holds; those that come later have records of their own.
pub const WAITERS_INLINE_MAX: usize = 16;

/// The most threads that one commit wakes, so that it stays under 32 records.
pub const WAKES_PER_COMMIT_MAX: usize = 12;

/// The most frames of a trace that runs through threads; what lies in its middle is counted.
pub const TRACE_FRAMES_MAX: usize = 80;

/// The most threads that a deadlock's error lists.
pub const DEADLOCK_THREADS_MAX: usize = 10;

/// The longest sleep, some 30,000 years: `sleep(1e300)` is for ever, but its end is still a time.
pub const SLEEP_MAX: Duration = Duration::from_secs(1 << 40);
