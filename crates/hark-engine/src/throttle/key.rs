//! The keys of gates' records, in the order of the space: heads; queues by rank and ticket; holds; entries by session.

use std::ops::Range;

use super::{Gate, GateKind, Holder};
use crate::id::{SessionId, ThreadId};
use crate::space::SpaceKey;

/// The first byte of all keys of limits and rates.
const AREA: u8 = b'l';
const HEADS: u8 = b'g';
const QUEUES: u8 = b'q';
const HOLDS: u8 = b'h';
const ENTRIES: u8 = b't';

/// The rank of threads that already had a place. All others come after them.
pub(super) const FRONT: u64 = 0;

/// The rank of a priority: lower ranks go first.
pub(super) fn rank_of(priority: i32) -> u64 {
    (i64::from(i32::MAX) - i64::from(priority)) as u64 + 1
}

fn with_gate(part: u8, gate: &Gate) -> SpaceKey {
    let mut key = vec![AREA, part];
    push_gate(&mut key, gate);
    key
}

fn push_gate(key: &mut SpaceKey, gate: &Gate) {
    key.push(match gate.kind {
        GateKind::Limit => b'l',
        GateKind::Rate => b'r',
    });
    key.extend((gate.name.len() as u32).to_be_bytes());
    key.extend(gate.name.as_bytes());
}

/// All keys with this prefix, which must not end with byte 255.
fn beginning(prefix: SpaceKey) -> Range<SpaceKey> {
    let mut end = prefix.clone();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    prefix..end
}

pub(super) fn head(gate: &Gate) -> SpaceKey {
    with_gate(HEADS, gate)
}

pub(super) fn heads() -> Range<SpaceKey> {
    beginning(vec![AREA, HEADS])
}

pub(super) fn queued(gate: &Gate, rank: u64, ticket: u64) -> SpaceKey {
    let mut key = with_gate(QUEUES, gate);
    key.extend(rank.to_be_bytes());
    key.extend(ticket.to_be_bytes());
    key
}

pub(super) fn queue(gate: &Gate) -> Range<SpaceKey> {
    queued(gate, 0, 0)..queued(gate, u64::MAX, u64::MAX)
}

pub(super) fn hold(gate: &Gate, holder: &Holder) -> SpaceKey {
    let mut key = with_gate(HOLDS, gate);
    push_holder(&mut key, holder);
    key
}

pub(super) fn holds(gate: &Gate) -> Range<SpaceKey> {
    let start = with_gate(HOLDS, gate);
    let mut end = start.clone();
    // Session ids consist of letters, digits and dashes.
    end.push(0xff);
    start..end
}

pub(super) fn entry(holder: &Holder, gate: &Gate) -> SpaceKey {
    let mut key = vec![AREA, ENTRIES];
    push_holder(&mut key, holder);
    push_gate(&mut key, gate);
    key
}

pub(super) fn all_entries() -> Range<SpaceKey> {
    beginning(vec![AREA, ENTRIES])
}

pub(super) fn entries(session: &SessionId) -> Range<SpaceKey> {
    let mut start = vec![AREA, ENTRIES];
    push_session(&mut start, session);
    beginning(start)
}

fn push_session(key: &mut SpaceKey, session: &SessionId) {
    key.extend((session.as_str().len() as u32).to_be_bytes());
    key.extend(session.as_str().as_bytes());
}

/// The encoding of a holder, which is also the content of a row in the queue.
pub(super) fn push_holder(key: &mut SpaceKey, holder: &Holder) {
    push_session(key, &holder.session);
    key.extend(holder.thread.0.to_be_bytes());
}

/// Decodes the holder at the beginning of these bytes. Also returns the rest.
pub(super) fn read_holder(bytes: &[u8]) -> Option<(Holder, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (session, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let (thread, rest) = rest.split_first_chunk::<8>()?;
    let session = SessionId::from_text(std::str::from_utf8(session).ok()?);
    Some((Holder { session, thread: ThreadId(u64::from_be_bytes(*thread)) }, rest))
}

/// Decodes a gate.
pub(super) fn read_gate(bytes: &[u8]) -> Option<Gate> {
    let (kind, rest) = bytes.split_first()?;
    let kind = match kind {
        b'l' => GateKind::Limit,
        b'r' => GateKind::Rate,
        _ => return None,
    };
    let (_, name) = rest.split_first_chunk::<4>()?;
    Some(Gate { kind, name: std::str::from_utf8(name).ok()?.into() })
}

/// The key without the two bytes that every key begins with.
pub(super) fn body(key: &[u8]) -> &[u8] {
    key.get(2..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::Timestamp;

    #[test]
    fn higher_priorities_come_first_and_who_had_a_place_before_all() {
        let gate = Gate::limit("x".into());
        let keys = [(FRONT, 9), (rank_of(i32::MAX), 9), (rank_of(1), 9), (rank_of(0), 1), (rank_of(0), 2)];
        let keys = keys.map(|(rank, ticket)| queued(&gate, rank, ticket));
        assert!(keys.is_sorted());
        assert!(queued(&gate, rank_of(i32::MIN), u64::MAX - 1) > keys[4]);
        assert!(keys.iter().all(|key| queue(&gate).contains(key)));
        assert!(!queue(&Gate::limit("xy".into())).contains(&keys[0]));
    }

    #[test]
    fn keys_can_be_read() {
        let gate = Gate { kind: GateKind::Rate, name: "stripe/Zahlung ü".into() };
        let holder = Holder { session: SessionId::new(Timestamp(5), 2), thread: ThreadId(300) };
        let key = entry(&holder, &gate);
        assert!(entries(&holder.session).contains(&key));
        let (found, rest) = read_holder(body(&key)).unwrap();
        assert_eq!((found, read_gate(rest)), (holder.clone(), Some(gate.clone())));
        assert_eq!(read_gate(body(&head(&gate))), Some(gate.clone()));
        assert!(holds(&gate).contains(&hold(&gate, &holder)) && heads().contains(&head(&gate)));
    }
}
