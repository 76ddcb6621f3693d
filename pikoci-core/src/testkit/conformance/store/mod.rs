//! What every [`Store`](crate::store::Store) must do.
//!
//! One line turns each behaviour into a test of its own:
//!
//! ```
//! use std::sync::Arc;
//!
//! use pikoci_core::store::MemoryStore;
//! use pikoci_core::testkit::conformance::store::StoreFixture;
//!
//! async fn fixture() -> Option<StoreFixture> {
//!     Some(StoreFixture::new(Arc::new(MemoryStore::new())))
//! }
//!
//! pikoci_core::store_conformance!(fixture);
//! ```
//!
//! The behaviours keep to the [limits](crate::store::limits), and they try
//! again what the contract allows to fail for a while, so they also hold
//! behind a [faulty](crate::testkit::faulty) wrapper.

mod checks;
mod client;
mod concurrency;
mod fixture;
mod life;
mod limits;
mod linearizability;
mod reads;
mod revisions;
mod scans;
mod suite;

pub use checks::{
    a_check_holds_only_for_the_revision_it_names, a_conflict_writes_nothing,
    a_delete_of_what_is_not_there_is_done, a_key_that_came_back_is_not_the_same,
    a_transaction_without_checks_overwrites, a_transaction_without_writes_only_checks,
    puts_and_deletes_are_done_together,
};
pub use concurrency::{
    a_commit_is_seen_whole_or_not_at_all, a_dropped_commit_is_done_or_not,
    an_absent_key_is_created_by_one_alone, an_acknowledged_commit_is_seen_at_once,
    concurrent_increments_are_not_lost, what_was_read_cannot_change_unseen,
};
pub use fixture::{Reopen, StoreFixture};
pub use life::{
    a_closed_store_answers_that_it_is, a_repeated_commit_is_done_once, a_store_names_itself,
    a_watch_rings_until_the_close, what_was_committed_is_there_when_opened_again,
};
pub use limits::{
    a_large_transaction_is_taken, as_much_as_allowed_is_read_at_once,
    long_keys_and_large_values_are_taken,
};
pub use linearizability::concurrent_commits_are_linearizable;
pub use reads::{get_answers_key_by_key, keys_and_values_may_be_any_bytes};
pub use revisions::{
    one_commit_has_one_revision, revisions_grow_also_over_deletes,
    the_same_value_put_again_has_a_new_revision,
};
pub use scans::{
    a_bound_may_be_longer_than_a_key, an_empty_range_has_no_entries, scans_go_bytewise,
    scans_keep_their_limit, scans_keep_their_range,
};
pub use suite::run_all;
