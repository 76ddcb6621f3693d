//! Where bulk goes: artifacts, caches, logs of builds that ended. A blob is
//! named by the digest of its content, so it never changes, is stored once
//! however often it is put, and what is read can be proved.
//!
//! ```
//! use futures_util::TryStreamExt;
//! use pikoci_core::blob::{BlobStore, MemoryBlobStore, content};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let blobs = MemoryBlobStore::new();
//! let blob = blobs.put(content("some bytes")).await?;
//! assert_eq!(blob.size_bytes, 10);
//! let read: Vec<bytes::Bytes> = blobs.get(&blob.digest, 0..).await?.try_collect().await?;
//! assert_eq!(read.concat(), b"some bytes");
//! # Ok(())
//! # }
//! ```

mod contract;
mod digest;
mod memory;

pub use contract::{
    Blob, BlobError, BlobErrorKind, BlobStore, Content, MAX_BLOB_SIZE_BYTES, StoredBlob, content,
};
pub use digest::{Digest, Hasher, ParseDigestError};
pub use memory::MemoryBlobStore;
