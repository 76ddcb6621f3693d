//! Opens backends by URL.

use std::sync::Arc;

use pikoci_core::blob::MemoryBlobStore;
use pikoci_core::pubsub::MemoryPubSub;
use pikoci_core::store::MemoryStore;
use pikoci_core::{BlobStore, PubSub, Store};

use crate::error::{OpenError, OpenErrorKind};
use crate::url::BackendUrl;

/// Opens the store at `url`.
///
/// # Errors
/// When it cannot be opened, or is not known to this program.
pub async fn open_store(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    let url: BackendUrl = url.parse()?;
    match url.scheme() {
        "memory" => Ok(Arc::new(MemoryStore::new())),
        _ => Err(unknown(&url, "store", STORES)),
    }
}

/// Opens the pub/sub at `url`.
///
/// # Errors
/// When it cannot be opened, or is not known to this program.
pub async fn open_pubsub(url: &str) -> Result<Arc<dyn PubSub>, OpenError> {
    let url: BackendUrl = url.parse()?;
    match url.scheme() {
        "memory" => Ok(Arc::new(MemoryPubSub::new())),
        _ => Err(unknown(&url, "pub/sub", PUBSUBS)),
    }
}

/// Opens the blob store at `url`.
///
/// # Errors
/// When it cannot be opened, or is not known to this program.
pub async fn open_blobs(url: &str) -> Result<Arc<dyn BlobStore>, OpenError> {
    let url: BackendUrl = url.parse()?;
    match url.scheme() {
        "memory" => Ok(Arc::new(MemoryBlobStore::new())),
        _ => Err(unknown(&url, "blob store", BLOBS)),
    }
}

/// A scheme and the feature that it needs.
type Scheme = (&'static str, &'static str);

const STORES: &[Scheme] = &[
    ("sled", "sled"),
    ("sqlite", "sqlite"),
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
    ("mysql", "mysql"),
    ("mariadb", "mysql"),
    ("etcd", "etcd"),
];

const PUBSUBS: &[Scheme] = &[
    ("nats", "nats"),
    ("amqp", "amqp"),
    ("amqps", "amqp"),
    ("kafka", "kafka"),
    ("redis", "redis"),
    ("rediss", "redis"),
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
];

const BLOBS: &[Scheme] =
    &[("file", "files"), ("s3", "s3"), ("gs", "s3"), ("az", "s3"), ("abfs", "s3")];

/// What to say of a scheme that no arm took.
fn unknown(url: &BackendUrl, what: &str, schemes: &[Scheme]) -> OpenError {
    if let Some((scheme, feature)) = schemes.iter().find(|(scheme, _)| *scheme == url.scheme()) {
        let message =
            format!("this program was built without `{feature}`, which `{scheme}:` needs");
        return OpenError::new(OpenErrorKind::Feature, message);
    }
    let known: Vec<String> = schemes.iter().map(|(scheme, _)| format!("`{scheme}:`")).collect();
    let message = format!("`{url}` is no {what}; known are `memory:`, {}", known.join(", "));
    OpenError::new(OpenErrorKind::Url, message)
}
