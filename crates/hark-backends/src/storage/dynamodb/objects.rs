//! Large contents as objects in an S3 bucket.
//!
//! An object's name consists of the name of the part and a random number of its writer:
//! `TABLE/SESSION/PART.NUMBER.INDEX`. So writing it again changes nothing, and a process that deletes an unused part
//! deletes no object of a process that is writing the same part again. The part's item names the bucket, so that others
//! read and delete the objects whatever their settings are.
//!
//! A process that is lost after writing objects and before writing their item leaves objects that no item names. They
//! are removed with the session. Those of a session that has expired, or that never began, are removed by `prune`.

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

/// Smaller contents stay in the part's item, where they cost less: writing an object costs as much as writing 8 KB
/// there.
pub(super) const OBJECT_BYTES_MIN: usize = 16 << 10;
/// The maximum size of an object in bytes.
const OBJECT_BYTES_MAX: usize = 1 << 20;

/// Younger objects may belong to a session that is being started or imported.
const ABANDONED_AGE: Duration = Duration::from_secs(86_400);
/// The number of sessions looked up at a time.
const SESSIONS_TOGETHER: usize = 100;

/// The place of a part's objects, as in the part's item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Objects {
    bucket: String,
    number: u64,
    count: usize,
}

impl Objects {
    /// Reads the attribute `o` of an item.
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

/// The bucket for contents of this size, if they go into one.
pub(super) fn bucket_for(api: &Api, bytes: usize) -> Option<&str> {
    api.settings().bucket.as_deref().filter(|_| bytes >= OBJECT_BYTES_MIN)
}

/// The prefix of the names of a session's objects.
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

/// Removes all objects of a session whose own row is gone: in the buckets that its items name, and in this process's
/// bucket, where a lost process may have left some.
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
