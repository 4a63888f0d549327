//! Parts: they are there as long as a content names them, and go with the last one.

use super::{BEGUN, Check, Suite, change, live, stamp};
use crate::commit::Outcome;
use crate::id::{SessionId, ThreadId};
use crate::record::Key;
use crate::rows::{Part, PartChange, PartName, RowChange};
use crate::surroundings::Timestamp;

pub(super) const CHECKS: &[Check] = &[
    parts_are_read_as_they_are_asked_for,
    a_part_goes_with_its_last_use,
    a_conflict_counts_nothing,
    a_removed_session_leaves_no_parts,
    a_value_may_have_many_parts,
];

/// A part has the same bytes whenever it is written.
fn bytes(number: u8) -> Vec<u8> {
    let length = if number == 0 { 0 } else { usize::from(number) * 1_000 };
    (0..length).map(|at| (at as u8).wrapping_mul(number)).collect()
}

fn name(number: u8) -> PartName {
    PartName::Piece([number; 16])
}

fn uses(number: u8, uses: i64) -> PartChange {
    PartChange { name: name(number), uses, part: (uses > 0).then(|| Part::Piece(bytes(number))) }
}

impl Suite {
    fn count(&self, number: u64, parts: Vec<PartChange>) {
        // A change that counts writes or removes rows that name the parts.
        self.done(RowChange { put: self.rows(number, &[live(1, 1)]), parts, ..change(number) });
    }

    fn part(&self, number: u8) -> Option<Vec<u8>> {
        self.elsewhere().parts(&[name(number)]).expect("parts can be read").pop().flatten()
    }
}

fn parts_are_read_as_they_are_asked_for(suite: &Suite) {
    suite.count(1, vec![uses(3, 1), uses(120, 1), uses(255, 1)]);
    let asked = [255, 7, 3, 255, 120];
    let found = suite.elsewhere().parts(&asked.map(name)).expect("parts can be read");
    let expected = asked.map(|number| (number != 7).then(|| bytes(number)));
    assert!(found == expected, "an entry for each, in their order");
    assert!(suite.elsewhere().parts(&[]).expect("parts can be read").is_empty());
    let other = suite.storage.session(&SessionId::new(Timestamp(1_000_000), 2)).expect("a session can be opened");
    assert_eq!(other.parts(&[name(3)]), Ok(vec![None]), "each session has its own");
}

fn a_part_goes_with_its_last_use(suite: &Suite) {
    suite.count(1, vec![uses(1, 2), uses(2, 1)]);
    suite.count(2, vec![uses(1, -1), uses(2, 1)]);
    assert!(suite.part(1) == Some(bytes(1)) && suite.part(2) == Some(bytes(2)), "each is named once, or twice");
    suite.count(3, vec![uses(1, 3), uses(2, -1)]);
    suite.count(4, vec![uses(1, -3), uses(2, -1)]);
    assert!(suite.part(1) == Some(bytes(1)), "one of four names it still");
    assert!(suite.part(2).is_none(), "nothing names it");
    suite.count(5, vec![uses(1, -1)]);
    assert!(suite.part(1).is_none());
    suite.count(6, vec![uses(1, 1), uses(2, 1)]);
    assert!(suite.part(1) == Some(bytes(1)) && suite.part(2) == Some(bytes(2)), "they are written anew");
    suite.count(7, vec![uses(1, -1)]);
    assert!(suite.part(1).is_none(), "what was counted before it went counts no more");
}

fn a_conflict_counts_nothing(suite: &Suite) {
    suite.count(1, vec![uses(1, 1)]);
    let late = |parts| RowChange {
        expect: vec![(Key::Live(ThreadId(1)), Some(stamp(99)))],
        put: suite.rows(2, &[live(1, 2)]),
        parts,
        ..change(2)
    };
    assert_eq!(suite.rows.commit(late(vec![uses(1, 1), uses(2, 1)])), Ok(Outcome::Conflict));
    assert!(suite.part(2).is_none(), "a part of a change that has not happened");
    assert_eq!(suite.rows.commit(late(vec![uses(1, -1)])), Ok(Outcome::Conflict));
    assert!(suite.part(1) == Some(bytes(1)), "it is named as often as before");
    suite.count(3, vec![uses(1, -1)]);
    assert!(suite.part(1).is_none(), "it was named once");
}

fn a_removed_session_leaves_no_parts(suite: &Suite) {
    suite.count(1, vec![uses(1, 5), uses(2, 1)]);
    assert_eq!(suite.storage.clear(&suite.id, stamp(9)), Ok(false));
    assert_eq!(suite.storage.remove(&suite.id, stamp(9)), Ok(false));
    assert!(suite.part(1).is_some());
    assert_eq!(suite.storage.clear(&suite.id, stamp(BEGUN)), Ok(true));
    assert!(suite.part(1).is_none() && suite.part(2).is_none());
    suite.count(2, vec![uses(1, 1)]);
    suite.count(3, vec![uses(1, -1)]);
    assert!(suite.part(1).is_none(), "it is counted from the beginning");
    suite.count(4, vec![uses(1, 1)]);
    assert_eq!(suite.storage.remove(&suite.id, stamp(BEGUN)), Ok(true));
    assert!(suite.part(1).is_none());
    suite.begin(&suite.id);
    assert!(suite.part(1).is_none(), "what begins under the same id has none of it");
}

fn a_value_may_have_many_parts(suite: &Suite) {
    let numbers: Vec<u8> = (0..=250).collect();
    suite.count(1, numbers.iter().map(|number| uses(*number, 1)).collect());
    let names: Vec<PartName> = numbers.iter().map(|number| name(*number)).collect();
    let found = suite.elsewhere().parts(&names).expect("parts can be read");
    assert!(found.into_iter().eq(numbers.iter().map(|number| Some(bytes(*number)))));
    suite.count(2, numbers.iter().map(|number| uses(*number, -1)).collect());
    assert!(suite.elsewhere().parts(&names).expect("parts can be read").iter().all(Option::is_none));
}
