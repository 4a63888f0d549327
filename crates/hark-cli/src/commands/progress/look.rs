//! What the threads of sessions are doing at one moment, and since when they have waited.

use std::collections::HashMap;
use std::sync::Arc;

use hark_backends::System;
use hark_engine::{
    Awaiting, Engine, Event, FutureId, HistoryReader, Live, LogEntry, Record, SessionId, SessionStorage, StorageError,
    Surroundings, ThreadId, ThreadStatus, Timestamp, WorkerKind, storage::Range,
};
use hark_machine::Until;

/// At most this many threads of a session are counted.
const THREADS_MAX: usize = 10_000;

/// At most this many sessions are watched.
pub const SESSIONS_MAX: usize = 100;

/// At most this many pages of a history are read to find out when waits began.
const PAGES_MAX: usize = 100;

/// The state of the watched sessions.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How many sessions have live threads.
    pub sessions: usize,
    pub threads: usize,
    /// Whether the numbers are lower bounds.
    pub is_more: bool,
    /// Python calls in flight.
    pub calls: usize,
    /// The oldest wait. Waits for promises and limits come before waits for other threads.
    pub wait: Option<Wait>,
    /// When the first sleeping thread wakes.
    pub wakes: Option<Timestamp>,
    pub now: Timestamp,
}

/// A waiting thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Whether it waits for another thread, rather than for the outside world.
    pub for_thread: bool,
    pub since: Timestamp,
    pub thread: ThreadId,
    pub what: String,
}

/// Where the threads of a session are read.
enum Source {
    /// From the engine that runs a session in memory.
    Memory(Arc<Engine>, SessionId),
    Kept(Arc<dyn SessionStorage>),
}

impl Source {
    fn live(&self) -> Result<Vec<Record>, StorageError> {
        match self {
            Source::Memory(engine, id) => engine.live_threads(id, THREADS_MAX),
            Source::Kept(records) => records.scan(Range::Live(ThreadId(0)), THREADS_MAX),
        }
    }
}

/// The watched sessions.
pub struct Watched {
    sources: Vec<Source>,
    /// Whether functions of AWS Lambda run them, and not workers.
    are_run_by_functions: bool,
    is_more: bool,
    /// What each waiting thread waits for, and since when.
    since: HashMap<(usize, ThreadId), (String, Timestamp)>,
    /// When waits began according to the histories, for the first update.
    before: HashMap<(usize, ThreadId), Timestamp>,
    /// The time of the previous update. A wait that is new began after it.
    looked: Timestamp,
}

impl Watched {
    /// A session in memory.
    pub fn in_memory(engine: Arc<Engine>, id: SessionId) -> Watched {
        Watched::new(vec![Source::Memory(engine, id)], false)
    }

    /// Kept sessions, out of `all` that there are.
    pub fn kept(records: Vec<Arc<dyn SessionStorage>>, all: usize) -> Watched {
        let mut watched = Watched::new(Vec::new(), all > records.len());
        for (index, records) in records.into_iter().enumerate() {
            // A wait that began in an earlier process counts from its real start, if that can be read.
            let _ = read_waits(&*records, |thread, since| {
                watched.before.insert((index, thread), since);
            });
            watched.sources.push(Source::Kept(records));
        }
        watched
    }

    fn new(sources: Vec<Source>, is_more: bool) -> Watched {
        Watched {
            sources,
            are_run_by_functions: false,
            is_more,
            since: HashMap::new(),
            before: HashMap::new(),
            looked: System.now(),
        }
    }

    /// The same, of sessions that functions of AWS Lambda run.
    #[cfg(feature = "lambda")]
    #[must_use]
    pub fn run_by_functions(self) -> Watched {
        Watched { are_run_by_functions: true, ..self }
    }

    /// Reads the state. None if the storage fails.
    pub fn look(&mut self) -> Option<Facts> {
        let now = System.now();
        let mut facts = Facts { is_more: self.is_more, now, ..Facts::default() };
        let mut since = HashMap::new();
        for (index, source) in self.sources.iter().enumerate() {
            let live = source.live().ok()?;
            facts.sessions += usize::from(!live.is_empty());
            facts.threads += live.len();
            facts.is_more |= live.len() == THREADS_MAX;
            for record in live {
                let Record::Live(thread, live) = record else { continue };
                match &live.status {
                    ThreadStatus::Runnable => {}
                    ThreadStatus::Calling(_) if !live.waits_for_pool => facts.calls += 1,
                    ThreadStatus::Sleeping(until) => {
                        facts.wakes = Some(facts.wakes.map_or(*until, |wakes| wakes.min(*until)));
                    }
                    _ => {
                        let (what, for_thread) = waited_for(&live, self.are_run_by_functions);
                        let key = (index, thread);
                        let time = match self.since.remove(&key) {
                            Some((before, time)) if before == what => time,
                            _ => self.before.remove(&key).unwrap_or(self.looked),
                        };
                        let wait = Wait { for_thread, since: time, thread, what };
                        since.insert(key, (wait.what.clone(), time));
                        let is_older = |known: &Wait| {
                            (wait.for_thread, wait.since, wait.thread) < (known.for_thread, known.since, known.thread)
                        };
                        if facts.wait.as_ref().is_none_or(is_older) {
                            facts.wait = Some(wait);
                        }
                    }
                }
            }
        }
        self.since = since;
        self.before.clear();
        self.looked = now;
        Some(facts)
    }
}

/// What a thread waits for, and whether that is another thread.
fn waited_for(live: &Live, are_functions: bool) -> (String, bool) {
    let of_future = |future: FutureId| (future.to_string(), matches!(future, FutureId::Thread(_)));
    match &live.status {
        ThreadStatus::Waiting(awaited) | ThreadStatus::Following(awaited) => of_future(awaited.into()),
        ThreadStatus::Awaiting(awaiting) => {
            let Awaiting { futures, count, until, .. } = &**awaiting;
            let is_thread = |future| matches!(FutureId::from(future), FutureId::Thread(_));
            let for_threads = futures.iter().all(is_thread);
            let quantity = if *until == Until::All { "all" } else { "any" };
            // Thread numbers say little, unlike the names of promises.
            let is_short = for_threads && *count > 1;
            (if is_short { format!("{quantity} of {count} threads") } else { awaiting.to_string() }, for_threads)
        }
        ThreadStatus::Queued(request) => (request.gate.to_string(), false),
        ThreadStatus::Calling(_) => (WorkerKind::of(&live.demand.place, are_functions).to_string(), false),
        ThreadStatus::Runnable | ThreadStatus::Sleeping(_) => (String::new(), true),
    }
}

/// Calls `note` with the start of each wait; the last call for a thread is its latest wait.
fn read_waits(records: &dyn SessionStorage, mut note: impl FnMut(ThreadId, Timestamp)) -> Result<(), StorageError> {
    let mut history = HistoryReader::new(records);
    for _ in 0..PAGES_MAX {
        let Some(page) = history.page()? else { return Ok(()) };
        for LogEntry { time, thread, event } in page {
            if matches!(
                event,
                Event::Waited { .. }
                    | Event::Awaited { .. }
                    | Event::Followed { .. }
                    | Event::Queued { .. }
                    | Event::QueuedInPool { .. }
            ) {
                note(thread, time);
            }
        }
    }
    Ok(())
}
