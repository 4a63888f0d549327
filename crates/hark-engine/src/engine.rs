//! The engine: runs sessions on the given ports.

mod keyed;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hark_machine::{Program, Thread, Value, function_name, short_text};
use sha2::{Digest, Sha256};

use crate::assignment::{Assignment, AssignmentEnd};
use crate::deadline::Deadline;
use crate::dispatch::Hint;
use crate::id::{SessionId, ThreadId};
use crate::invoker::Runner;
use crate::journal::Journal;
use crate::labels::Labels;
use crate::limits::SHOWN_ARGUMENT_MAX;
use crate::options::{Options, Scope};
use crate::output::{Observer, OutputItem};
use crate::ports::Ports;
use crate::record::{About, Record};
use crate::remote::Upstream;
use crate::report::{Report, Status};
use crate::server::Server;
use crate::servers::Claimed;
use crate::serving::{Recovered, Serving, Waiter};
use crate::session::{Neighbors, OnEnd, Parts, Session};
use crate::step;
use crate::storage::{Range, StorageError};
use crate::surroundings::Timestamp;
use crate::sweeper::Sweeper;

/// A session to start.
#[derive(Clone)]
pub struct Start {
    /// Its program.
    pub program: Arc<Program>,
    /// The function called by its first thread.
    pub callee: Value,
    /// The arguments of that function.
    pub arguments: Vec<Value>,
    /// Its key and tags.
    pub labels: Labels,
}

impl Start {
    /// A session without labels.
    pub fn new(program: Arc<Program>, callee: Value, arguments: Vec<Value>) -> Start {
        Start { program, callee, arguments, labels: Labels::default() }
    }

    /// The description of the session.
    pub fn about(&self, started: Timestamp) -> About {
        let executable = self.program.executable();
        About {
            program: self.program.hash().to_string(),
            file: executable.sources.main_path().to_owned(),
            function: function_name(&self.callee, executable).to_owned(),
            arguments: self
                .arguments
                .iter()
                .map(|argument| short_text(argument, executable, SHOWN_ARGUMENT_MAX))
                .collect(),
            started,
            labels: self.labels.clone(),
            arguments_hash: self.labels.key.is_some().then(|| self.arguments_hash()),
            code: None,
        }
    }

    fn arguments_hash(&self) -> String {
        let whole = |argument| short_text(argument, self.program.executable(), usize::MAX);
        let text = self.arguments.iter().map(whole).collect::<Vec<_>>().join(", ");
        format!("{:x}", Sha256::digest(text))
    }
}

/// Runs sessions.
pub struct Engine {
    options: Options,
    ports: Ports,
    serving: Option<Arc<Serving>>,
    cancelling: Arc<Cancelling>,
    /// The sessions in memory that use limits.
    neighbors: Arc<Neighbors>,
}

/// Cancels the sessions of an engine, from any OS thread.
#[derive(Clone)]
pub struct CancelHandle {
    cancelling: Arc<Cancelling>,
    serving: Option<Arc<Serving>>,
}

#[derive(Default)]
struct Cancelling {
    requested: AtomicBool,
    sessions: Mutex<Vec<Weak<Session>>>,
}

impl Engine {
    /// An engine with these ports.
    pub fn new(options: Options, ports: Ports) -> Engine {
        let is_durable = ports.storage.catalog().is_some();
        let serving = is_durable.then(|| Serving::new(options.clone(), ports.clone(), None));
        Engine { options, ports, serving, cancelling: Arc::default(), neighbors: Arc::default() }
    }

    /// An engine that runs threads for a supervisor in another process.
    pub fn for_supervisor(options: Options, ports: Ports, upstream: Arc<dyn Upstream>) -> Engine {
        let serving = Some(Serving::new(options.clone(), ports.clone(), Some(upstream)));
        Engine { options, ports, serving, cancelling: Arc::default(), neighbors: Arc::default() }
    }

    /// An engine that runs threads handed over by other processes, and leaves all threads that these start or wake to
    /// others: for a process started for a single thread. The storage must lease threads, and the invoker must run them
    /// in this process.
    pub fn for_assigned(options: Options, ports: Ports) -> Engine {
        let serving = Some(Serving::of_assigned(options.clone(), ports.clone()));
        Engine { options, ports, serving, cancelling: Arc::default(), neighbors: Arc::default() }
    }

    /// Runs threads handed over by another process, and some of those that they start or wake, until all of them wait or
    /// have stopped and their calls have ended. Meanwhile [`attend`](Engine::attend) must be running, to renew the
    /// leases, to stop the calls of threads that are cancelled, and to leave calls that wait for long to others.
    ///
    /// # Errors
    /// If the storage fails, or does not store sessions. Then the threads continue elsewhere when their leases
    /// have expired.
    pub fn run_assigned(&self, assignments: &[Assignment]) -> Result<AssignmentEnd, StorageError> {
        let serving = self.serving()?;
        serving.forget_assignment_end();
        let done = serving.run_assigned(assignments);
        self.serve_to_rest(done).map(|()| serving.assignment_end())
    }

    /// Runs the threads that have begun, and the due ones among those that were assigned without being held, until no
    /// session is left in memory.
    fn serve_to_rest<T>(&self, begun: Result<T, StorageError>) -> Result<T, StorageError> {
        let (serving, mut done) = (self.serving()?, begun);
        loop {
            self.ports.invoker.serve(serving.rest());
            match serving.take_unheld() {
                Ok(true) => {}
                Ok(false) => return done,
                // The threads of other sessions may have begun.
                Err(error) => done = done.and(Err(error)),
            }
        }
    }

    /// Sets the time at which this process is stopped. Shortly before, threads that compute are handed on, and calls in
    /// flight fail.
    pub fn set_deadline(&self, deadline: Option<Deadline>) {
        if let Some(serving) = &self.serving {
            serving.set_deadline(deadline);
        }
    }

    /// The recovery, for a process that is started now and then where each hint starts a process: takes the due
    /// threads, such as those of lost processes, and hands them over; dispatches hints for the timers that expire
    /// before `horizon`; completes the work that lost processes have left unfinished.
    ///
    /// # Errors
    /// If the storage fails, or does not lease threads.
    pub fn recover(&self, horizon: Timestamp) -> Result<Recovered, StorageError> {
        // Completing unfinished work may leave threads to run here.
        self.serve_to_rest(self.serving()?.recover(horizon))
    }

    /// Runs threads of a session for the supervisor. The worker of the `lost` ones has ended.
    ///
    /// # Errors
    /// If the storage fails, or does not store sessions.
    pub fn run_threads(
        &self,
        session: &SessionId,
        threads: &[ThreadId],
        lost: &[ThreadId],
    ) -> Result<(), StorageError> {
        self.serving()?.wake(session, threads, lost).map(drop)
    }

    /// The number of hints and calls in flight that this engine counts.
    #[cfg(feature = "simulator")]
    pub(crate) fn in_hand(&self) -> usize {
        self.serving.as_ref().map_or(0, |serving| serving.in_hand())
    }

    /// The supervisor needs a session no more.
    pub fn forget(&self, session: &SessionId) {
        if let Some(serving) = &self.serving {
            serving.forget(session);
        }
    }

    /// A handle that stops the sessions of this engine, both running and future ones. In memory they are cancelled; in
    /// a durable storage they remain unfinished.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle { cancelling: self.cancelling.clone(), serving: self.serving.clone() }
    }

    /// Runs a session to its end. The calling OS thread works on it, alone while there is only one thread to run.
    pub fn run(&self, start: Start, observer: Arc<dyn Observer>) -> Report {
        self.run_announced(start, observer, |_| {})
    }

    /// Like `run`; `begun` is called with the session's id before anything of it runs, and after it is written if it is
    /// durable.
    pub fn run_announced(&self, start: Start, observer: Arc<dyn Observer>, begun: impl FnOnce(&SessionId)) -> Report {
        let newborn = self.newborn();
        match self.begin_announced(&newborn, start, observer) {
            Ok(session) => {
                begun(&newborn.id);
                self.finish(&session)
            }
            Err(error) => unstarted(&newborn.id, &error),
        }
    }

    fn begin_announced(
        &self,
        newborn: &Newborn,
        start: Start,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Session>, StorageError> {
        let session = self.begin(newborn, start, observer, None)?;
        session.follow_output();
        if let Some(serving) = self.serving.as_ref().filter(|_| session.is_leased()) {
            serving.announce_started();
        }
        if let Err(error) = session.write_start(session.serves_first()) {
            // It was registered as served.
            session.interrupt();
            return Err(error);
        }
        Ok(session)
    }

    /// Starts a session and returns at once; a worker calls `on_end` with its report. [`serve`](crate::Invoker::serve)
    /// must be running.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn submit(
        &self,
        start: Start,
        on_end: impl FnOnce(Report) + Send + 'static,
    ) -> Result<SessionId, StorageError> {
        let newborn = self.newborn();
        let cancelling = self.cancelling.clone();
        let on_end: OnEnd = Box::new(move |session| {
            cancelling.leave(session);
            on_end(session.report());
        });
        let session = self.begin(&newborn, start, Arc::new(|_: &[OutputItem]| {}), Some(on_end))?;
        session.add_work(1);
        session.invoke(&[step::FIRST]);
        Ok(newborn.id)
    }

    /// Stores a session for other processes to run.
    ///
    /// # Errors
    /// If the storage fails, or does not store sessions.
    pub fn leave_to_others(&self, start: Start) -> Result<SessionId, StorageError> {
        let newborn = self.newborn();
        self.leave_newborn(&newborn, start)?;
        Ok(newborn.id)
    }

    fn leave_newborn(&self, newborn: &Newborn, start: Start) -> Result<(), StorageError> {
        let hint = self.write_newborn(newborn, start)?;
        // The session now exists; release and announce it, so that a process takes it.
        let serving = self.serving()?;
        serving.release(&newborn.id)?;
        serving.catalog()?.dispatch(&newborn.id, &[hint]);
        Ok(())
    }

    /// Stores a session. Returns a hint for its first thread.
    fn write_newborn(&self, newborn: &Newborn, start: Start) -> Result<Hint, StorageError> {
        // The session is not registered as served by this engine, because others may take it as soon as it is released.
        let session = self.make(newborn, start, Arc::new(|_: &[OutputItem]| {}), None)?;
        let hint = Hint { place: session.first_place(), ..Hint::now(step::FIRST) };
        // A process that is started for the first thread gets the thread's lease with the hint.
        let hands_over = session.started_pools().is_some_and(|pools| pools.serve(&hint.place));
        session.write_start(hands_over)?;
        let (held, left) = session.in_hand.hand_over(step::FIRST);
        Ok(Hint { held, left, ..hint })
    }

    /// Takes sessions that are not being served, or only this one, and continues them. Returns their ids. `on_end` gets
    /// the report of each, including those that cannot continue because they are damaged.
    ///
    /// # Errors
    /// If the storage fails, or does not store sessions.
    pub fn resume(
        &self,
        only: Option<&SessionId>,
        observer: &Arc<dyn Observer>,
        on_end: &Arc<dyn Fn(Report) + Send + Sync>,
    ) -> Result<Vec<SessionId>, StorageError> {
        let serving = self.serving()?;
        let waiter = Waiter { observer: observer.clone(), on_end: on_end.clone() };
        if serving.lease().is_some() {
            // Their threads are taken like all due threads.
            let unfinished = serving.unfinished(only)?;
            serving.wait_for(unfinished.iter().cloned(), &waiter);
            return Ok(unfinished);
        }
        let claimed = serving.servers()?.claim(only)?;
        let mut resumed: Vec<SessionId> = claimed.iter().map(|claimed| claimed.session.clone()).collect();
        serving.wait_for(resumed.iter().cloned(), &waiter);
        let mut gone = HashSet::new();
        // The other sessions are opened when they are woken or due.
        for Claimed { session: id, was_lost } in serving.servers()?.active(&claimed, serving.seen())? {
            if self.cancelling.requested.load(Ordering::SeqCst) {
                break;
            }
            match serving.take(&id) {
                Ok(None) => {
                    serving.stop_waiting_for(&id);
                    gone.insert(id);
                }
                Ok(Some(session)) => {
                    if let Err(error) = serving.take_up(&session, was_lost) {
                        session.fail_storage(&error);
                    }
                }
                Err(error) => serving.fail(&id, error),
            }
        }
        resumed.retain(|id| !gone.contains(id));
        Ok(resumed)
    }

    /// Sweeps sessions until stopped: continues those that are due or were woken from outside. `on_failure` is called
    /// for sessions that the storage does not let continue and that have no waiting caller.
    ///
    /// # Errors
    /// If the storage as a whole fails.
    pub fn attend(
        &self,
        scope: Scope,
        stop: &AtomicBool,
        on_failure: &dyn Fn(&SessionId, &StorageError),
    ) -> Result<(), StorageError> {
        match &self.serving {
            Some(serving) => Sweeper::new(serving, scope == Scope::All, on_failure).attend(stop),
            None => Ok(()),
        }
    }

    /// Sets a journal, which logs when the served sessions begin and end.
    pub fn set_journal(&self, journal: Arc<dyn Journal>) {
        if let Some(serving) = &self.serving {
            serving.set_journal(journal);
        }
    }

    /// Releases all sessions, for other processes to take.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn release(&self) -> Result<(), StorageError> {
        self.ports.storage.tenure().release(None)
    }

    /// The live threads of a session in memory, without their states, at most `limit` of them. Empty if this engine does not run
    /// the session. The threads of a kept session are read from its storage.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn live_threads(&self, id: &SessionId, limit: usize) -> Result<Vec<Record>, StorageError> {
        let sessions: Vec<Arc<Session>> = self.cancelling.lock().iter().filter_map(Weak::upgrade).collect();
        let session = sessions.iter().find(|session| session.id() == id);
        session.map_or(Ok(Vec::new()), |session| session.records().scan(Range::Live(step::FIRST), limit))
    }

    fn newborn(&self) -> Newborn {
        let surroundings = &self.ports.surroundings;
        let [random, drawn] = surroundings.random_pair();
        Newborn { id: SessionId::new(surroundings.now(), random), drawn }
    }

    fn serving(&self) -> Result<&Arc<Serving>, StorageError> {
        self.serving.as_ref().ok_or_else(|| StorageError::Permanent("it does not store sessions".into()))
    }

    fn begin(
        &self,
        newborn: &Newborn,
        start: Start,
        observer: Arc<dyn Observer>,
        on_end: Option<OnEnd>,
    ) -> Result<Arc<Session>, StorageError> {
        let session = self.make(newborn, start, observer, on_end)?;
        if self.ports.invoker.is_remote() || !session.serves_first() {
            session.write_start(session.serves_first())?;
        }
        match &self.serving {
            Some(serving) => serving.enter(&session),
            None => self.cancelling.enter(&session),
        }
        // Checked after the session is in a list: `cancel` sets the flag before it reads the lists.
        if self.cancelling.requested.load(Ordering::SeqCst) {
            session.interrupt();
        }
        Ok(session)
    }

    fn make(
        &self,
        newborn: &Newborn,
        start: Start,
        observer: Arc<dyn Observer>,
        on_end: Option<OnEnd>,
    ) -> Result<Arc<Session>, StorageError> {
        let about = match &self.serving {
            Some(serving) => {
                let about = About { code: self.options.code.clone(), ..start.about(self.ports.surroundings.now()) };
                serving.keep_program(&about.program, &start.program)?;
                about
            }
            // It will not be read.
            None => About::default(),
        };
        let about = Arc::new(about);
        let first = Thread::new(start.callee, start.arguments);
        let records = self.ports.storage.session(&newborn.id, &start.program)?;
        let parts = Parts {
            id: newborn.id.clone(),
            drawn: newborn.drawn,
            about,
            program: start.program,
            options: self.options.clone(),
            ports: self.ports.clone(),
            records,
            observer,
            server: self.serving.clone().map(|serving| serving as Arc<dyn Server>),
            neighbors: self.serving.is_none().then(|| self.neighbors.clone()),
            on_end,
        };
        let session = Session::new(parts, first)?;
        match &self.serving {
            // Announced before the session is written, so that no session runs with outdated limits.
            Some(_) => session.announce_bounds()?,
            None if session.has_gates() => self.neighbors.enter(&session),
            None => {}
        }
        Ok(session)
    }

    fn finish(&self, session: &Arc<Session>) -> Report {
        let runner: Arc<dyn Runner> = session.clone();
        session.add_work(1);
        self.ports.invoker.invoke(&runner, &[step::FIRST]);
        self.ports.invoker.serve(session.over());
        self.ports.invoker.forget(&runner);
        self.cancelling.leave(session);
        // On an error, `hark stdout` can still show the output.
        let _ = session.show_history();
        session.report()
    }
}

/// The id of a session that has not begun.
struct Newborn {
    id: SessionId,
    /// A random number for its stamps, drawn together with that of its id, which is free.
    drawn: u64,
}

impl CancelHandle {
    /// Stops the threads at the end of their turns, so that [`Engine::run`] returns.
    pub fn cancel(&self) {
        self.cancelling.requested.store(true, Ordering::SeqCst);
        // Collected first, because a session whose end is noticed leaves the list.
        let sessions: Vec<Arc<Session>> = self.cancelling.lock().iter().filter_map(Weak::upgrade).collect();
        sessions.iter().for_each(|session| session.interrupt());
        if let Some(serving) = &self.serving {
            serving.interrupt();
        }
    }
}

impl Cancelling {
    fn enter(&self, session: &Arc<Session>) {
        self.lock().push(Arc::downgrade(session));
    }

    fn leave(&self, session: &Session) {
        self.lock().retain(|known| !std::ptr::eq(known.as_ptr(), session));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unstarted(session: &SessionId, error: &StorageError) -> Report {
    let mut report = Report::empty(session, Status::Broken);
    report.add_storage_error(error);
    report
}
