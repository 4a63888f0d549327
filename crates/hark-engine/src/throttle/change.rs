//! Changes of a gate: threads enter and leave, and others are let in as a result.

use std::collections::{BTreeMap, HashMap, hash_map};

use super::head::Head;
use super::key::{self, FRONT, rank_of};
use super::{Bound, Entry, EntryState, Gate, GateKind, Holder};
use crate::commit::Outcome;
use crate::id::{SessionId, Stamp, Stamps};
use crate::limits::GATE_GRANTS_MAX;
use crate::space::{Space, SpaceCommit, SpaceKey, SpaceRecord};
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

/// An operation on a gate.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// Queues this thread, by its request of this number. No effect if it is already queued or let in.
    Enter { holder: Holder, number: u64, priority: Priority, owner: u64 },
    /// The thread no longer needs the place of this request.
    Leave { holder: Holder, number: u64 },
    /// The thread's session is not being served. `seen` is the version of its entry when that was found out.
    Abandon { holder: Holder, seen: Stamp },
}

/// The priority in a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Priority {
    /// The thread already had a place.
    Front,
    Of(i32),
}

/// A change of a gate.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub gate: Gate,
    /// The bound declared by a program, and when the session of that program began.
    pub bound: Option<(Bound, Timestamp)>,
    pub operations: Vec<Operation>,
    /// Whether to let in the threads for which there is room.
    pub serves: bool,
}

/// Makes changes of gates.
pub(crate) struct Turnstile<'a> {
    pub space: &'a dyn Space,
    pub stamps: Stamps<'a>,
    /// The current time for timers.
    pub now: &'a dyn Fn() -> Timestamp,
    /// Whether a session is being served by a live process.
    pub is_served: &'a dyn Fn(&SessionId) -> Result<bool, StorageError>,
    /// The place in the program of the entering threads that declares the bound of the gate.
    pub place: &'a dyn Fn(&Gate) -> String,
    /// The threads that were let in, possibly including some that were not. They must be notified even if the outcome
    /// of a change is unknown and it is made again.
    pub let_in: Vec<Holder>,
    /// Threads that left after losing their places. The threads queued in their stead must be notified.
    pub left_again: Vec<Holder>,
}

/// The records of a gate as read, with the pending changes.
struct Draft<'a> {
    gate: &'a Gate,
    head: Head,
    entries: HashMap<SpaceKey, Option<(Stamp, Entry)>>,
    /// The first rows of the queue; all of them if `known_up_to` is None.
    queue: BTreeMap<SpaceKey, Holder>,
    known_up_to: Option<SpaceKey>,
    rows: BTreeMap<SpaceKey, Option<Vec<u8>>>,
}

pub(super) fn decoded<T: serde::de::DeserializeOwned>(record: &SpaceRecord) -> Result<T, StorageError> {
    serde_json::from_slice(&record.content)
        .map_err(|error| StorageError::Permanent(format!("a record of a limit cannot be read: {error}")))
}

pub(super) fn read_one(space: &dyn Space, key: SpaceKey) -> Result<Option<SpaceRecord>, StorageError> {
    Ok(space.read(&[key])?.pop().flatten())
}

impl<'a> Turnstile<'a> {
    /// A turnstile that has made no changes.
    pub fn new(
        space: &'a dyn Space,
        stamps: Stamps<'a>,
        now: &'a dyn Fn() -> Timestamp,
        is_served: &'a dyn Fn(&SessionId) -> Result<bool, StorageError>,
    ) -> Turnstile<'a> {
        let place = &|_: &Gate| String::new();
        Turnstile { space, stamps, now, is_served, place, let_in: Vec::new(), left_again: Vec::new() }
    }

    /// Makes a change, and lets in threads if possible. Returns the states of the entered threads, in the order of the
    /// operations.
    pub fn make(&mut self, change: &Change) -> Result<Vec<EntryState>, StorageError> {
        loop {
            let head_key = key::head(&change.gate);
            let found = read_one(self.space, head_key.clone())?;
            let head: Option<Head> = found.as_ref().map(decoded).transpose()?;
            let head = match (head, change.bound) {
                (Some(mut head), bound) => {
                    if let Some((bound, since)) = bound {
                        head.note_bound(bound, since, || (self.place)(&change.gate));
                    }
                    head
                }
                (None, Some((bound, since))) => Head::new(bound, since, (self.place)(&change.gate)),
                // Nothing was ever entered at this gate.
                (None, None) => return Ok(Vec::new()),
            };
            let before = head.clone();
            let mut draft = Draft::read(self.space, change, head)?;
            let now = (self.now)();
            for operation in &change.operations {
                if let Operation::Leave { holder, number } = operation
                    && draft.entry(holder).is_some_and(|(_, entry)| entry.number == *number && entry.is_again)
                {
                    self.left_again.push(holder.clone());
                }
                draft.apply(operation, now);
            }
            let mut has_more = false;
            let mut let_in = Vec::new();
            if change.serves {
                has_more = self.serve(&mut draft, now, &mut let_in)?;
            }
            let entered = draft.entered(&change.operations);
            if draft.rows.is_empty() && draft.head == before && found.is_some() {
                return Ok(entered);
            }
            let mut commit = SpaceCommit::new(self.stamps.next());
            commit.expect.push((head_key.clone(), found.map(|found| found.stamp)));
            draft.rows.insert(head_key, Some(encoded(&draft.head)));
            for (key, content) in draft.rows {
                match content {
                    Some(content) => commit.put.push((key, content)),
                    None => commit.delete.push(key),
                }
            }
            match self.space.commit(&commit)? {
                Outcome::Done if has_more => self.let_in.append(&mut let_in),
                Outcome::Done => {
                    self.let_in.append(&mut let_in);
                    return Ok(entered);
                }
                Outcome::Conflict => {}
                // Repeating a change has no effect.
                Outcome::Unknown => self.let_in.append(&mut let_in),
            }
        }
    }

    /// Lets in the first threads of the queue while there is room. Threads whose sessions are not being served are
    /// taken out of the queue. Returns whether there may be more.
    fn serve(&self, draft: &mut Draft<'_>, now: Timestamp, let_in: &mut Vec<Holder>) -> Result<bool, StorageError> {
        let mut served: HashMap<SessionId, bool> = HashMap::new();
        let mut looked_at = 0;
        while let Some((row, holder)) = draft.first() {
            let mut after = draft.head.clone();
            let Some(from) = after.enter(now) else { return Ok(false) };
            if looked_at == GATE_GRANTS_MAX {
                return Ok(true);
            }
            looked_at += 1;
            // A scan may show rows that no longer exist.
            let Some((entry, rank, ticket)) = draft.queued_entry(self.space, &holder, &row)? else {
                draft.queue.remove(&row);
                draft.rows.insert(row, None);
                continue;
            };
            draft.unqueue(&row);
            let is_served = match served.get(&holder.session) {
                Some(known) => *known,
                None => {
                    let is_served = (self.is_served)(&holder.session)?;
                    served.insert(holder.session.clone(), is_served);
                    is_served
                }
            };
            if is_served {
                after.queued = draft.head.queued;
                draft.head = after;
                draft.hold(&holder, Entry { state: EntryState::Held { from, regained: rank == FRONT }, ..entry });
                let_in.push(holder);
            } else {
                let state = EntryState::Queued { rank, ticket, away: true };
                draft.put_entry(&holder, Entry { state, ..entry });
            }
        }
        Ok(draft.known_up_to.is_some())
    }
}

fn encoded<T: serde::Serialize>(content: &T) -> Vec<u8> {
    serde_json::to_vec(content).unwrap_or_default()
}

impl<'a> Draft<'a> {
    fn read(space: &dyn Space, change: &'a Change, head: Head) -> Result<Draft<'a>, StorageError> {
        let holders = change.operations.iter().map(|operation| match operation {
            Operation::Enter { holder, .. } | Operation::Leave { holder, .. } | Operation::Abandon { holder, .. } => {
                key::entry(holder, &change.gate)
            }
        });
        let keys: Vec<SpaceKey> = holders.collect();
        let mut entries = HashMap::new();
        if !keys.is_empty() {
            for (key, record) in keys.iter().zip(space.read(&keys)?) {
                let entry = record.map(|record| Ok::<_, StorageError>((record.stamp, decoded(&record)?)));
                entries.insert(key.clone(), entry.transpose()?);
            }
        }
        let mut draft = Draft {
            gate: &change.gate,
            entries,
            queue: BTreeMap::new(),
            known_up_to: None,
            rows: BTreeMap::new(),
            head,
        };
        if change.serves && draft.head.queued > 0 {
            // Threads that can be let in, and those of this change that may come before them.
            let room = match change.gate.kind {
                GateKind::Limit => draft.head.bound.count.saturating_sub(draft.head.held),
                GateKind::Rate => draft.head.bound.count,
            };
            let room = usize::try_from(room).unwrap_or(usize::MAX).min(GATE_GRANTS_MAX);
            let wanted = room + change.operations.len();
            if wanted > 0 {
                let found = space.scan(key::queue(&change.gate), wanted)?;
                draft.known_up_to = (found.len() == wanted).then(|| found.last().map(|(key, _)| key.clone())).flatten();
                for (key, record) in found {
                    if let Some((holder, _)) = key::read_holder(&record.content) {
                        draft.queue.insert(key, holder);
                    }
                }
            }
        }
        Ok(draft)
    }

    fn apply(&mut self, operation: &Operation, now: Timestamp) {
        match operation {
            Operation::Enter { holder, number, priority, owner } => {
                let known = self.entry(holder);
                match known {
                    Some((_, entry)) if entry.number == *number => self.claim(holder, entry, *priority, *owner),
                    // An old process asks for something that the thread had and gave back.
                    Some((_, entry)) if entry.number > *number => {}
                    known => {
                        if let Some((_, entry)) = known {
                            self.remove(holder, &entry, now);
                        }
                        let rank = match priority {
                            Priority::Front => FRONT,
                            Priority::Of(priority) => rank_of(*priority),
                        };
                        let ticket = self.head.ticket();
                        let state = EntryState::Queued { rank, ticket, away: false };
                        let is_again = matches!(priority, Priority::Front);
                        self.put_entry(holder, Entry { number: *number, owner: *owner, is_again, state });
                        self.enqueue(holder, rank, ticket);
                    }
                }
            }
            Operation::Leave { holder, number } => {
                if let Some((_, entry)) = self.entry(holder).filter(|(_, entry)| entry.number == *number) {
                    self.remove(holder, &entry, now);
                }
            }
            Operation::Abandon { holder, seen } => {
                let Some((_, entry)) = self.entry(holder).filter(|(stamp, _)| stamp == seen) else { return };
                if matches!(entry.state, EntryState::Held { .. }) {
                    self.remove(holder, &entry, now);
                }
            }
        }
    }

    /// Claims the entry of a known thread, whose session is now in the memory of this process.
    fn claim(&mut self, holder: &Holder, entry: Entry, priority: Priority, owner: u64) {
        let had_place = matches!(priority, Priority::Front);
        match entry.state {
            // A process that did not know that the thread had a place has queued it normally.
            EntryState::Queued { rank, ticket, away } if had_place && rank != FRONT => {
                if !away {
                    self.unqueue(&key::queued(self.gate, rank, ticket));
                }
                let state = EntryState::Queued { rank: FRONT, ticket, away: false };
                self.put_entry(holder, Entry { owner, is_again: true, state, ..entry });
                self.enqueue(holder, FRONT, ticket);
            }
            EntryState::Queued { rank, ticket, away: true } => {
                let state = EntryState::Queued { rank, ticket, away: false };
                self.put_entry(holder, Entry { owner, state, ..entry });
                self.enqueue(holder, rank, ticket);
            }
            EntryState::Held { from, regained: true } => {
                self.put_entry(holder, Entry { owner, state: EntryState::Held { from, regained: false }, ..entry });
            }
            _ if entry.owner != owner => self.put_entry(holder, Entry { owner, ..entry }),
            _ => {}
        }
    }

    fn entry(&self, holder: &Holder) -> Option<(Stamp, Entry)> {
        self.entries.get(&key::entry(holder, self.gate)).cloned().flatten()
    }

    fn put_entry(&mut self, holder: &Holder, entry: Entry) {
        let key = key::entry(holder, self.gate);
        self.rows.insert(key.clone(), Some(encoded(&entry)));
        let stamp = Stamp(std::num::NonZeroU64::MIN);
        self.entries.insert(key, Some((stamp, entry)));
    }

    fn enqueue(&mut self, holder: &Holder, rank: u64, ticket: u64) {
        let row = key::queued(self.gate, rank, ticket);
        let mut content = Vec::new();
        key::push_holder(&mut content, holder);
        self.rows.insert(row.clone(), Some(content));
        self.queue.insert(row, holder.clone());
        self.head.queued += 1;
    }

    fn unqueue(&mut self, row: &SpaceKey) {
        self.queue.remove(row);
        self.rows.insert(row.clone(), None);
        self.head.queued = self.head.queued.saturating_sub(1);
    }

    fn hold(&mut self, holder: &Holder, entry: Entry) {
        self.rows.insert(key::hold(self.gate, holder), Some(Vec::new()));
        self.put_entry(holder, entry);
    }

    fn remove(&mut self, holder: &Holder, entry: &Entry, now: Timestamp) {
        match entry.state {
            EntryState::Queued { rank, ticket, away: false } => self.unqueue(&key::queued(self.gate, rank, ticket)),
            EntryState::Queued { .. } => {}
            EntryState::Held { from, .. } => {
                self.rows.insert(key::hold(self.gate, holder), None);
                self.head.leave(from, now);
            }
        }
        let key = key::entry(holder, self.gate);
        self.rows.insert(key.clone(), None);
        self.entries.insert(key, None);
    }

    /// The first row of the queue, if it is known.
    fn first(&self) -> Option<(SpaceKey, Holder)> {
        let (row, holder) = self.queue.first_key_value()?;
        let is_known = self.known_up_to.as_ref().is_none_or(|last| row <= last);
        is_known.then(|| (row.clone(), holder.clone()))
    }

    /// The entry of the thread in this row of the queue.
    fn queued_entry(
        &mut self,
        space: &dyn Space,
        holder: &Holder,
        row: &SpaceKey,
    ) -> Result<Option<(Entry, u64, u64)>, StorageError> {
        let key = key::entry(holder, self.gate);
        if let hash_map::Entry::Vacant(unread) = self.entries.entry(key.clone()) {
            let record = read_one(space, key)?;
            let entry = record.map(|record| Ok::<_, StorageError>((record.stamp, decoded(&record)?)));
            unread.insert(entry.transpose()?);
        }
        Ok(self.entry(holder).and_then(|(_, entry)| match entry.state {
            EntryState::Queued { rank, ticket, away: false } if key::queued(self.gate, rank, ticket) == *row => {
                Some((entry, rank, ticket))
            }
            _ => None,
        }))
    }

    fn entered(&self, operations: &[Operation]) -> Vec<EntryState> {
        let entered = operations.iter().filter_map(|operation| match operation {
            Operation::Enter { holder, number, .. } => {
                let entry = self.entry(holder).filter(|(_, entry)| entry.number == *number);
                let away = EntryState::Queued { rank: 0, ticket: 0, away: true };
                Some(entry.map_or(away, |(_, entry)| entry.state))
            }
            _ => None,
        });
        entered.collect()
    }
}
