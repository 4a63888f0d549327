//! Threads that need a place of a limit, or a start of a rate.

use hark_machine::{Take, Value};

use super::waits::duration_of;
use super::{Next, Worker};
use crate::history::Event;
use crate::id::ThreadId;
use crate::record::{Live, State, Status};
use crate::step::{Ending, Loaded};
use crate::storage::StorageError;
use crate::throttle::{Gate, GateKind, HeldPlace, Look, Priority, Request, Token};

impl Worker<'_> {
    /// A thread asks for a place or a start. A place that it already has is enough.
    pub(super) fn take(&mut self, take: Take, asking: ThreadId, live: &mut Live) -> Next {
        if take.per.is_none() && live.places.iter().any(|place| place.name == take.name) {
            return self.resume(live, Value::Boolean(false));
        }
        let State::Present(thread) = &live.state else { return Next::End(Ending::Stays) };
        let priority = thread.priority(self.session.program()).unwrap_or(0);
        let depth = thread.depth() as u64;
        let number = live.places.next_request();
        let deadline = take.seconds.map(|seconds| self.session.steady_now().after(duration_of(seconds)));
        self.arm(live, asking, deadline);
        let (gate, bound) = Gate::of(take);
        let request = Request { gate, bound, priority, number, depth, until: None, deadline };
        Next::End(Ending::Queues(Box::new(request)))
    }

    /// A thread that was left in a queue.
    pub(super) fn look_in_queue(&mut self, loaded: &Loaded, live: &mut Live) -> Result<Next, StorageError> {
        let Status::Queued(request) = &live.status else { return Ok(Next::End(Ending::Stays)) };
        let request = request.clone();
        let now = self.session.steady_now();
        let is_late = request.deadline.is_some_and(|deadline| deadline <= now);
        if !is_late && request.until.is_some_and(|until| now < until) {
            return Ok(Next::End(Ending::Stays));
        }
        let look = self.session.look_at_gate(loaded.thread, &request, Priority::Of(request.priority))?;
        let from = match look {
            Look::Held(from) if !is_late || request.gate.kind == GateKind::Limit || from <= now => from,
            // Its entry in the queue is removed after its step.
            _ if is_late => {
                self.disarm(live);
                self.log(loaded.thread, Event::Resumed);
                return Ok(self.resume(live, Value::Null));
            }
            _ if request.until.is_some() => {
                return Ok(Next::End(Ending::Queues(Box::new(Request { until: None, ..*request }))));
            }
            _ => {
                return Ok(match self.session.deadlock_of(loaded.thread)? {
                    Some(error) => {
                        self.disarm(live);
                        live.status = Status::Runnable;
                        self.fail(live, error)
                    }
                    None => Next::End(Ending::Stays),
                });
            }
        };
        match request.gate.kind {
            GateKind::Rate if now < from => {
                return Ok(Next::End(Ending::Queues(Box::new(Request { until: Some(from), ..*request }))));
            }
            // Its start is forgotten once this is written.
            GateKind::Rate => {}
            GateKind::Limit => {
                let Request { gate, bound, number, depth, .. } = *request;
                live.places.push(HeldPlace { name: gate.name, count: bound.count, number, depth, lender: None });
            }
        }
        self.disarm(live);
        self.log(loaded.thread, Event::Resumed);
        Ok(self.resume(live, Value::Boolean(true)))
    }

    /// Whether a thread still has its places. If a place was taken away because nobody served the session, the thread
    /// gets it back before all other threads.
    pub(super) fn has_places(&self, thread: ThreadId, live: &Live) -> Result<bool, StorageError> {
        for place in live.places.iter() {
            let holder = place.lender.unwrap_or(thread);
            if self.session.is_held(holder, &place.request())? {
                continue;
            }
            let look = self.session.look_at_gate(holder, &place.request(), Priority::Front)?;
            if !self.session.holds(holder, &place.token())? {
                // The holder no longer needs the place: the caller of this attempt no longer waits for it, or this
                // thread has continued since it was loaded here, because its session was given up and taken over in the
                // meantime. Nobody else would release the place that was just taken in its name.
                self.session.leave_gate(holder, &place.token())?;
            } else if !matches!(look, Look::Held(_)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where threads are leased, another process may have released the place that this one has just taken for an
    /// earlier state of the same thread: then it is released here as well.
    pub(super) fn leave_if_overtaken(&self, loaded: &Loaded) -> Result<(), StorageError> {
        for token in loaded.tokens.iter().filter(|_| self.session.is_leased()) {
            self.leave_unless_held(loaded.thread, token)?;
        }
        Ok(())
    }

    /// The same for one request.
    pub(super) fn leave_unless_held(&self, thread: ThreadId, token: &Token) -> Result<(), StorageError> {
        if self.session.is_leased() && !self.session.holds(thread, token)? {
            self.session.leave_gate(thread, token)?;
        }
        Ok(())
    }

    /// Notes the places that a thread releases with a step that ends in this way.
    pub(super) fn note_given_back(loaded: &mut Loaded, live: &Live, ending: &Ending) {
        if loaded.tokens.is_empty() {
            return;
        }
        let left = if matches!(ending, Ending::Finished(_) | Ending::Failed(_)) { Vec::new() } else { live.tokens() };
        loaded.given_back = loaded.tokens.iter().filter(|token| !left.contains(token)).cloned().collect();
    }

    /// Whether other threads may wait for the places that a thread has released in its step.
    pub(super) fn gives_back(loaded: &Loaded, live: &Live) -> bool {
        !loaded.tokens.is_empty() && {
            let left = live.tokens();
            loaded.tokens.iter().any(|token| !left.contains(token))
        }
    }
}
