//! Loads a thread at the beginning of its turn.

use super::{Pace, Worker};
use crate::commit::Outcome;
use crate::id::ThreadId;
use crate::record::{Key, Live, Record, SessionState, Status, Versioned};
use crate::step::{self, CancelledPromise, First, Known, Loaded};
use crate::storage::StorageError;

/// A thread during its turn.
type InTurn = (Box<Loaded>, Box<Live>);

impl Worker<'_> {
    /// Reads the records with which a step begins. If another worker has the thread, puts a mailbox entry that tells it
    /// to look again.
    pub(super) fn load(&mut self, thread: ThreadId) -> Result<Option<InTurn>, StorageError> {
        let found = self.read_thread(thread)?;
        if !matches!(&found, Some((_, live)) if live.is_away()) {
            return Ok(found);
        }
        // That worker may already have looked for the reason of this hint. The entry makes its commit conflict, so that
        // it looks again.
        self.commit.put.push(Record::Ready(thread, self.session.demands.of(thread)));
        while self.session.records().commit(&mut self.commit)? != Outcome::Done {}
        self.commit.reset(self.stamps.next());
        // Or it has just released the thread.
        self.read_thread(thread)
    }

    /// The state of a loaded thread before anything is read.
    fn nothing_loaded(&mut self, thread: ThreadId) -> Box<Loaded> {
        let is_resumable = self.session.is_resumable();
        match self.spare.take() {
            Some(mut spare) => {
                spare.pass_to(thread, is_resumable);
                spare
            }
            None => Box::new(Loaded::nothing(thread, is_resumable)),
        }
    }

    fn read_thread(&mut self, thread: ThreadId) -> Result<Option<InTurn>, StorageError> {
        let mut loaded = self.nothing_loaded(thread);
        if thread == step::FIRST {
            let about = self.session.about().clone();
            let first = First { about, session: None, is_remembered: false, is_alone: false };
            let first = loaded.first.insert(Box::new(first));
            if let Some(live) = self.session.take_unwritten() {
                self.session.log_start(&mut self.commit);
                return Ok(Some((loaded, live)));
            }
            if let Some((version, live, record)) = self.session.new.take() {
                // If the thread is woken or the session changed meanwhile, this step's commit conflicts.
                (first.session, first.is_remembered) = (Some(record), true);
                loaded.live = Some(version);
                loaded.tokens = live.tokens();
                return Ok(Some((loaded, live)));
            }
        }
        let [live, ready, own] = self.read([Key::Live(thread), Key::Ready(thread), Key::Future(thread.into())])?;
        let Some(Versioned { stamp, record: Record::Live(_, content) }) = live else { return Ok(None) };
        loaded.live = Some(stamp);
        loaded.ready = ready.map(|ready| ready.stamp);
        loaded.own = known(own);
        self.look_cancelled(&mut loaded)?;
        loaded.tokens = content.tokens();
        if let Status::Awaiting(awaiting) = &content.status {
            loaded.awaiting = Some(awaiting.clone());
        }
        if self.is_held_back(&loaded, &content.status)? {
            // The session has ended since it was opened here. The next process to open it completes the retry first.
            self.session.set_ended(SessionState::Broken);
            return Ok(None);
        }
        if let Some(first) = &mut loaded.first
            && let Some(remembered) = self.session.remembered_record()
        {
            (first.session, first.is_remembered) = (Some(remembered), true);
            return Ok(Some((loaded, content)));
        }
        Ok(self.load_session(&mut loaded)?.then_some((loaded, content)))
    }

    /// Whether a retry has put this thread back but not yet all the others, so that the thread would meet their old
    /// errors. Only a thread that is runnable and has a mailbox entry can be in this state.
    fn is_held_back(&mut self, loaded: &Loaded, status: &Status) -> Result<bool, StorageError> {
        let may_be =
            loaded.is_resumable && loaded.ready.is_some() && matches!(status, Status::Runnable | Status::Calling(_));
        if !may_be {
            return Ok(false);
        }
        let [session] = self.read([Key::Session])?;
        Ok(matches!(session, Some(Versioned { record: Record::Session(session), .. }) if session.retrying))
    }

    /// Reads again what may have changed. Returns whether this worker still has the thread.
    pub(super) fn reload(&mut self, loaded: &mut Loaded) -> Result<bool, StorageError> {
        let thread = loaded.thread;
        let [live, ready, own] = self.read([Key::Live(thread), Key::Ready(thread), Key::Future(thread.into())])?;
        loaded.ready = ready.map(|ready| ready.stamp);
        loaded.own = known(own);
        self.look_cancelled(loaded)?;
        if let Some(cancels) = &mut loaded.cancels
            && let Some(promise) = cancels.promise.take()
        {
            let [found] = self.read([Key::Future(promise.future.clone())])?;
            let known = known(found);
            if known.as_ref().is_none_or(|known| known.record.is_pending()) {
                cancels.promise = Some(CancelledPromise { known, ..promise });
            }
        }
        if !self.load_session(loaded)? {
            return Ok(false);
        }
        if let Some(held) = &mut loaded.held {
            held.forget_pending();
        }
        for (future, mut touch) in loaded.touches.take() {
            if !touch.is_new {
                let [found] = self.read([Key::Future(future.clone())])?;
                touch.known = known(found);
            }
            if touch.known.as_ref().is_none_or(|known| known.record.is_pending()) {
                loaded.touches.insert(future, touch);
            }
        }
        let begins = |first: &First| first.session.is_none();
        Ok(match loaded.live {
            Some(stamp) => live.is_some_and(|live| live.stamp == stamp),
            // The session begins with this step, if it has not begun.
            None => loaded.first.as_deref().is_some_and(begins),
        })
    }

    /// Reads whether the thread is cancelled. A cancelled thread always has a mailbox entry.
    fn look_cancelled(&mut self, loaded: &mut Loaded) -> Result<(), StorageError> {
        if loaded.ready.is_some() && self.session.may_have_cancelled() {
            let [cancel] = self.read([Key::Cancel(loaded.thread)])?;
            loaded.is_cancelled = cancel.is_some();
        }
        Ok(())
    }

    /// Reads the version of the session's record for the first thread, whose end changes it. Returns whether the
    /// session continues: one that was cancelled must not run again.
    fn load_session(&mut self, loaded: &mut Loaded) -> Result<bool, StorageError> {
        let Some(first) = &mut loaded.first else { return Ok(true) };
        let mut found = Vec::with_capacity(1);
        self.session.records().read(&[Key::Session], &mut found)?;
        let Some(Versioned { stamp, record: Record::Session(session) }) = found.pop().flatten() else {
            if loaded.live.is_some() {
                return Err(StorageError::Gone);
            }
            first.session = None;
            return Ok(true);
        };
        let state = session.state;
        self.session.remember_record(stamp, &session);
        (first.session, first.is_remembered) = (Some((stamp, *session)), false);
        self.session.look_ended(state);
        Ok(state == SessionState::Running)
    }

    pub(super) fn read<const N: usize>(&mut self, keys: [Key; N]) -> Result<[Option<Versioned>; N], StorageError> {
        self.found.clear();
        self.session.records().read(&keys, &mut self.found)?;
        Ok(std::array::from_fn(|index| self.found.get_mut(index).and_then(Option::take)))
    }

    /// The thread has stopped, or never existed. In a storage with other writers the reason may be that the session is
    /// over.
    pub(super) fn not_live(&mut self, thread: ThreadId) -> Result<Pace, StorageError> {
        if self.session.is_resumable() {
            if self.session.is_leased() {
                self.session.in_hand.let_go(thread);
            }
            let was_woken = self.session.forget_wake(thread, &mut self.commit)?;
            let [session] = self.read([Key::Session])?;
            match session {
                Some(Versioned { record: Record::Session(session), .. }) => {
                    self.session.look_ended(session.state);
                    if was_woken && thread == step::FIRST && session.state == SessionState::Cancelled {
                        self.session.note_cancelled();
                    }
                }
                _ => return Err(StorageError::Gone),
            }
        }
        Ok(self.nothing_to_do())
    }
}

pub(super) fn known(versioned: Option<Versioned>) -> Option<Known> {
    match versioned {
        Some(Versioned { stamp, record: Record::Future(_, record) }) => Some(Known { stamp, record }),
        _ => None,
    }
}
