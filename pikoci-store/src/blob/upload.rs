//! Puts content whose digest and length nobody knows before its end.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload, PutPayloadMut};
use pikoci_core::blob::{Blob, BlobError, BlobErrorKind, Content, Hasher, MAX_BLOB_SIZE_BYTES};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::error::failed;
use super::layout::Place;

/// How long the clearing up after a failed put may take.
const CLEAR_UP: Duration = Duration::from_secs(30);

/// How long a copy may take that goes on after it was answered.
const COPY: Duration = Duration::from_secs(60);

/// How often it is asked, at most, what became of a copy if there is no answer.
const COPY_LOOKS: u32 = 5;

/// Stores what `content` yields.
pub(super) async fn put(place: &Place, content: Content) -> Result<Blob, BlobError> {
    let mut upload = Upload::new(place.clone());
    match upload.all(content).await {
        Ok(blob) => Ok(blob),
        Err(error) => {
            upload.left().clear_up().await;
            Err(error)
        }
    }
}

/// A put that is under way. Dropping it clears up in the background.
struct Upload {
    place: Place,
    hasher: Hasher,
    size_bytes: u64,
    /// The part that is being filled.
    part: PutPayloadMut,
    /// What must be cleared up if this goes no further.
    left: Left,
}

impl Upload {
    fn new(place: Place) -> Self {
        Self {
            left: Left::nothing(place.clone()),
            place,
            hasher: Hasher::new(),
            size_bytes: 0,
            part: PutPayloadMut::new(),
        }
    }

    async fn all(&mut self, mut content: Content) -> Result<Blob, BlobError> {
        while let Some(piece) = content.next().await {
            self.take(piece?).await?;
        }
        self.finish().await
    }

    async fn take(&mut self, mut piece: Bytes) -> Result<(), BlobError> {
        self.size_bytes += piece.len() as u64;
        if self.size_bytes > MAX_BLOB_SIZE_BYTES {
            let message = format!("a blob takes {MAX_BLOB_SIZE_BYTES} bytes at most");
            return Err(BlobError::new(BlobErrorKind::Invalid, message));
        }
        while !piece.is_empty() {
            if self.part.content_length() == self.place.part_bytes {
                let part = std::mem::take(&mut self.part).freeze();
                self.send(part).await?;
            }
            let room = self.place.part_bytes - self.part.content_length();
            let slice = piece.split_to(piece.len().min(room));
            self.hasher.update(&slice);
            // Copied, so that a small piece does not hold on to a large buffer.
            self.part.extend_from_slice(&slice);
        }
        Ok(())
    }

    /// Sends a part, once the one before has been taken.
    async fn send(&mut self, part: PutPayload) -> Result<(), BlobError> {
        self.sent().await?;
        let parts = match &mut self.left.parts {
            Some((_, parts)) => parts,
            parts => {
                let name = self.place.layout.new_upload();
                let begun = self.place.store.put_multipart(&name).await;
                let begun = begun.map_err(|error| self.place.failed(&error))?;
                &mut parts.insert((name, begun)).1
            }
        };
        self.left.sending.spawn(parts.put_part(part));
        Ok(())
    }

    /// Waits until what is being sent has been taken.
    async fn sent(&mut self) -> Result<(), BlobError> {
        while let Some(sent) = self.left.sending.join_next().await {
            let sent = sent.map_err(|error| {
                BlobError::unavailable("the sending of a part was cut off").caused_by(error)
            })?;
            sent.map_err(|error| self.place.failed(&error))?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<Blob, BlobError> {
        let digest = std::mem::take(&mut self.hasher).finish();
        let blob = Blob { digest, size_bytes: self.size_bytes };
        let name = self.place.layout.blob(&digest);
        let rest = std::mem::take(&mut self.part).freeze();
        if self.left.parts.is_none() {
            let put = self.place.store.put(&name, rest).await;
            return put.map(|_| blob).map_err(|error| self.place.failed(&error));
        }
        if rest.content_length() > 0 {
            self.send(rest).await?;
        }
        self.sent().await?;
        if let Some((upload, parts)) = &mut self.left.parts {
            let upload = upload.clone();
            // Whoever drops this meanwhile does not know which of both is left.
            self.left.object = Some(upload.clone());
            parts.complete().await.map_err(|error| self.place.failed(&error))?;
            self.left.parts = None;
            self.rename(&upload, &name, blob.size_bytes).await?;
        }
        Ok(blob)
    }

    /// Gives what was uploaded its name.
    async fn rename(&mut self, from: &Path, to: &Path, size_bytes: u64) -> Result<(), BlobError> {
        let store = &self.place.store;
        let failed = |error| self.place.failed(&error);
        if self.place.directory.is_some() {
            store.rename(from, to).await.map_err(failed)?;
            self.left.object = None;
            return Ok(());
        }
        store.copy(from, to).await.map_err(failed)?;
        if let Err(error) = self.place.copied(to, size_bytes).await {
            // The copy stays, since others may have put and been answered for
            // the same, and so does the source, which it may still need.
            self.left.object = None;
            return Err(error);
        }
        self.left().clear_up().await;
        Ok(())
    }

    /// What there is to clear up, to be done by the caller.
    fn left(&mut self) -> Left {
        std::mem::replace(&mut self.left, Left::nothing(self.place.clone()))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let left = self.left();
        if let (true, Ok(runtime)) = (left.is_any(), Handle::try_current()) {
            runtime.spawn(left.clear_up());
        }
    }
}

impl Place {
    fn failed(&self, error: &object_store::Error) -> BlobError {
        failed(&self.name, "put a blob", error)
    }

    /// Waits until `to` is there whole: Azure may answer while it still copies,
    /// and needs the source for it.
    async fn copied(&self, to: &Path, size_bytes: u64) -> Result<(), BlobError> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(200);
        let mut unanswered = 0;
        loop {
            match self.store.head(to).await {
                Ok(object) if object.size == size_bytes => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    unanswered += 1;
                    if unanswered == COPY_LOOKS || started.elapsed() > COPY {
                        return Err(self.failed(&error));
                    }
                    pause *= 2;
                }
            }
            if started.elapsed() > COPY {
                let message = format!("`{}` did not copy what was put in time", self.name);
                return Err(BlobError::unavailable(message));
            }
            sleep(pause).await;
        }
    }
}

/// What a put leaves when it goes no further.
struct Left {
    place: Place,
    /// The part that is being sent, while the next is filled.
    sending: JoinSet<object_store::Result<()>>,
    /// An upload with some of its parts.
    parts: Option<(Path, Box<dyn MultipartUpload>)>,
    /// A completed upload.
    object: Option<Path>,
}

impl Left {
    fn nothing(place: Place) -> Self {
        Self { place, sending: JoinSet::new(), parts: None, object: None }
    }

    fn is_any(&self) -> bool {
        self.parts.is_some() || self.object.is_some()
    }

    /// Removes it, as well as that can be done; what stays is swept up later.
    async fn clear_up(mut self) {
        let work = async {
            // A part that arrives after the abort would stay.
            while self.sending.join_next().await.is_some() {}
            if let Some((name, parts)) = &mut self.parts
                && let Err(error) = parts.abort().await
            {
                tracing::debug!(%name, %error, "an upload could not be aborted");
            }
            if let Some(name) = &self.object
                && let Err(error) = self.place.store.delete(name).await
            {
                tracing::debug!(%name, %error, "an upload could not be removed");
            }
        };
        if timeout(CLEAR_UP, work).await.is_err() {
            tracing::debug!(store = %self.place.name, "the clearing up took too long");
        }
    }
}
