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
        #[cfg(feature = "sled")]
        "sled" => Ok(Arc::new(crate::store::SledStore::open(url.path()?).await?)),
        #[cfg(feature = "etcd")]
        "etcd" | "etcds" => Ok(Arc::new(crate::store::EtcdStore::open(&url).await?)),
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(Arc::new(crate::store::SqliteStore::open(url.path()?).await?)),
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => crate::store::mysql::open(&url).await,
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => crate::store::postgres::open(&url).await,
        _ => Err(unknown(&url, "store", STORES)),
    }
}

/// Lists what is wrong with the files of the store at `url`; nothing if they
/// are whole. The last line tells how many entries can be read. What a server
/// keeps is for the server to look after: nothing is wrong with it here.
///
/// Nothing that is stored is repaired or changed. Meanwhile the lock of the
/// store is held, and names this process. A `sled:` store is read in a copy
/// inside its directory, which takes as much room again.
///
/// # Errors
/// When it cannot be looked at: it is not there, in use, or no store, or the
/// disk has no room for the copy.
pub async fn verify_store(url: &str) -> Result<Vec<String>, OpenError> {
    let url: BackendUrl = url.parse()?;
    match url.scheme() {
        #[cfg(feature = "sled")]
        "sled" => crate::store::SledStore::verify(url.path()?).await,
        #[cfg(feature = "sqlite")]
        "sqlite" => crate::store::SqliteStore::verify(url.path()?).await,
        _ => Ok(Vec::new()),
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
        #[cfg(feature = "nats")]
        "nats" | "tls" => crate::pubsub::nats::open(&url).await,
        #[cfg(feature = "amqp")]
        "amqp" | "amqps" => crate::pubsub::amqp::open(&url).await,
        #[cfg(feature = "redis")]
        "redis" | "rediss" => crate::pubsub::redis::open(&url).await,
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => crate::pubsub::postgres::open(&url).await,
        #[cfg(feature = "kafka")]
        "kafka" => crate::pubsub::kafka::open(&url).await,
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
        #[cfg(feature = "files")]
        "file" => Ok(Arc::new(crate::blob::open_file(&url).await?)),
        #[cfg(feature = "s3")]
        "s3" | "gs" | "az" | "abfs" => Ok(Arc::new(crate::blob::open_cloud(&url).await?)),
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
    ("etcds", "etcd"),
];

const PUBSUBS: &[Scheme] = &[
    ("nats", "nats"),
    ("tls", "nats"),
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
