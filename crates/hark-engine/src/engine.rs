//! The engine: runs sessions on the ports that it is given.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hark_machine::{Error, Program, Thread, Value};

use crate::foreign::Foreign;
use crate::id::SessionId;
use crate::invoker::{Invoker, Runner};
use crate::output::Observer;
use crate::report::{Report, SessionError, Status};
use crate::session::Session;
use crate::step;
use crate::storage::{Storage, StorageError};
use crate::surroundings::Surroundings;
use crate::suspend::SuspendAt;

/// How sessions are to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where threads are suspended for no reason but to test it.
    pub suspend_at: SuspendAt,
    /// Whether reports hold what was printed. Without it a program may print any amount.
    pub keep_output: bool,
}

/// What the engine stands on.
#[derive(Clone)]
pub struct Ports {
    /// What it means to keep a value.
    pub storage: Arc<dyn Storage>,
    /// What it means to get a thread run.
    pub invoker: Arc<dyn Invoker>,
    /// How Python functions are called.
    pub foreign: Arc<dyn Foreign>,
    /// Time and chance.
    pub surroundings: Arc<dyn Surroundings>,
}

/// Runs sessions.
pub struct Engine {
    options: Options,
    ports: Ports,
    cancelling: Arc<Cancelling>,
}

/// Cancels the sessions of an engine, from any OS thread.
#[derive(Clone)]
pub struct CancelHandle {
    cancelling: Arc<Cancelling>,
}

#[derive(Default)]
struct Cancelling {
    requested: AtomicBool,
    sessions: Mutex<Vec<Weak<Session>>>,
}

impl Engine {
    /// An engine on these ports.
    pub fn new(options: Options, ports: Ports) -> Engine {
        Engine { options, ports, cancelling: Arc::default() }
    }

    /// What cancels the sessions of this engine: those that run and those that would be started later.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle { cancelling: self.cancelling.clone() }
    }

    /// Runs a session that begins with this call, until it has ended. The calling OS thread works on it, alone as long
    /// as there is only one thread to run.
    pub fn run(
        &self,
        program: Arc<Program>,
        callee: Value,
        arguments: Vec<Value>,
        observer: Arc<dyn Observer>,
    ) -> Report {
        let surroundings = &self.ports.surroundings;
        let id = SessionId::new(surroundings.now(), [surroundings.random(), surroundings.random()]);
        match self.begin(&id, program, Thread::new(callee, arguments), observer) {
            Ok(session) => self.finish(&session),
            Err(error) => unstarted(id, &error),
        }
    }

    fn begin(
        &self,
        id: &SessionId,
        program: Arc<Program>,
        first: Thread,
        observer: Arc<dyn Observer>,
    ) -> Result<Arc<Session>, StorageError> {
        let records = self.ports.storage.session(id)?;
        let session = Session::new(id.clone(), program, self.options.clone(), self.ports.clone(), records, observer);
        session.start(first)?;
        self.cancelling.enter(&session);
        Ok(session)
    }

    fn finish(&self, session: &Arc<Session>) -> Report {
        let runner: Arc<dyn Runner> = session.clone();
        self.ports.invoker.invoke(&runner, &[step::FIRST]);
        self.ports.invoker.serve(session.over());
        self.ports.invoker.forget(&runner);
        self.cancelling.leave(session);
        session.report()
    }
}

impl CancelHandle {
    /// Cancels: threads stop at the end of their turns, and [`Engine::run`] returns.
    pub fn cancel(&self) {
        self.cancelling.requested.store(true, Ordering::SeqCst);
        for session in self.cancelling.lock().iter().filter_map(Weak::upgrade) {
            session.cancel();
        }
    }
}

impl Cancelling {
    fn enter(&self, session: &Arc<Session>) {
        self.lock().push(Arc::downgrade(session));
        // Looked at after the session is in the list: whoever cancels sets it before looking there.
        if self.requested.load(Ordering::SeqCst) {
            session.cancel();
        }
    }

    fn leave(&self, session: &Arc<Session>) {
        self.lock().retain(|known| !std::ptr::eq(known.as_ptr(), Arc::as_ptr(session)));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unstarted(session: SessionId, error: &StorageError) -> Report {
    let error = SessionError { thread: step::FIRST, error: Error::new("storage", error.to_string()) };
    Report { session, status: Status::Broken, result: None, output: Vec::new(), errors: vec![error], threads: 0 }
}
