//! The removal of blobs that nobody refers to.
//!
//! For each blob that was put long ago and has no reference: mark it as
//! condemned, which forbids references; look again whether it was put
//! meanwhile; remove it if not; take the mark off. Several servers may
//! collect at once. A mark that a killed one left is taken over once it is
//! older than [`TAKE_OVER_AFTER`], which is longer than any call takes.

use std::fmt;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::references::{
    BlobReferenceError, BlobReferences, Condemned, all_condemned, condemned_key, count_key,
    digest_of, put,
};
use crate::blob::{BlobError, BlobStore, Digest, StoredBlob};
use crate::database::DatabaseError;
use crate::database::encoding::decode;
use crate::store::Order;

/// The time in which a blob that was put must be referred to, unless told
/// otherwise: a day. Longer than the clocks of servers and blob store differ.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// The time after which the mark of another collection is taken for left behind.
pub const TAKE_OVER_AFTER: Duration = Duration::from_secs(60 * 60);

/// The blobs whose references are looked up, and that are marked, at once.
const BLOBS_AT_ONCE: usize = 30;

/// What a part of a collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// The blobs that were looked at.
    pub seen: u64,
    /// Those that were removed.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Whether all were looked at.
    pub done: bool,
}

/// A collection that goes on in steps, so that its work can be spread over
/// time; made by [`BlobReferences::collect`]. One that is dropped leaves
/// nothing behind but marks of a step that was under way.
pub struct Collection<'b> {
    references: BlobReferences,
    blobs: &'b dyn BlobStore,
    listed: BoxStream<'static, Result<StoredBlob, BlobError>>,
    grace: Duration,
    by: Uuid,
}

impl fmt::Debug for Collection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collection").field("blobs", &self.blobs).finish_non_exhaustive()
    }
}

impl BlobReferences {
    /// Begins to remove blobs that nobody refers to and that were last put
    /// longer than `grace` ago ([`DEFAULT_GRACE`]). All blobs in `blobs` must
    /// be referred to through this database; others are removed.
    ///
    /// # Errors
    /// When the blobs cannot be listed.
    pub async fn collect<'b>(
        &self,
        blobs: &'b dyn BlobStore,
        grace: Duration,
    ) -> Result<Collection<'b>, BlobReferenceError> {
        let listed = blobs.list().await?;
        let by = self.database.clock().id();
        let collection = Collection { references: self.clone(), blobs, listed, grace, by };
        collection.take_over().await?;
        Ok(collection)
    }
}

impl Collection<'_> {
    /// Looks at up to `limit` blobs, or a few more.
    ///
    /// # Errors
    /// When they cannot be listed, looked up or removed; those before are done.
    pub async fn step(&mut self, limit: u64) -> Result<Collected, BlobReferenceError> {
        let mut collected = Collected::default();
        while collected.seen < limit && !collected.done {
            let mut old = Vec::new();
            while old.len() < BLOBS_AT_ONCE && collected.seen < limit {
                let Some(stored) = self.listed.next().await else {
                    collected.done = true;
                    break;
                };
                let stored = stored?;
                collected.seen += 1;
                if self.is_old(stored.last_put, self.grace) {
                    old.push(stored);
                }
            }
            for stored in self.condemn(old).await? {
                if self.remove(&stored.blob.digest).await? {
                    collected.removed += 1;
                    collected.removed_bytes += stored.blob.size_bytes;
                }
            }
        }
        Ok(collected)
    }

    fn is_old(&self, time: Timestamp, age: Duration) -> bool {
        let now = self.references.database.clock().now();
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        now.duration_since(time) > age
    }

    /// Marks those of these blobs that nobody refers to, and returns them.
    async fn condemn(&self, old: Vec<StoredBlob>) -> Result<Vec<StoredBlob>, DatabaseError> {
        let keys: Vec<_> =
            old.iter().map(|it| count_key(&it.blob.digest)).collect::<Result<_, _>>()?;
        let counts = self.references.database.get_raw(&keys).await?;
        let free = old.into_iter().zip(counts).filter(|(_, count)| count.is_none());
        let free: Vec<StoredBlob> = free.map(|(stored, _)| stored).collect();
        if free.is_empty() {
            return Ok(free);
        }
        let database = &self.references.database;
        let mark = Condemned { since: database.clock().now(), by: self.by };
        database
            .transact(move |transaction| {
                let (free, mark) = (free.clone(), mark.clone());
                Box::pin(async move {
                    let mut keys = Vec::new();
                    for stored in &free {
                        keys.push(count_key(&stored.blob.digest)?);
                        keys.push(condemned_key(&stored.blob.digest)?);
                    }
                    transaction.prefetch(&keys).await?;
                    let mut marked = Vec::new();
                    for stored in free {
                        let condemned = condemned_key(&stored.blob.digest)?;
                        let count = count_key(&stored.blob.digest)?;
                        let referred = transaction.get_raw(&count).await?.is_some();
                        // Another collection is at it.
                        let taken = transaction.get_raw(&condemned).await?.is_some();
                        if !referred && !taken {
                            put(transaction, condemned, &mark)?;
                            marked.push(stored);
                        }
                    }
                    Ok(marked)
                })
            })
            .await
    }

    /// Removes a blob that this collection has marked, unless it was put
    /// meanwhile, and takes the mark off; whether it was removed.
    async fn remove(&self, digest: &Digest) -> Result<bool, BlobReferenceError> {
        let stored = self.blobs.head(digest).await?;
        let old = stored.is_some_and(|stored| self.is_old(stored.last_put, self.grace));
        if old {
            self.blobs.delete(digest).await?;
        }
        let key = condemned_key(digest)?;
        let by = self.by;
        self.references
            .database
            .transact(move |transaction| {
                let key = key.clone();
                Box::pin(async move {
                    if let Some(value) = transaction.get_raw(&key).await?
                        && decode::<Condemned>(&key, &value)?.by == by
                    {
                        transaction.delete_raw(key);
                    }
                    Ok::<_, DatabaseError>(())
                })
            })
            .await?;
        Ok(old)
    }

    /// Goes on where killed collections stopped.
    async fn take_over(&self) -> Result<(), BlobReferenceError> {
        let database = &self.references.database;
        let found = database.scan_raw(&all_condemned(), Order::Ascending, usize::MAX).await?;
        for (key, entry) in found {
            let mark: Condemned = decode(&key, &entry.value).map_err(DatabaseError::from)?;
            let Some((digest, _)) = digest_of(&key) else { continue };
            if !self.is_old(mark.since, TAKE_OVER_AFTER) {
                continue;
            }
            let own = Condemned { since: database.clock().now(), by: self.by };
            let taken = database
                .transact(move |transaction| {
                    let (key, own, mark) = (key.clone(), own.clone(), mark.clone());
                    Box::pin(async move {
                        let Some(value) = transaction.get_raw(&key).await? else {
                            return Ok(false);
                        };
                        if decode::<Condemned>(&key, &value)? != mark {
                            return Ok(false);
                        }
                        put(transaction, key, &own)?;
                        Ok::<_, DatabaseError>(true)
                    })
                })
                .await?;
            if taken {
                self.remove(&digest).await?;
            }
        }
        Ok(())
    }
}
