//! Reads the agenda: threads whose time has come, and threads with mailbox entries.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::{Serving, lock};
use crate::id::{SessionId, Stamp, ThreadId};
use crate::limits::NEWS_WAIT_MAX;
use crate::servers::Woken;
use crate::session::Session;
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

/// The versions of mailboxes whose threads have hints. Valid only while the session that has these hints is in memory.
pub(super) struct Hinted {
    by: Weak<Session>,
    mailboxes: HashMap<ThreadId, Stamp>,
}

impl Serving {
    /// The current time, or the time of the last look if the clock was set back since.
    pub fn seen(&self) -> Timestamp {
        self.steady_now().max(self.timetable.seen())
    }

    /// Runs the threads that became due since the last look. Returns when the next one is due.
    pub fn look_at_times(&self) -> Result<Timestamp, StorageError> {
        let now = self.steady_now();
        let after = self.timetable.begin_look(now);
        let agenda = match self.servers().and_then(|servers| servers.due(after, now, now.after(NEWS_WAIT_MAX))) {
            Ok(agenda) => agenda,
            Err(error) => {
                self.timetable.look_again(after);
                return Err(error);
            }
        };
        if agenda.now.is_empty() && agenda.next.is_none() && self.has_no_timers(now)? {
            self.ports.surroundings.follow_clock();
        }
        for (session, threads) in by_session(agenda.now) {
            if let Err(error) = self.wake(&session, &threads, &[]) {
                if matches!(error, StorageError::Transient(_)) {
                    self.timetable.look_again(after);
                }
                self.fail(&session, error);
            }
        }
        Ok(self.timetable.end_look(agenda.next))
    }

    /// Whether no session is in memory, and no thread continues at a later time.
    fn has_no_timers(&self, now: Timestamp) -> Result<bool, StorageError> {
        let last = Timestamp(u64::MAX);
        Ok(self.sessions.is_empty() && self.servers()?.due(now, now, last)?.next.is_none())
    }

    /// Runs the threads that were woken and have no hints yet. A thread woken by this server has a hint, but gets
    /// another one when its mailbox is first seen.
    pub fn look_at_mailboxes(&self) -> Result<(), StorageError> {
        let woken = self.servers()?.woken()?;
        let before = std::mem::take(&mut *lock(&self.mailboxes));
        let woken = woken.into_iter().map(|Woken { session, thread, stamp }| (session, (thread, stamp)));
        for (id, full) in by_session(woken) {
            let open = self.open_session(&id).filter(|session| !session.is_over());
            let hinted = before.get(&id).filter(|hinted| open.as_ref().is_some_and(|open| hinted.is_by(open)));
            let is_new = |(thread, stamp): &&(ThreadId, Stamp)| {
                hinted.is_none_or(|hinted| hinted.mailboxes.get(thread) != Some(stamp))
            };
            let new: Vec<ThreadId> = full.iter().filter(is_new).map(|(thread, _)| *thread).collect();
            if let Some(open) = &open {
                open.records().note_woken(&new);
            }
            let session = if new.is_empty() { Ok(open) } else { self.wake(&id, &new, &[]) };
            match session {
                Ok(Some(session)) => {
                    let hinted = Hinted { by: Arc::downgrade(&session), mailboxes: full.into_iter().collect() };
                    lock(&self.mailboxes).insert(id, hinted);
                }
                Ok(None) => {}
                Err(error) => self.fail(&id, error),
            }
        }
        Ok(())
    }
}

impl Hinted {
    fn is_by(&self, session: &Arc<Session>) -> bool {
        std::ptr::eq(self.by.as_ptr(), Arc::as_ptr(session))
    }
}

/// Groups a list that is sorted by session.
pub(super) fn by_session<T>(all: impl IntoIterator<Item = (SessionId, T)>) -> Vec<(SessionId, Vec<T>)> {
    let mut grouped: Vec<(SessionId, Vec<T>)> = Vec::new();
    for (session, each) in all {
        match grouped.last_mut() {
            Some((last, group)) if *last == session => group.push(each),
            _ => grouped.push((session, vec![each])),
        }
    }
    grouped
}
