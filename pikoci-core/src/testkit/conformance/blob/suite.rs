//! All behaviours, as one call and as one test each.

use super::fixture::BlobFixture;

/// Runs all behaviours, one after the other, each over a fixture of its own;
/// none where there is no fixture.
///
/// # Panics
/// When the blob store breaks its contract.
pub async fn run_all<F, Made>(fixture: F)
where
    F: Fn() -> Made,
    Made: Future<Output = Option<BlobFixture>>,
{
    crate::blob_conformance!(@each run fixture);
}

/// A test for each behaviour that a [`BlobStore`](crate::blob::BlobStore) must have.
///
/// It takes the path of a function, `async fn fixture() -> Option<BlobFixture>`;
/// with `None` a test is skipped, which the function should say. The tests need
/// `tokio` with its macros and its runtime of many threads.
#[macro_export]
macro_rules! blob_conformance {
    ($fixture:path $(,)?) => {
        $crate::blob_conformance!(@each tests $fixture);
    };
    (@each $what:ident $fixture:path) => {
        $crate::__conformance! { $what blob $fixture:
            what_was_put_is_read
            an_empty_blob_is_a_blob
            a_read_may_start_anywhere
            the_same_content_is_one_blob
            many_put_and_read_at_once
            a_failing_content_leaves_nothing
            a_dropped_put_leaves_nothing
            a_put_is_seen_when_it_is_complete
            a_read_may_be_dropped
            what_is_not_there_is_not_found
            a_deleted_blob_is_gone
            all_blobs_are_listed
            a_blob_put_again_counts_as_put_then
            a_blob_store_names_itself
            a_closed_blob_store_answers_that_it_is
        }
    };
}
