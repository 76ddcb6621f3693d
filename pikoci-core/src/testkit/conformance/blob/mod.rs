//! What every [`BlobStore`](crate::blob::BlobStore) must do.
//!
//! One line turns each behaviour into a test of its own:
//!
//! ```
//! use std::sync::Arc;
//!
//! use pikoci_core::blob::MemoryBlobStore;
//! use pikoci_core::testkit::conformance::blob::BlobFixture;
//!
//! async fn fixture() -> Option<BlobFixture> {
//!     Some(BlobFixture::new(Arc::new(MemoryBlobStore::new())))
//! }
//!
//! pikoci_core::blob_conformance!(fixture);
//! ```

mod content;
mod fixture;
mod life;
mod partial;
mod suite;

pub use content::{
    a_read_may_start_anywhere, an_empty_blob_is_a_blob, many_put_and_read_at_once,
    the_same_content_is_one_blob, what_was_put_is_read,
};
pub use fixture::BlobFixture;
pub use life::{
    a_blob_put_again_counts_as_put_then, a_blob_store_names_itself,
    a_closed_blob_store_answers_that_it_is, a_deleted_blob_is_gone, all_blobs_are_listed,
    what_is_not_there_is_not_found,
};
pub use partial::{
    a_dropped_put_leaves_nothing, a_failing_content_leaves_nothing,
    a_put_is_seen_when_it_is_complete, a_read_may_be_dropped,
};
pub use suite::run_all;
