//! A storage of plain files: one for each session, one for what belongs to none, one for each program. A change reads its file, and
//! writes it anew under another name, which it then takes: so it happens or it does not. One lock is over all changes.
//!
//! It implements the byte port, with leased threads. It is as short as that allows, and none of its requests is fast: each reads all
//! of a file, and those that ask for what is due read all files.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hark_engine::rows::{
    AllRows, DueKind, DueNumber, DueRow, DueRows, Lookup, PartChange, PartName, Row, RowChange, RowRange, RowStorage,
    RowTenure, SessionEntry, SessionRows, SetDue,
};
use hark_engine::{
    Filter, FutureId, Key, Outcome, SessionId, Space, SpaceCommit, SpaceKey, SpaceRecord, Stamp, StorageError,
};

/// What is in a file: values under keys, in their order.
type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// The first byte of a key in a session's file: what its value is.
const ROW: u8 = b'r';
const PART: u8 = b'p';
const PAGE: u8 = b'h';
/// One past the last thread number that was reserved.
const NUMBER: &[u8] = b"n";

/// How soon a process looks whether others have news.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// A folder of files.
#[derive(Clone)]
pub struct Files {
    folder: PathBuf,
    lease: Duration,
    news: Arc<News>,
}

/// What this process has heard of the others: each that has news makes the file `news` longer.
#[derive(Default)]
struct News {
    /// How long the file was when it was looked at last, and whether this process has rung since.
    heard: Mutex<(u64, bool)>,
    rung: Condvar,
}

/// One session's file.
struct SessionFile {
    files: Files,
    id: SessionId,
}

impl Files {
    /// Keeps sessions in this folder, which is made if it does not exist. Whoever is still for longer than the lease loses its threads.
    pub fn open(folder: &Path, lease: Duration) -> io::Result<Files> {
        for part in ["sessions", "programs"] {
            fs::create_dir_all(folder.join(part))?;
        }
        Ok(Files { folder: folder.to_path_buf(), lease, news: Arc::default() })
    }

    fn session_path(&self, id: &SessionId) -> PathBuf {
        self.folder.join("sessions").join(id.as_str())
    }

    /// Changes a file, if `change` says so, and answers what that answers. Nobody else changes one meanwhile.
    fn change<T>(
        &self,
        path: &Path,
        change: impl FnOnce(&mut Map) -> Result<(bool, T), StorageError>,
    ) -> Result<T, StorageError> {
        let lock = File::create(self.folder.join("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut map = read(path)?;
        let (is_changed, answer) = change(&mut map)?;
        if is_changed {
            write(path, &map).map_err(failed)?;
        }
        Ok(answer)
    }

    fn ids(&self) -> Result<Vec<SessionId>, StorageError> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(self.folder.join("sessions")).map_err(failed)? {
            // Files that are being written have names that are no ids.
            ids.extend(entry.map_err(failed)?.file_name().to_str().and_then(SessionId::parse));
        }
        ids.sort();
        Ok(ids)
    }
}

/// What a file says. One that is not there has nothing.
fn read(path: &Path) -> Result<Map, StorageError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        bytes => bytes.map_err(failed)?,
    };
    let (mut map, mut rest) = (Map::new(), &bytes[..]);
    while !rest.is_empty() {
        let mut next = || {
            let (length, after) = rest.split_first_chunk()?;
            let (bytes, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = after;
            Some(bytes.to_vec())
        };
        let entry = next().and_then(|key| Some((key, next()?)));
        map.extend([entry.ok_or_else(|| StorageError::Permanent(format!("`{}` is damaged", path.display())))?]);
    }
    Ok(map)
}

fn write(path: &Path, map: &Map) -> io::Result<()> {
    let mut bytes = Vec::new();
    for part in map.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend((part.len() as u32).to_le_bytes());
        bytes.extend(part);
    }
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(path))?.sync_all()
}

fn failed(error: io::Error) -> StorageError {
    StorageError::Transient(error.to_string())
}

fn under(kind: u8, name: &[u8]) -> Vec<u8> {
    [&[kind], name].concat()
}

fn row_of(map: &Map, key: &Key) -> Result<Option<Row>, StorageError> {
    map.get(&under(ROW, &key.encode())).map(|bytes| Row::from_bytes(bytes)).transpose().map_err(Into::into)
}

/// The rows in a range of keys.
fn rows_of(map: &Map, keys: Range<Vec<u8>>) -> impl Iterator<Item = Result<(Key, Row), StorageError>> {
    let within = map.range(under(ROW, &keys.start)..under(ROW, &keys.end));
    within.map(|(key, bytes)| {
        let key = Key::decode(&key[1..]).map_err(|error| StorageError::Permanent(error.to_string()))?;
        Ok((key, Row::from_bytes(bytes)?))
    })
}

fn all_keys() -> Range<Vec<u8>> {
    vec![0]..vec![u8::MAX]
}

/// One past the greatest thread number that was reserved, or that a row has.
fn next_number(map: &Map) -> Result<u64, StorageError> {
    let mut next = map.get(NUMBER).map_or(0, |bytes| number(bytes));
    for row in rows_of(map, all_keys()) {
        if let (Key::Live(thread) | Key::Future(FutureId::Thread(thread)), _) = row? {
            next = next.max(thread.0 + 1);
        }
    }
    Ok(next)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Makes a change, if all is as it expects.
fn make(map: &mut Map, change: RowChange) -> Result<Outcome, StorageError> {
    let is_there = |map: &Map, key: &Key| map.contains_key(&under(ROW, &key.encode()));
    let writes = change.written().next().is_some();
    if writes && !is_there(map, &Key::Session) && !change.written().any(|(key, _)| *key == Key::Session) {
        return if change.expect.is_empty() { Err(StorageError::Gone) } else { Ok(Outcome::Conflict) };
    }
    for (key, expected) in &change.expect {
        if row_of(map, key)?.map(|row| row.stamp) != *expected {
            return Ok(Outcome::Conflict);
        }
    }
    for (key, row) in change.written() {
        map.insert(under(ROW, &key.encode()), row.to_bytes());
    }
    for key in &change.delete {
        map.remove(&under(ROW, &key.encode()));
    }
    if let Some(renewal) = change.renew
        && let Some(mut row) = row_of(map, &renewal.key)?
    {
        row.stamp = change.stamp;
        if let Some((summary, seal)) = renewal.summary {
            (row.summary, row.seal) = (summary, seal);
        }
        map.insert(under(ROW, &renewal.key.encode()), row.to_bytes());
    }
    change.parts.into_iter().try_for_each(|change| count(map, change))?;
    for page in change.history {
        let last = map.range(vec![PAGE]..vec![PAGE + 1]).next_back().map_or(0, |(key, _)| number(&key[1..]));
        map.insert(under(PAGE, &(last + 1).to_be_bytes()), page.into_bytes());
    }
    Ok(Outcome::Done)
}

/// Changes when a row is due, if it has the expected version.
fn set_due(map: &mut Map, SetDue { key, expected, stamp, due, .. }: &SetDue) -> Result<bool, StorageError> {
    let Some(mut row) = row_of(map, key)?.filter(|row| row.stamp == *expected) else {
        return Ok(false);
    };
    (row.due, row.stamp) = (*due, stamp.unwrap_or(row.stamp));
    map.insert(under(ROW, &key.encode()), row.to_bytes());
    Ok(true)
}

/// A part has its count before its bytes.
fn count(map: &mut Map, PartChange { name, uses, part }: PartChange) -> Result<(), StorageError> {
    let key = under(PART, name.as_bytes());
    let known = map.get(&key).map_or(0, |known| number(known));
    let count = known.saturating_add_signed(uses);
    match (part, map.get_mut(&key)) {
        (_, Some(known)) if count > 0 => known[..8].copy_from_slice(&count.to_be_bytes()),
        (Some(part), None) => {
            let bytes = part.bytes().map_err(failed)?;
            map.insert(key, [&count.to_be_bytes(), &*bytes].concat());
        }
        _ => drop(map.remove(&key)),
    }
    Ok(())
}

impl SessionFile {
    fn map(&self) -> Result<Map, StorageError> {
        read(&self.files.session_path(&self.id))
    }

    /// Makes changes, each if all is as it expects. The file is written once; if that fails, none is made.
    fn make_all(&self, changes: Vec<RowChange>) -> Result<Vec<Outcome>, StorageError> {
        for program in changes.iter().filter_map(|change| change.program.as_ref()) {
            self.files.put_program(&program.hash(), &program.bytes())?;
        }
        self.files.change(&self.files.session_path(&self.id), |map| {
            let outcomes = changes.into_iter().map(|change| make(map, change)).collect::<Result<Vec<_>, _>>()?;
            Ok((outcomes.contains(&Outcome::Done), outcomes))
        })
    }
}

impl SessionRows for SessionFile {
    fn read(&self, keys: &[Lookup<'_>]) -> Result<Vec<Option<Row>>, StorageError> {
        let map = self.map()?;
        keys.iter().map(|lookup| row_of(&map, lookup.key)).collect()
    }

    fn scan(&self, range: &RowRange, limit: usize) -> Result<Vec<(Key, Row)>, StorageError> {
        rows_of(&self.map()?, range.bounds()).take(limit).collect()
    }

    fn commit(&self, change: RowChange) -> Result<Outcome, StorageError> {
        self.make_all(vec![change]).map(|outcomes| outcomes[0])
    }

    fn commit_all(&self, changes: Vec<RowChange>) -> Vec<Result<Outcome, StorageError>> {
        let count = changes.len();
        match self.make_all(changes) {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error); count],
        }
    }

    fn reserve(&self, count: u64) -> Result<u64, StorageError> {
        self.files.change(&self.files.session_path(&self.id), |map| {
            let first = next_number(map)?;
            map.insert(NUMBER.to_vec(), first.saturating_add(count).to_be_bytes().to_vec());
            Ok((count > 0, first))
        })
    }

    fn parts(&self, names: &[PartName]) -> Result<Vec<Option<Vec<u8>>>, StorageError> {
        let map = self.map()?;
        let bytes = |name: &PartName| map.get(&under(PART, name.as_bytes())).map(|part| part[8..].to_vec());
        Ok(names.iter().map(bytes).collect())
    }

    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StorageError> {
        let map = self.map()?;
        let pages = map.range(under(PAGE, &(after + 1).to_be_bytes())..vec![PAGE + 1]).take(limit);
        Ok(pages.map(|(key, page)| (number(&key[1..]), String::from_utf8_lossy(page).into_owned())).collect())
    }

    fn all(&self) -> Result<AllRows, StorageError> {
        let map = self.map()?;
        let pages = map.range(vec![PAGE]..vec![PAGE + 1]).map(|(_, page)| String::from_utf8_lossy(page).into_owned());
        Ok(AllRows { rows: rows_of(&map, all_keys()).collect::<Result<_, _>>()?, history: pages.collect() })
    }
}

impl RowStorage for Files {
    fn name(&self) -> String {
        format!("`{}`", self.folder.display())
    }

    fn session(&self, id: &SessionId) -> Result<Arc<dyn SessionRows>, StorageError> {
        Ok(Arc::new(SessionFile { files: self.clone(), id: id.clone() }))
    }

    fn space(&self) -> &dyn Space {
        self
    }

    fn tenure(&self) -> RowTenure<'_> {
        RowTenure::Due(self)
    }

    fn put_program(&self, hash: &str, program: &[u8]) -> Result<(), StorageError> {
        let path = self.folder.join("programs").join(hash);
        self.change(&path, |map| Ok((map.insert(Vec::new(), program.to_vec()).as_deref() != Some(program), ())))
    }

    fn program(&self, hash: &str) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(read(&self.folder.join("programs").join(hash))?.remove(&Vec::new()))
    }

    fn summary(&self, id: &SessionId) -> Result<Option<Row>, StorageError> {
        row_of(&read(&self.session_path(id))?, &Key::Session)
    }

    fn sessions(&self, filter: &Filter) -> Result<Vec<SessionEntry>, StorageError> {
        let mut entries = Vec::new();
        for id in self.ids()?.into_iter().rev() {
            let map = read(&self.session_path(&id))?;
            let Some(row) = row_of(&map, &Key::Session)? else { continue };
            let is_wanted = filter.prefix.as_ref().is_none_or(|prefix| id.as_str().starts_with(prefix))
                && row.listing.as_ref().is_some_and(|listing| {
                    let is_outside = |(before, after)| listing.ended.is_some_and(|at| at <= before || at > after);
                    filter.state.is_none_or(|state| state.name() == listing.state)
                        && filter.ended_outside.is_none_or(is_outside)
                });
            if is_wanted && filter.limit.is_none_or(|limit| entries.len() < limit) {
                entries.push(SessionEntry { id, row: Ok(row), threads: next_number(&map)?, is_served: false });
            }
        }
        Ok(entries)
    }

    fn remove(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        // A file without rows is as good as none.
        self.change(&self.session_path(id), |map| {
            let is_unchanged = row_of(map, &Key::Session)?.is_some_and(|row| row.stamp == expected);
            map.retain(|_, _| !is_unchanged);
            Ok((is_unchanged, is_unchanged))
        })
    }

    fn clear(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.change(&self.session_path(id), |map| {
            let is_unchanged = row_of(map, &Key::Session)?.is_some_and(|row| row.stamp == expected);
            let own = under(ROW, &Key::Session.encode());
            map.retain(|key, _| !is_unchanged || *key == own);
            Ok((is_unchanged, is_unchanged))
        })
    }

    fn wait_for_news(&self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        let mut heard = self.news.heard.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let length = fs::metadata(self.folder.join("news")).map_or(0, |news| news.len());
            let (has_news, has_rung) = (length != heard.0, heard.1);
            *heard = (length, false);
            let left = until.saturating_duration_since(Instant::now());
            if has_news || has_rung || left.is_zero() {
                return has_news;
            }
            let waited = self.news.rung.wait_timeout(heard, left.min(LOOK_PAUSE));
            heard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn ring(&self) {
        self.news.heard.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.news.rung.notify_all();
    }

    fn announce(&self) {
        // If that fails they look a little later.
        let news = File::options().create(true).append(true).open(self.folder.join("news"));
        let _ = news.and_then(|mut news| news.write_all(b"!"));
    }
}

impl DueRows for Files {
    fn lease(&self) -> Duration {
        self.lease
    }

    fn due(
        &self,
        kind: DueKind<'_>,
        only: Option<&SessionId>,
        after: DueNumber,
        until: DueNumber,
        limit: usize,
    ) -> Result<Vec<DueRow>, StorageError> {
        let mut found = Vec::new();
        for session in self.ids()?.into_iter().filter(|id| only.is_none_or(|only| only == id)) {
            for row in rows_of(&read(&self.session_path(&session))?, all_keys()) {
                let (key, row) = row?;
                let is_wanted = match key {
                    Key::Live(_) | Key::Ready(_) => matches!(kind, DueKind::Threads(pools) if pools.serve(&row.place)),
                    Key::Todo(_) | Key::Cascade(_) => matches!(kind, DueKind::Leftovers),
                    _ => false,
                };
                if is_wanted && row.due.is_some_and(|due| due > after && due <= until) {
                    found.push(DueRow { session: session.clone(), key, row });
                }
            }
        }
        found.sort_by_key(|found| (Reverse(found.row.priority), found.row.due));
        found.truncate(limit);
        Ok(found)
    }

    fn set_due(&self, changes: &[SetDue]) -> Result<Vec<bool>, StorageError> {
        let mut all = Vec::with_capacity(changes.len());
        // The file of a session is written once.
        for changes in changes.chunk_by(|one, next| one.session == next.session) {
            let set = self.change(&self.session_path(&changes[0].session), |map| {
                let set = changes.iter().map(|change| set_due(map, change)).collect::<Result<Vec<bool>, _>>()?;
                Ok((set.contains(&true), set))
            });
            all.extend(set?);
        }
        Ok(all)
    }
}

fn record_of(map: &Map, key: &SpaceKey) -> Option<SpaceRecord> {
    let (stamp, content) = map.get(key)?.split_first_chunk()?;
    let stamp = Stamp(NonZeroU64::new(u64::from_be_bytes(*stamp))?);
    Some(SpaceRecord { stamp, content: content.to_vec() })
}

impl Space for Files {
    fn read(&self, keys: &[SpaceKey]) -> Result<Vec<Option<SpaceRecord>>, StorageError> {
        let map = read(&self.folder.join("space"))?;
        Ok(keys.iter().map(|key| record_of(&map, key)).collect())
    }

    fn scan(&self, range: Range<SpaceKey>, limit: usize) -> Result<Vec<(SpaceKey, SpaceRecord)>, StorageError> {
        let map = read(&self.folder.join("space"))?;
        // A range of a map that ends before it begins would panic.
        let found = map
            .range(range.start.clone()..range.end.max(range.start))
            .filter_map(|(key, _)| Some((key.clone(), record_of(&map, key)?)));
        Ok(found.take(limit).collect())
    }

    fn commit(&self, commit: &SpaceCommit) -> Result<Outcome, StorageError> {
        self.change(&self.folder.join("space"), |map| {
            let is_expected =
                |(key, stamp): &(SpaceKey, Option<Stamp>)| record_of(map, key).map(|record| record.stamp) == *stamp;
            if !commit.expect.iter().all(is_expected) {
                return Ok((false, Outcome::Conflict));
            }
            for (key, content) in &commit.put {
                map.insert(key.clone(), [&commit.stamp.0.get().to_be_bytes(), &content[..]].concat());
            }
            for key in &commit.delete {
                map.remove(key);
            }
            Ok((true, Outcome::Done))
        })
    }
}
