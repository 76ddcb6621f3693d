//! What is read of a blob, checked where that can be done.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStoreExt};
use pikoci_core::blob::{BlobError, Content, Digest, Hasher, content};

use super::error::{failed, said};
use super::layout::Place;

/// How much of a file is read at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// The content of a blob from byte `start` on.
pub(super) async fn get(place: &Place, digest: &Digest, start: u64) -> Result<Content, BlobError> {
    let name = place.layout.blob(digest);
    let to_error = |error| match error {
        object_store::Error::NotFound { .. } => BlobError::not_found(digest),
        error => failed(&place.name, "read a blob", &error),
    };
    let range = if start == 0 {
        None
    } else {
        // Stores refuse a range that begins at the end or after it.
        if place.store.head(&name).await.map_err(to_error)?.size <= start {
            return Ok(content(Bytes::new()));
        }
        Some(GetRange::Offset(start))
    };
    let options = GetOptions { range, ..GetOptions::default() };
    let found = place.store.get_opts(&name, options).await.map_err(to_error)?;
    let store = place.name.clone();
    let pieces = match found.payload {
        GetResultPayload::File(file, _) => pieces_of_file(file, start, store),
        GetResultPayload::Stream(pieces) => pieces
            .map(move |piece| {
                piece.map_err(|error| {
                    let message = format!("the reading of a blob in `{store}` was cut off");
                    BlobError::unavailable(message).caused_by(said(&error))
                })
            })
            .boxed(),
    };
    Ok(if start == 0 { verified(*digest, pieces) } else { until_error(pieces) })
}

/// Reads a file to its end, whatever its length was when it was opened.
fn pieces_of_file(file: File, start: u64, store: std::sync::Arc<str>) -> Content {
    let read = move |mut file: File, first: bool| {
        if first {
            file.seek(SeekFrom::Start(start))?;
        }
        let mut piece = vec![0; PIECE_BYTES];
        let length = loop {
            match file.read(&mut piece) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                length => break length?,
            }
        };
        piece.truncate(length);
        Ok((Bytes::from(piece), file))
    };
    stream::unfold(Some((file, true)), move |state| {
        let store = store.clone();
        async move {
            let (file, first) = state?;
            let done = tokio::task::spawn_blocking(move || read(file, first)).await;
            match done.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
                Ok((piece, _)) if piece.is_empty() => None,
                Ok((piece, file)) => Some((Ok(piece), Some((file, false)))),
                Err(error) => {
                    let message = format!("failed to read a blob in `{store}`");
                    Some((Err(BlobError::unavailable(message).caused_by(error)), None))
                }
            }
        }
    })
    .boxed()
}

/// The same pieces, and an error after the last one if they are not what the digest says.
fn verified(digest: Digest, pieces: Content) -> Content {
    stream::unfold(Some((pieces, Hasher::new())), move |state| async move {
        let (mut pieces, mut hasher) = state?;
        match pieces.next().await {
            Some(Ok(piece)) => {
                hasher.update(&piece);
                Some((Ok(piece), Some((pieces, hasher))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None if hasher.finish() == digest => None,
            None => Some((Err(BlobError::damaged(&digest)), None)),
        }
    })
    .boxed()
}

/// The same items up to the first error.
pub(super) fn until_error<T: Send + 'static>(
    items: BoxStream<'static, Result<T, BlobError>>,
) -> BoxStream<'static, Result<T, BlobError>> {
    stream::unfold(Some(items), |items| async move {
        let mut items = items?;
        let item = items.next().await?;
        let go_on = item.is_ok();
        Some((item, go_on.then_some(items)))
    })
    .boxed()
}
