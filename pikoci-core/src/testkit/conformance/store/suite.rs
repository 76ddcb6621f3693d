//! All behaviours, as one call and as one test each.

use super::fixture::StoreFixture;

/// Runs all behaviours, one after the other, each over a fixture of its own;
/// none where there is no fixture.
///
/// # Panics
/// When the store breaks its contract.
pub async fn run_all<F, Made>(fixture: F)
where
    F: Fn() -> Made,
    Made: Future<Output = Option<StoreFixture>>,
{
    crate::store_conformance!(@each run fixture);
}

/// A test for each behaviour that a [`Store`](crate::store::Store) must have.
///
/// It takes the path of a function, `async fn fixture() -> Option<StoreFixture>`;
/// with `None` a test is skipped, which the function should say. The tests need
/// `tokio` with its macros and its runtime of many threads.
#[macro_export]
macro_rules! store_conformance {
    ($fixture:path $(,)?) => {
        $crate::store_conformance!(@each tests $fixture);
    };
    (@each $what:ident $fixture:path) => {
        $crate::__conformance! { $what store $fixture:
            get_answers_key_by_key
            keys_and_values_may_be_any_bytes
            scans_go_bytewise
            scans_keep_their_range
            scans_keep_their_limit
            an_empty_range_has_no_entries
            a_bound_may_be_longer_than_a_key
            long_keys_and_large_values_are_taken
            a_large_transaction_is_taken
            as_much_as_allowed_is_read_at_once
            a_check_holds_only_for_the_revision_it_names
            a_conflict_writes_nothing
            a_transaction_without_writes_only_checks
            a_transaction_without_checks_overwrites
            a_delete_of_what_is_not_there_is_done
            puts_and_deletes_are_done_together
            a_key_that_came_back_is_not_the_same
            one_commit_has_one_revision
            revisions_grow_also_over_deletes
            the_same_value_put_again_has_a_new_revision
            an_acknowledged_commit_is_seen_at_once
            a_commit_is_seen_whole_or_not_at_all
            concurrent_increments_are_not_lost
            an_absent_key_is_created_by_one_alone
            what_was_read_cannot_change_unseen
            a_dropped_commit_is_done_or_not
            concurrent_commits_are_linearizable
            a_repeated_commit_is_done_once
            a_store_names_itself
            a_watch_rings_until_the_close
            a_closed_store_answers_that_it_is
            what_was_committed_is_there_when_opened_again
        }
    };
}
