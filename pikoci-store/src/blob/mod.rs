//! Backends of [`BlobStore`](pikoci_core::BlobStore).
