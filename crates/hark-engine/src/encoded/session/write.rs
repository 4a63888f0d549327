//! A commit as a change of rows.

use std::collections::BTreeMap;
use std::iter;

use super::EncodedSession;
use crate::codec::row::{EncodedRow, encode};
use crate::codec::{self, parts};
use crate::commit::{Commit, Outcome, Renewal};
use crate::encoded::kept::ThreadSize;
use crate::encoded::used::Replaced;
use crate::history::LogEntry;
use crate::record::{Due, Key, Record};
use crate::rows::{KeptProgram, Lookup, Part, PartChange, PartName, RowChange, RowRange, RowRenewal};
use crate::storage::StorageError;

/// How much output is on one page of the history at most, unless it is one text.
const PAGE_BYTES: usize = 1 << 20;

/// A commit as it is written.
pub(super) struct Written {
    pub change: RowChange,
    pub notes: Notes,
}

/// What is remembered of a commit when it is done.
pub(super) struct Notes {
    /// How large the threads are: the fresh ones, then those that it puts.
    sizes: Vec<ThreadSize>,
    /// Which parts the rows name that may be written over again.
    named: Vec<(Key, Vec<PartName>)>,
}

/// How the use of parts changes.
#[derive(Default)]
struct Uses(BTreeMap<PartName, (i64, Option<Part>)>);

impl Uses {
    fn add(&mut self, name: PartName, part: Part) {
        let (uses, known) = self.0.entry(name).or_default();
        *uses += 1;
        *known = Some(part);
    }

    fn remove(&mut self, names: &[PartName]) {
        for name in names {
            self.0.entry(*name).or_default().0 -= 1;
        }
    }

    fn into_changes(self) -> Vec<PartChange> {
        let changed = self.0.into_iter().filter(|(_, (uses, _))| *uses != 0);
        changed.map(|(name, (uses, part))| PartChange { name, uses, part: part.filter(|_| uses > 0) }).collect()
    }
}

impl EncodedSession {
    /// What this commit writes. None if it is in conflict, as is known already.
    pub(super) fn encode(&self, commit: &Commit) -> Result<Option<Written>, StorageError> {
        let renew = match &commit.renew {
            Some(renewal) => match self.encode_renewal(commit, renewal)? {
                Some(renewal) => Some(renewal),
                None => return Ok(None),
            },
            None => None,
        };
        let begins = commit.expect.iter().any(|(key, stamp)| *key == Key::Session && stamp.is_none());
        let mut change = RowChange {
            stamp: commit.stamp,
            by_server: commit.by_server,
            expect: commit.expect.clone(),
            fresh: Vec::with_capacity(commit.fresh.len()),
            put: Vec::with_capacity(commit.put.len()),
            delete: commit.delete.clone(),
            renew,
            parts: Vec::new(),
            history: pages_of(&commit.log).map(codec::log_text).collect(),
            program: begins.then(|| KeptProgram(self.program.clone())),
        };
        let (mut uses, mut named, mut sizes) = (Uses::default(), Vec::new(), Vec::new());
        for (record, is_fresh) in
            commit.fresh.iter().map(|record| (record, true)).chain(commit.put.iter().map(|record| (record, false)))
        {
            let EncodedRow { key, row, parts, bytes, pickle_bytes } =
                encode(record, self.due(commit, record), commit.stamp, &self.sealer, &self.program);
            if matches!(record, Record::Live(..)) {
                sizes.push(ThreadSize { bytes, pickles: pickle_bytes });
            }
            if matches!(record, Record::Live(..) | Record::Broken(..)) {
                let names: Vec<PartName> = parts.iter().map(|(name, _)| *name).collect();
                named.push((key.clone(), names));
            }
            for (name, part) in parts {
                if let Part::Pickle(pickle) = &part {
                    // What this process has just written need not be read.
                    self.shared.pickles.add(pickle);
                }
                uses.add(name, part);
            }
            if is_fresh { &mut change.fresh } else { &mut change.put }.push((key, row));
        }
        if !begins {
            self.count_out(commit, &mut change, &mut uses)?;
        }
        change.parts = uses.into_changes();
        Ok(Some(Written { change, notes: Notes { sizes, named } }))
    }

    fn due(&self, commit: &Commit, record: &Record) -> Option<Due> {
        match record {
            _ if self.is_leased => commit.due(record),
            Record::Live(_, live) => live.due(),
            _ => None,
        }
    }

    /// Counts the parts of the rows out that a change writes over or removes. Rows that nobody here knows are read; one that names
    /// parts must not become another one until the change is made.
    fn count_out(&self, commit: &Commit, change: &mut RowChange, uses: &mut Uses) -> Result<(), StorageError> {
        let replaced = change.put.iter().map(|(key, _)| key).chain(&change.delete);
        let mut unknown = Vec::new();
        for key in replaced.filter(|key| may_name_parts(key)) {
            match self.used.replaced_by(commit, key) {
                Replaced::Known(names) => uses.remove(&names),
                Replaced::Unknown => unknown.push(key.clone()),
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let lookups: Vec<Lookup<'_>> = unknown.iter().map(|key| Lookup { key, known: None }).collect();
        let found = self.rows.read(&lookups)?;
        for (key, row) in unknown.into_iter().zip(found) {
            if let Some(row) = row.filter(|row| parts::is_in_parts(&row.content)) {
                uses.remove(&parts::names(&row.content));
                change.expect.push((key, Some(row.stamp)));
            }
        }
        Ok(())
    }

    /// None if another version is there than the one that the commit expects.
    fn encode_renewal(&self, commit: &Commit, renewal: &Renewal) -> Result<Option<RowRenewal>, StorageError> {
        let key = Key::Live(renewal.thread);
        let Some(progress) = renewal.progress.as_deref() else { return Ok(Some(RowRenewal { key, summary: None })) };
        let expected = commit.expect.iter().find(|(known, _)| *known == key).and_then(|(_, stamp)| *stamp);
        let kept = expected.and_then(|version| self.kept.summary_with(renewal.thread, version, progress));
        let summary = match kept {
            Some(summary) => Some(summary),
            None => {
                let found = self.rows.scan(&RowRange::Live(renewal.thread), 1)?.pop();
                let found = found.filter(|(found, row)| *found == key && Some(row.stamp) == expected);
                let Some((_, row)) = found else { return Ok(None) };
                // A damaged one stays as it is, for whoever reads it.
                let is_whole = self.sealer.seal(&key, &row.summary, &[]) == row.seal;
                is_whole.then(|| codec::summary_with_progress(&row.summary, renewal).ok()).flatten()
            }
        };
        let summary = summary.map(|summary| {
            let seal = self.sealer.seal(&key, &summary, &[]);
            (summary, seal)
        });
        Ok(Some(RowRenewal { key, summary }))
    }

    /// Remembers what came of a commit.
    pub(super) fn note(&self, commit: &mut Commit, notes: Notes, outcome: &Result<Outcome, StorageError>) {
        match outcome {
            Ok(Outcome::Done) => self.note_done(commit, notes),
            Ok(Outcome::Conflict | Outcome::Unknown) => self.kept.note_doubtful(commit),
            Err(_) => {}
        }
    }

    fn note_done(&self, commit: &mut Commit, notes: Notes) {
        for key in commit.delete.iter().filter(|key| may_name_parts(key)) {
            self.used.note(key, commit.stamp, Vec::new());
        }
        for (key, names) in notes.named {
            self.used.note(&key, commit.stamp, names);
        }
        if let Some(renewal) = &commit.renew {
            self.used.renew(&Key::Live(renewal.thread), commit.stamp);
        }
        self.kept.keep(commit, &notes.sizes);
    }
}

fn may_name_parts(key: &Key) -> bool {
    matches!(key, Key::Live(_) | Key::Broken(_) | Key::Future(_) | Key::Unawaited(_))
}

/// The entries of a log in pages that are read at a time, none of them much longer than this.
fn pages_of(log: &[LogEntry]) -> impl Iterator<Item = &[LogEntry]> {
    let mut left = log;
    iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |entry: &&LogEntry| {
            bytes += entry.printed_bytes();
            bytes <= PAGE_BYTES
        };
        let count = left.iter().take_while(fits).count().max(1).min(left.len());
        let page;
        (page, left) = left.split_at(count);
        (!page.is_empty()).then_some(page)
    })
}
