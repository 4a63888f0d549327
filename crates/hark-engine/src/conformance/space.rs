//! What the space of every storage must do.

use std::sync::Arc;
use std::thread;

use crate::commit::Outcome;
use crate::id::{Stamp, Stamps};
use crate::space::{Space, SpaceCommit, SpaceKey, SpaceRecord};
use crate::storage::Storage;

/// Checks a storage's space. `make` gives an empty storage each time.
pub(super) fn check_space(make: &dyn Fn() -> Arc<dyn Storage>) {
    let checks: [fn(&dyn Space); 5] = [
        what_is_put_is_read,
        a_conflict_changes_nothing,
        an_absent_record_can_be_expected,
        scans_are_in_the_order_of_bytes,
        of_many_writers_one_wins,
    ];
    for check in checks {
        let storage = make();
        check(storage.space());
    }
}

fn key(text: &str) -> SpaceKey {
    text.as_bytes().to_vec()
}

fn put(seed: u64, records: &[(&str, &[u8])]) -> SpaceCommit {
    let put = records.iter().map(|(name, content)| (key(name), content.to_vec())).collect();
    SpaceCommit { put, ..SpaceCommit::new(Stamps::of_seed(seed).next()) }
}

fn done(space: &dyn Space, commit: SpaceCommit) -> Stamp {
    assert_eq!(space.commit(&commit), Ok(Outcome::Done));
    commit.stamp
}

fn read(space: &dyn Space, name: &str) -> Option<SpaceRecord> {
    space.read(&[key(name)]).expect("records can be read").pop().expect("there is an entry for each key")
}

fn what_is_put_is_read(space: &dyn Space) {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let first = done(space, put(1, &[("a", b"1"), ("b", &all_bytes), ("c", b"")]));
    let found = space.read(&[key("b"), key("x"), key("a"), key("c")]).expect("records can be read");
    let record = |content: &[u8]| Some(SpaceRecord { stamp: first, content: content.to_vec() });
    assert_eq!(found, [record(&all_bytes), None, record(b"1"), record(b"")]);
    let second = done(space, put(2, &[("a", b"2")]));
    assert_eq!(read(space, "a"), Some(SpaceRecord { stamp: second, content: b"2".to_vec() }));
    done(space, SpaceCommit { delete: vec![key("a"), key("x")], ..put(3, &[("d", b"4")]) });
    assert_eq!(read(space, "a"), None);
    assert!(read(space, "d").is_some() && read(space, "b").is_some());
}

fn a_conflict_changes_nothing(space: &dyn Space) {
    let first = done(space, put(1, &[("a", b"1"), ("b", b"1")]));
    done(space, put(2, &[("b", b"2")]));
    let late = SpaceCommit {
        expect: vec![(key("a"), Some(first)), (key("b"), Some(first))],
        delete: vec![key("b")],
        ..put(3, &[("a", b"3"), ("c", b"3")])
    };
    assert_eq!(space.commit(&late), Ok(Outcome::Conflict));
    let contents = ["a", "b", "c"].map(|name| read(space, name).map(|record| record.content));
    assert_eq!(contents, [Some(b"1".to_vec()), Some(b"2".to_vec()), None]);
}

fn an_absent_record_can_be_expected(space: &dyn Space) {
    let expecting = || SpaceCommit { expect: vec![(key("a"), None)], ..put(1, &[("a", b"1")]) };
    assert_eq!(space.commit(&expecting()), Ok(Outcome::Done));
    assert_eq!(space.commit(&expecting()), Ok(Outcome::Conflict));
}

fn scans_are_in_the_order_of_bytes(space: &dyn Space) {
    let keys: [&[u8]; 7] = [b"", b"\x00", b"a", b"a\x00", b"a\xff", b"b", b"\xff\xff"];
    let commit = SpaceCommit {
        put: keys.iter().rev().map(|key| (key.to_vec(), key.to_vec())).collect(),
        ..SpaceCommit::new(Stamps::of_seed(1).next())
    };
    done(space, commit);
    let scan = |from: &[u8], to: &[u8], limit| {
        let found = space.scan(from.to_vec()..to.to_vec(), limit).expect("a range can be scanned");
        found.iter().for_each(|(key, record)| assert_eq!(*key, record.content));
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(scan(b"", b"\xff\xff\xff", usize::MAX), keys);
    assert_eq!(scan(b"a", b"b", usize::MAX), keys[2..5]);
    assert_eq!(scan(b"a", b"b", 2), keys[2..4]);
    assert_eq!(scan(b"b", b"a", 2), [b""; 0]);
}

fn of_many_writers_one_wins(space: &dyn Space) {
    let add_one = |stamps: &mut Stamps<'_>| {
        loop {
            let found = read(space, "count");
            let count =
                found.as_ref().map_or(0, |record| record.content.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)));
            let commit = SpaceCommit {
                expect: vec![(key("count"), found.map(|record| record.stamp))],
                put: vec![(key("count"), (count + 1).to_be_bytes().to_vec())],
                ..SpaceCommit::new(stamps.next())
            };
            if space.commit(&commit).expect("a commit can be made") == Outcome::Done {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || {
                let mut stamps = Stamps::of_seed(seed);
                (0..250).for_each(|_| add_one(&mut stamps));
            });
        }
    });
    assert_eq!(read(space, "count").map(|record| record.content), Some(1_000_u32.to_be_bytes().to_vec()));
}
