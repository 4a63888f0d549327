//! Encodes commits as changes of rows.

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

/// The maximum number of bytes of output on a page of the history, unless it is a single text.
const PAGE_BYTES: usize = 1 << 20;

/// An encoded commit.
pub(super) struct Written {
    pub change: RowChange,
    pub notes: Notes,
}

/// What to remember of a commit when it is done.
pub(super) struct Notes {
    /// The sizes of its threads: first of the fresh ones, then of the put ones.
    sizes: Vec<ThreadSize>,
    /// The parts referenced by those of its rows that may be overwritten.
    named: Vec<(Key, Vec<PartName>)>,
}

/// The changes of the reference counts of parts.
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
    /// Encodes a commit. None if it is already known to conflict.
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
                    // A pickle written by this process need not be read again.
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

    /// Decrements the reference counts of the parts of overwritten or deleted rows. Unknown rows are read; a row with
    /// parts must then not change until the commit.
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

    /// None if the version in the storage is not the one expected by the commit.
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
                // A damaged summary remains unchanged; its reader will report it.
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

    /// Records the outcome of a commit.
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

/// The entries of a log as pages, which are read one at a time. Their size is limited.
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
