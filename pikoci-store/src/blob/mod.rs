//! Blobs in a local directory and in object stores.
//!
//! Every one is an [`ObjectBlobStore`] over a store of the crate
//! `object_store`; they differ in how they are opened. What is stored looks
//! the same everywhere:
//!
//! | name | holds |
//! |---|---|
//! | `sha256/ab/abcdef…` | a blob: its content and nothing else, named by the 64 hexadecimal digits of its digest, in 256 groups by the first two |
//! | `tmp/<uuid>` | content that is on its way; of no use once its `put` has ended |
//!
//! Content of up to a part's size (1 MiB in a directory, 5 MiB elsewhere) is
//! put under its name at once. Larger content goes to `tmp/` while it is
//! hashed and is renamed or copied when its digest is known. Memory holds
//! two parts of it at most.
//!
//! A process that is killed leaves its upload behind. What lies in `tmp/` for
//! more than a day is removed: when the store is opened and once a day, in
//! the background. Parts of an upload that was never completed cannot be seen
//! by other clients in S3 and its kin; give the bucket a lifecycle rule that
//! aborts incomplete multipart uploads after a day or two.

#[cfg(feature = "s3")]
mod cloud;
mod error;
mod file;
mod layout;
mod object;
mod read;
mod sweep;
mod upload;

#[cfg(feature = "s3")]
pub(crate) use cloud::open as open_cloud;
pub(crate) use file::open as open_file;
pub use object::ObjectBlobStore;
