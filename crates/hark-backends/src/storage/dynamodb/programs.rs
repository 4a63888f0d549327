//! Programs. Each is stored once, however many sessions use it, and removed when none does.
//!
//! A list of programs says when each was last written. A process that starts sessions writes their program again after
//! [`FRESH`], and a program that no session uses is removed only if it was not written for [`UNUSED`]. So no program is
//! removed while a process begins a session with it and relies on having written it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hark_engine::{Filter, StorageError, Surroundings, Timestamp};
use tracing::debug;

use super::Shared;
use super::catalog::whole;
use super::item::{Item, bytes, bytes_of, damaged, number, number_of, text_of};
use super::layout::{ItemKey, PROGRAMS, SORT, listed_program_key, program_key, program_partition};
use super::pack::{PIECE_BYTES, pack, unpack};
use super::requests::{Expression, Written};
use crate::surroundings::System;

/// How long a process relies on having written a program.
const FRESH: Duration = Duration::from_secs(3_600);
/// How long a program that no session uses stays.
const UNUSED: Duration = Duration::from_secs(86_400);

/// When this process last wrote each program.
#[derive(Default)]
pub(super) struct KnownPrograms(Mutex<HashMap<String, Instant>>);

impl KnownPrograms {
    fn is_fresh(&self, hash: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).is_some_and(|written| written.elapsed() < FRESH)
    }

    fn note(&self, hash: &str, written: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(hash.to_owned(), written);
    }
}

/// In seconds since 1970.
fn seconds(time: Timestamp) -> u64 {
    time.since(Timestamp(0)).as_secs()
}

impl Shared {
    /// Stores a program, unless this process did so recently.
    pub async fn keep_program(&self, hash: &str, program: impl FnOnce() -> Vec<u8>) -> Result<(), StorageError> {
        if self.programs.is_fresh(hash) {
            return Ok(());
        }
        let (begun, time) = (Instant::now(), number(seconds(System.now())));
        let written = |key: ItemKey| {
            let mut item = key.item();
            item.insert("t".to_owned(), time.clone());
            item
        };
        let packed = pack(program().into());
        let pieces: Vec<&[u8]> = packed.bytes.chunks(PIECE_BYTES).collect();
        let count = pieces.len().max(1);
        let piece = |index: usize| {
            let mut item = written(program_key(hash, index as u32));
            item.insert("c".to_owned(), bytes(pieces.get(index).copied().unwrap_or_default()));
            item.insert("z".to_owned(), number(packed.is_compressed.into()));
            item.insert("m".to_owned(), number(count as u64));
            item
        };
        // The first piece contains the number of pieces, and is written last.
        for index in (1..count).rev() {
            self.api.put_all(vec![piece(index)]).await?;
        }
        self.api.put_all(vec![written(listed_program_key(hash)), piece(0)]).await?;
        self.programs.note(hash, begun);
        Ok(())
    }

    pub async fn program(&self, hash: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(first) = self.api.get(&program_key(hash, 0)).await? else { return Ok(None) };
        let mut packed = bytes_of(&first, "c").ok_or_else(|| damaged(&first))?.to_vec();
        for index in 1..number_of(&first, "m").unwrap_or(1) {
            let Some(next) = self.api.get(&program_key(hash, index as u32)).await? else { return Ok(None) };
            packed.extend_from_slice(bytes_of(&next, "c").ok_or_else(|| damaged(&next))?);
        }
        unpack(packed, number_of(&first, "z") == Some(1)).map(Some)
    }

    /// Removes the programs that no session uses and that were not written for [`UNUSED`].
    pub async fn remove_unused_programs(&self) -> Result<(), StorageError> {
        let before = seconds(System.now()).saturating_sub(UNUSED.as_secs());
        let is_old = |listed: &Item| number_of(listed, "t").is_some_and(|written| written < before);
        let mut old = self.api.query(whole(PROGRAMS.to_owned(), None)).await?;
        old.retain(is_old);
        if old.is_empty() {
            return Ok(());
        }
        let sessions = self.listed(&Filter::default()).await?;
        let is_used = |hash: &str| sessions.iter().any(|own| text_of(own, "s").is_some_and(|text| text.contains(hash)));
        for listed in &old {
            let hash = bytes_of(listed, SORT).and_then(|hash| std::str::from_utf8(hash).ok());
            let hash = hash.ok_or_else(|| damaged(listed))?;
            if !is_used(hash) && self.remove_program(hash, before).await? {
                debug!(program = hash, "a program that no session has is removed");
            }
        }
        Ok(())
    }

    /// Removes a program unless it was written since this time. It is removed from the list last, so that an
    /// interrupted removal is completed later.
    async fn remove_program(&self, hash: &str, before: u64) -> Result<bool, StorageError> {
        let mut keys: Vec<ItemKey> = Vec::new();
        for piece in self.api.query(whole(program_partition(hash), Some("p, r"))).await? {
            keys.push(ItemKey::of(&piece).ok_or_else(|| damaged(&piece))?);
        }
        keys.push(listed_program_key(hash));
        for key in keys {
            // One piece at a time, because a process may be writing the program again, from the last piece to the
            // first.
            let condition = Expression::new("attribute_not_exists(p) OR t < :t", [(":t", number(before))]);
            if !matches!(self.api.delete(&key, Some(condition)).await?, Written::Done(_)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
