//! Queries about gates: the entries of a thread or a session, and holders whose sessions are not being served.

use std::collections::{BTreeSet, HashMap};

use super::change::{Change, Operation, Turnstile, decoded, read_one};
use super::head::Head;
use super::{Entry, EntryState, Gate, GateKind, Holder, Token, key};
use crate::id::{SessionId, Stamp};
use crate::limits::GATE_HOLDS_MAX;
use crate::space::Space;
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

/// The state of a thread at a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It has no entry that this process has claimed.
    Unknown,
    /// It must wait.
    Queued,
    /// It is let in, and may start at this time.
    Held(Timestamp),
    /// It had lost its place, has regained it, and has not looked since.
    Regained,
}

/// The state of a thread's request at a gate, for this owner.
pub(crate) fn entry_of(
    space: &dyn Space,
    holder: &Holder,
    gate: &Gate,
    number: u64,
    owner: u64,
) -> Result<Look, StorageError> {
    let Some(record) = read_one(space, key::entry(holder, gate))? else { return Ok(Look::Unknown) };
    let entry: Entry = decoded(&record)?;
    Ok(match entry.state {
        _ if entry.number != number => Look::Unknown,
        EntryState::Held { regained: true, .. } => Look::Regained,
        _ if entry.owner != owner => Look::Unknown,
        EntryState::Held { from, .. } => Look::Held(from),
        EntryState::Queued { away: false, .. } => Look::Queued,
        EntryState::Queued { away: true, .. } => Look::Unknown,
    })
}

/// The entries of a session: threads, gates, and the numbers of the requests.
pub(crate) fn entries_of(space: &dyn Space, session: &SessionId) -> Result<Vec<(Holder, Gate, u64)>, StorageError> {
    let mut found = Vec::new();
    for (key, record) in space.scan(key::entries(session), usize::MAX)? {
        let Some((holder, rest)) = key::read_holder(key::body(&key)) else { continue };
        let Some(gate) = key::read_gate(rest) else { continue };
        found.push((holder, gate, decoded::<Entry>(&record)?.number));
    }
    Ok(found)
}

/// The sessions that have entries at any gate, with one scan per session.
pub(crate) fn sessions(space: &dyn Space) -> Result<BTreeSet<SessionId>, StorageError> {
    let mut sessions = BTreeSet::new();
    let mut left = key::all_entries();
    while let Some((mut key, _)) = space.scan(left.clone(), 1)?.pop() {
        if let Some((holder, _)) = key::read_holder(key::body(&key)) {
            left.start = key::entries(&holder.session).end;
            sessions.insert(holder.session);
        } else {
            key.push(0);
            left.start = key;
        }
    }
    Ok(sessions)
}

/// All gates with holders or queued threads, and the number of the latter.
pub(crate) fn gates(space: &dyn Space) -> Result<Vec<(Gate, u64)>, StorageError> {
    let mut gates = Vec::new();
    for (key, record) in space.scan(key::heads(), usize::MAX)? {
        let head: Head = decoded(&record)?;
        let gate = key::read_gate(key::body(&key)).filter(|_| head.queued + head.held > 0);
        gates.extend(gate.map(|gate| (gate, head.queued)));
    }
    Ok(gates)
}

/// The holders of a gate, at most as many as are checked together.
pub(crate) fn holders(space: &dyn Space, gate: &Gate) -> Result<Vec<Holder>, StorageError> {
    let holds = space.scan(key::holds(gate), GATE_HOLDS_MAX)?;
    Ok(holds.iter().filter_map(|(key, _)| holder_of(gate, key)).collect())
}

/// Whether a thread has regained a place and has not looked since.
pub(crate) fn has_regained(space: &dyn Space, holder: &Holder, gate: &Gate) -> Result<bool, StorageError> {
    let entry: Option<Entry> = read_one(space, key::entry(holder, gate))?.as_ref().map(decoded).transpose()?;
    Ok(entry.is_some_and(|entry| matches!(entry.state, EntryState::Held { regained: true, .. })))
}

/// Whether a thread is in the queue by this request.
pub(crate) fn is_queued(space: &dyn Space, holder: &Holder, token: &Token) -> Result<bool, StorageError> {
    let entry: Option<Entry> = read_one(space, key::entry(holder, &token.gate))?.as_ref().map(decoded).transpose()?;
    Ok(entry.is_some_and(|entry| {
        entry.number == token.number && matches!(entry.state, EntryState::Queued { away: false, .. })
    }))
}

/// Whether all places of a limit are taken by holders that satisfy a predicate.
pub(crate) fn is_full_of(
    space: &dyn Space,
    gate: &Gate,
    is_such: impl Fn(&Holder) -> bool,
) -> Result<bool, StorageError> {
    let head: Option<Head> = read_one(space, key::head(gate))?.as_ref().map(decoded).transpose()?;
    let Some(head) = head.filter(|head| head.held >= head.bound.count) else { return Ok(false) };
    let holds = space.scan(key::holds(gate), usize::MAX)?;
    let are_such = holds.iter().all(|(key, _)| holder_of(gate, key).is_some_and(|holder| is_such(&holder)));
    Ok(are_such && holds.len() as u64 >= head.held)
}

/// Whether a thread of another session is let in.
pub(crate) fn is_held_elsewhere(space: &dyn Space, gate: &Gate, session: &SessionId) -> Result<bool, StorageError> {
    let holds = space.scan(key::holds(gate), usize::MAX)?;
    Ok(holds.iter().any(|(key, _)| holder_of(gate, key).is_some_and(|holder| holder.session != *session)))
}

fn holder_of(gate: &Gate, key: &[u8]) -> Option<Holder> {
    let prefix = key::holds(gate).start.len();
    key::read_holder(key.get(prefix..)?).map(|(holder, _)| holder)
}

/// Lets in threads if possible. If there is no room, removes holders whose sessions are not being served.
pub(crate) fn tend(turnstile: &mut Turnstile<'_>, gate: &Gate) -> Result<(), StorageError> {
    let serve = |operations| Change { gate: gate.clone(), bound: None, operations, serves: true };
    turnstile.make(&serve(Vec::new()))?;
    let head: Option<Head> = read_one(turnstile.space, key::head(gate))?.as_ref().map(decoded).transpose()?;
    if gate.kind == GateKind::Rate || head.is_none_or(|head| head.queued == 0) {
        return Ok(());
    }
    let holders = holders(turnstile.space, gate)?;
    // Read the versions first: a process that claims an entry in the meantime changes its version.
    let keys: Vec<_> = holders.iter().map(|holder| key::entry(holder, gate)).collect();
    let seen: Vec<Option<Stamp>> =
        turnstile.space.read(&keys)?.into_iter().map(|record| record.map(|record| record.stamp)).collect();
    let mut served: HashMap<SessionId, bool> = HashMap::new();
    let mut abandoned = Vec::new();
    for (holder, seen) in holders.into_iter().zip(seen) {
        let is_served = match served.get(&holder.session) {
            Some(known) => *known,
            None => {
                let is_served = (turnstile.is_served)(&holder.session)?;
                served.insert(holder.session.clone(), is_served);
                is_served
            }
        };
        if let Some(seen) = seen.filter(|_| !is_served) {
            abandoned.push(Operation::Abandon { holder, seen });
        }
    }
    if !abandoned.is_empty() {
        turnstile.make(&serve(abandoned))?;
    }
    Ok(())
}

/// Removes all entries of a session. If `serves`, lets in other threads.
pub(crate) fn forget(turnstile: &mut Turnstile<'_>, session: &SessionId, serves: bool) -> Result<(), StorageError> {
    let mut of_gates: HashMap<Gate, Vec<Operation>> = HashMap::new();
    for (holder, gate, number) in entries_of(turnstile.space, session)? {
        of_gates.entry(gate).or_default().push(Operation::Leave { holder, number });
    }
    let mut of_gates: Vec<(Gate, Vec<Operation>)> = of_gates.into_iter().collect();
    of_gates.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (gate, operations) in of_gates {
        for operations in operations.chunks(GATE_HOLDS_MAX) {
            let change = Change { gate: gate.clone(), bound: None, operations: operations.to_vec(), serves };
            turnstile.make(&change)?;
        }
    }
    Ok(())
}
