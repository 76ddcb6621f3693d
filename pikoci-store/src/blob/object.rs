//! [`ObjectBlobStore`]: blobs in anything that `object_store` can speak to.

use std::fmt;
use std::ops::RangeFrom;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future;
use futures_util::stream::{BoxStream, StreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use pikoci_core::blob::{Blob, BlobError, BlobStore, Content, Digest, StoredBlob};

use super::error::failed;
use super::layout::{Layout, Place};
use super::sweep::Sweeper;
use super::{read, upload};

/// How much goes in one piece: the least that S3 takes as a part.
const PART_BYTES: usize = 5 * 1024 * 1024;

/// A [`BlobStore`] over a store of the crate `object_store`. How blobs lie in
/// it stands in the [module's text](super).
pub struct ObjectBlobStore {
    name: Arc<str>,
    /// `None` once it is closed.
    open: Mutex<Option<Open>>,
}

struct Open {
    place: Place,
    /// Sweeps for as long as this is open.
    _sweeper: Sweeper,
}

impl ObjectBlobStore {
    /// Blobs below `prefix` in `store`, which messages call `name`. It must
    /// read what it wrote, and list it, at once. Looks in the background for
    /// uploads that others left behind.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(name: impl Into<String>, store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self::over(Place {
            store,
            layout: Layout::new(Path::from(prefix)),
            name: name.into().into(),
            part_bytes: PART_BYTES,
            directory: None,
        })
    }

    /// Blobs in a local directory, with parts of another size.
    pub(super) fn in_directory(
        name: String,
        store: Arc<dyn ObjectStore>,
        directory: PathBuf,
        part_bytes: usize,
    ) -> Self {
        Self::over(Place {
            store,
            layout: Layout::new(Path::default()),
            name: name.into(),
            part_bytes,
            directory: Some(directory),
        })
    }

    fn over(place: Place) -> Self {
        let sweeper = Sweeper::start(place.clone());
        Self { name: place.name.clone(), open: Mutex::new(Some(Open { place, _sweeper: sweeper })) }
    }

    fn place(&self) -> Result<Place, BlobError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map(|open| open.place.clone()).ok_or_else(BlobError::closed)
    }
}

impl fmt::Debug for ObjectBlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectBlobStore").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Display for ObjectBlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn stored(place: &Place, digest: Digest, object: &ObjectMeta) -> StoredBlob {
    // HTTP tells of one object to the second, and lists more exactly.
    let nanoseconds = match place.directory {
        Some(_) => object.last_modified.timestamp_subsec_nanos(),
        None => 0,
    };
    let last_put = i32::try_from(nanoseconds)
        .ok()
        .and_then(|nanoseconds| Timestamp::new(object.last_modified.timestamp(), nanoseconds).ok());
    StoredBlob {
        blob: Blob { digest, size_bytes: object.size },
        last_put: last_put.unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

#[async_trait]
impl BlobStore for ObjectBlobStore {
    async fn put(&self, content: Content) -> Result<Blob, BlobError> {
        upload::put(&self.place()?, content).await
    }

    async fn get(&self, digest: &Digest, from: RangeFrom<u64>) -> Result<Content, BlobError> {
        read::get(&self.place()?, digest, from.start).await
    }

    async fn head(&self, digest: &Digest) -> Result<Option<StoredBlob>, BlobError> {
        let place = self.place()?;
        match place.store.head(&place.layout.blob(digest)).await {
            Ok(object) => Ok(Some(stored(&place, *digest, &object))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(&self.name, "look for a blob", &error)),
        }
    }

    async fn delete(&self, digest: &Digest) -> Result<(), BlobError> {
        let place = self.place()?;
        match place.store.delete(&place.layout.blob(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(&self.name, "remove a blob", &error)),
        }
    }

    async fn list(&self) -> Result<BoxStream<'static, Result<StoredBlob, BlobError>>, BlobError> {
        let place = self.place()?;
        let found = place.store.list(Some(&place.layout.blobs()));
        let blobs = found.filter_map(move |object| {
            future::ready(match object {
                Ok(object) => {
                    let digest = place.layout.digest(&object.location);
                    digest.map(|digest| Ok(stored(&place, digest, &object)))
                }
                Err(error) => Some(Err(failed(&place.name, "list blobs", &error))),
            })
        });
        Ok(read::until_error(blobs.boxed()))
    }

    async fn close(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
