//! Large contents as objects in a bucket of S3.
//!
//! An object's name is that of the part, and a number that its writer has drawn: `TABLE/SESSION/PART.NUMBER.INDEX`. So to write it
//! again changes nothing, and whoever deletes a part that nothing uses any more deletes no object of a process that is writing the
//! same part anew. The part's item says which bucket has the objects: others read and delete them whatever their settings say.
//!
//! A process that is lost between its objects and their item leaves objects that no item names. They go with the session; those of
//! a session that has expired, or that never began, go when somebody prunes.

use std::collections::BTreeSet;
use std::time::Duration;

use hark_engine::rows::PartName;
use hark_engine::{Key, SessionId, StorageError};
use tracing::debug;

use super::api::Api;
use super::bucket::{Bucket, Listed};
use super::item::{Item, damaged, text_of};
use super::layout::row_key;
use crate::surroundings::random;

/// Fewer bytes stay in the part's item, where they cost less: writing an object costs as much as 8 KB there.
pub(super) const OBJECT_BYTES_MIN: usize = 16 << 10;
/// The most bytes of an object.
const OBJECT_BYTES_MAX: usize = 1 << 20;

/// Younger objects may belong to a session that somebody begins or imports.
const ABANDONED_AGE: Duration = Duration::from_secs(86_400);
/// How many sessions are looked for at a time.
const SESSIONS_TOGETHER: usize = 100;

/// Where a part's objects are, as the part's item has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Objects {
    bucket: String,
    number: u64,
    count: usize,
}

impl Objects {
    /// What the attribute `o` of an item says.
    pub fn of(item: &Item) -> Result<Option<Objects>, StorageError> {
        let Some(text) = text_of(item, "o") else { return Ok(None) };
        let mut parts = text.split('/');
        let objects = (|| {
            let (bucket, number, count) = (parts.next()?.to_owned(), parts.next()?, parts.next()?);
            Some(Objects { bucket, number: u64::from_str_radix(number, 16).ok()?, count: count.parse().ok()? })
        })();
        objects.map(Some).ok_or_else(|| damaged(item))
    }

    /// The attribute's text.
    pub fn text(&self) -> String {
        format!("{}/{:x}/{}", self.bucket, self.number, self.count)
    }

    /// Writes a part's objects, to which nothing refers yet.
    pub async fn write(
        api: &Api,
        id: &SessionId,
        bucket: &str,
        name: &PartName,
        content: &[u8],
    ) -> Result<Objects, StorageError> {
        let count = content.len().div_ceil(OBJECT_BYTES_MAX);
        let objects = Objects { bucket: bucket.to_owned(), number: random(), count };
        let put = |(key, content): (String, &[u8])| {
            let (bucket, content) = (objects.open(api), content.to_vec());
            async move { bucket.put(&key, &content).await }
        };
        Api::all(objects.keys(api, id, name).zip(content.chunks(OBJECT_BYTES_MAX)).map(put)).await?;
        Ok(objects)
    }

    pub async fn read(&self, api: &Api, id: &SessionId, name: &PartName) -> Result<Vec<u8>, StorageError> {
        let get = |key: String| {
            let bucket = self.open(api);
            async move { bucket.get(&key).await }
        };
        Ok(Api::all(self.keys(api, id, name).map(get)).await?.concat())
    }

    pub async fn delete(&self, api: &Api, id: &SessionId, name: &PartName) -> Result<(), StorageError> {
        delete_all(&self.open(api), self.keys(api, id, name)).await
    }

    fn open(&self, api: &Api) -> Bucket {
        Bucket::new(api, &self.bucket)
    }

    fn keys(&self, api: &Api, id: &SessionId, name: &PartName) -> impl Iterator<Item = String> {
        let kind = match name {
            PartName::Piece(_) => "piece",
            PartName::Pickle(_) => "pickle",
        };
        let hash: String = name.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let begin = format!("{}{kind}-{hash}.{:x}", folder(api, id), self.number);
        (0..self.count).map(move |index| format!("{begin}.{index}"))
    }
}

/// Whether contents of this size go into a bucket, and into which.
pub(super) fn bucket_for(api: &Api, bytes: usize) -> Option<&str> {
    api.settings().bucket.as_deref().filter(|_| bytes >= OBJECT_BYTES_MIN)
}

/// What the names of all objects of a session begin with.
fn folder(api: &Api, id: &SessionId) -> String {
    format!("{}/{id}/", api.table())
}

async fn delete_all(bucket: &Bucket, keys: impl IntoIterator<Item = String>) -> Result<(), StorageError> {
    let delete = |key: String| {
        let bucket = bucket.clone();
        async move { bucket.delete(&key).await }
    };
    Api::all(keys.into_iter().map(delete)).await.map(drop)
}

/// Removes all objects of a session whose own row is gone: in the buckets that its items name, and in the one that this process
/// writes to, in which a lost process may have left some.
pub(super) async fn remove_all(api: &Api, id: &SessionId, items: &[Item]) -> Result<(), StorageError> {
    let mut buckets: BTreeSet<String> = api.settings().bucket.iter().cloned().collect();
    for item in items {
        buckets.extend(Objects::of(item)?.map(|objects| objects.bucket));
    }
    for bucket in buckets {
        let bucket = Bucket::new(api, &bucket);
        let found = bucket.list(&folder(api, id)).await?;
        delete_all(&bucket, found.into_iter().map(|listed| listed.key)).await?;
    }
    Ok(())
}

/// Removes the objects of sessions that are not in the table: they have expired, or never began.
pub(super) async fn remove_abandoned(api: &Api) -> Result<(), StorageError> {
    let Some(bucket) = &api.settings().bucket else { return Ok(()) };
    let bucket = Bucket::new(api, bucket);
    let folders = bucket.folders(&format!("{}/", api.table())).await?;
    let ids: Vec<SessionId> = folders.iter().filter_map(|folder| SessionId::parse(folder)).collect();
    for some in ids.chunks(SESSIONS_TOGETHER) {
        let keys: Vec<_> = some.iter().map(|id| row_key(id, &Key::Session)).collect();
        let there = api.get_all(&keys).await?;
        for (id, _) in some.iter().zip(&keys).filter(|(_, key)| !there.contains_key(key)) {
            let found = bucket.list(&folder(api, id)).await?;
            let old = found.into_iter().filter(|Listed { age, .. }| *age > ABANDONED_AGE).map(|listed| listed.key);
            let old: Vec<String> = old.collect();
            if !old.is_empty() {
                debug!(session = %id, objects = old.len(), "objects of a session that is gone are removed");
            }
            delete_all(&bucket, old).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::item::text;
    use super::*;

    #[test]
    fn an_item_says_where_its_objects_are() {
        let objects = Objects { bucket: "my.bucket".to_owned(), number: 0xabc, count: 3 };
        let item = |told: &str| Item::from([("o".to_owned(), text(told))]);
        assert_eq!(Objects::of(&item(&objects.text())), Ok(Some(objects)));
        assert_eq!(Objects::of(&Item::new()), Ok(None));
        assert!(Objects::of(&item("my.bucket/xyz")).is_err());
    }
}
