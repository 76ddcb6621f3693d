//! References to blobs, each kept with what refers to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::blob::{BlobError, BlobErrorKind, BlobStore, Digest};
use crate::database::encoding::{Schema, decode, encode};
use crate::database::{Database, DatabaseError, KeyPart, KeyPath, Part, Transaction};
use crate::store::{Key, KeyRange, Order};

const REFERENCES: &str = "b";
const CONDEMNED: &str = "bc";

/// A blob cannot be referred to, or references and blobs cannot be compared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlobReferenceError {
    /// The database said no.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The blob store said no.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// It is being removed just now.
    #[error("blob {digest} is being removed just now: put it again, then refer to it")]
    Condemned {
        /// The blob.
        digest: Digest,
    },
}

impl BlobReferenceError {
    /// Whether the same may work if it is done again, with the blob put before.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Blob(error) => error.kind == BlobErrorKind::Unavailable,
            Self::Condemned { .. } => true,
        }
    }
}

/// How many references a blob has; not there for none.
#[derive(Debug, Serialize, Deserialize)]
struct Count {
    references: u64,
}

impl Schema for Count {
    const KIND: &'static str = "number of references to a blob";
}

/// A mark on a blob that is being removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Condemned {
    pub(super) since: Timestamp,
    pub(super) by: Uuid,
}

impl Schema for Condemned {
    const KIND: &'static str = "mark on a blob that is removed";
}

/// The references to blobs.
#[derive(Debug, Clone)]
pub struct BlobReferences {
    pub(super) database: Database,
}

/// A reference whose blob is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingBlob {
    /// The blob.
    pub digest: Digest,
    /// The parts of what refers to it.
    pub owner: Vec<Part>,
}

/// What a part of a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlobCheck {
    /// References without a blob.
    pub missing: Vec<MissingBlob>,
    /// From where to go on; `None` when all was checked.
    pub resume: Option<Key>,
}

impl BlobReferences {
    /// Those kept in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Refers to a blob that was put. `owner` names what refers to it; the
    /// same reference made again changes nothing.
    ///
    /// # Errors
    /// [`BlobReferenceError::Condemned`] while the blob is being removed: put
    /// it again and try again. When it cannot be read.
    pub async fn add_in(
        transaction: &mut Transaction,
        digest: &Digest,
        owner: impl KeyPart + Send,
    ) -> Result<(), BlobReferenceError> {
        let (count, condemned) = (count_key(digest)?, condemned_key(digest)?);
        let reference = reference_key(digest, owner)?;
        transaction.prefetch(&[count.clone(), condemned.clone(), reference.clone()]).await?;
        if transaction.get_raw(&condemned).await?.is_some() {
            return Err(BlobReferenceError::Condemned { digest: *digest });
        }
        if transaction.get_raw(&reference).await?.is_some() {
            return Ok(());
        }
        let references = references_in(transaction, &count).await?.saturating_add(1);
        put(transaction, count, &Count { references })?;
        transaction.put_raw(reference, "");
        Ok(())
    }

    /// Refers to a blob no more; when that was the last reference, the next
    /// collection removes it. A reference that is not there changes nothing.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn remove_in(
        transaction: &mut Transaction,
        digest: &Digest,
        owner: impl KeyPart + Send,
    ) -> Result<(), BlobReferenceError> {
        let (count, reference) = (count_key(digest)?, reference_key(digest, owner)?);
        transaction.prefetch(&[count.clone(), reference.clone()]).await?;
        if transaction.get_raw(&reference).await?.is_none() {
            return Ok(());
        }
        transaction.delete_raw(reference);
        match references_in(transaction, &count).await? {
            0 | 1 => transaction.delete_raw(count),
            more => put(transaction, count, &Count { references: more - 1 })?,
        }
        Ok(())
    }

    /// The owners of references to a blob, at most 1000.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn owners(&self, digest: &Digest) -> Result<Vec<Vec<Part>>, BlobReferenceError> {
        let range = path(REFERENCES, digest).below();
        let found = self.database.scan_raw(&range, Order::Ascending, usize::MAX).await?;
        Ok(found.iter().filter_map(|(key, _)| reference_of(key)).map(|(_, owner)| owner).collect())
    }

    /// Looks for references whose blob is not there, among at most 1000 keys
    /// after `resume`; from the first on without it.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn check(
        &self,
        blobs: &dyn BlobStore,
        resume: Option<&Key>,
    ) -> Result<BlobCheck, BlobReferenceError> {
        let mut range = KeyPath::new(REFERENCES).below();
        if let Some(resume) = resume {
            range = range.after(resume);
        }
        let found = self.database.scan_raw(&range, Order::Ascending, usize::MAX).await?;
        let mut check = BlobCheck::default();
        let mut known: Option<(Digest, bool)> = None;
        for (key, _) in &found {
            let Some((digest, owner)) = reference_of(key) else { continue };
            let there = match known {
                Some((known, there)) if known == digest => there,
                _ => blobs.head(&digest).await?.is_some(),
            };
            known = Some((digest, there));
            if !there && self.still(key).await? {
                check.missing.push(MissingBlob { digest, owner });
            }
        }
        check.resume = found.into_iter().next_back().map(|(key, _)| key);
        Ok(check)
    }

    /// Whether a reference is there: it may have been removed meanwhile.
    async fn still(&self, reference: &Key) -> Result<bool, DatabaseError> {
        let found = self.database.get_raw(std::slice::from_ref(reference)).await?;
        Ok(found.into_iter().flatten().next().is_some())
    }
}

fn path(kind: &str, digest: &Digest) -> KeyPath {
    KeyPath::new(kind).then(digest.to_hex())
}

pub(super) fn count_key(digest: &Digest) -> Result<Key, DatabaseError> {
    Ok(path(REFERENCES, digest).key()?)
}

pub(super) fn condemned_key(digest: &Digest) -> Result<Key, DatabaseError> {
    Ok(path(CONDEMNED, digest).key()?)
}

fn reference_key(digest: &Digest, owner: impl KeyPart) -> Result<Key, DatabaseError> {
    Ok(path(REFERENCES, digest).then(owner).key()?)
}

pub(super) fn all_condemned() -> KeyRange {
    KeyPath::new(CONDEMNED).below()
}

/// The digest that a key of this module is about.
pub(super) fn digest_of(key: &Key) -> Option<(Digest, Vec<Part>)> {
    let mut parts = KeyPath::parts(key)?.into_iter().skip(1);
    let Some(Part::Text(hex)) = parts.next() else { return None };
    Some((Digest::from_hex(&hex).ok()?, parts.collect()))
}

/// The blob and the owner, of a key of a reference.
fn reference_of(key: &Key) -> Option<(Digest, Vec<Part>)> {
    digest_of(key).filter(|(_, owner)| !owner.is_empty())
}

async fn references_in(transaction: &mut Transaction, count: &Key) -> Result<u64, DatabaseError> {
    match transaction.get_raw(count).await? {
        Some(value) => Ok(decode::<Count>(count, &value)?.references),
        None => Ok(0),
    }
}

pub(in crate::database) fn put<S: Schema>(
    transaction: &mut Transaction,
    key: Key,
    value: &S,
) -> Result<(), DatabaseError> {
    let value = encode(&key, value)?;
    transaction.put_raw(key, value);
    Ok(())
}
