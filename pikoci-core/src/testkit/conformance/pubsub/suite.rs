//! All behaviours, as one call and as one test each.

use super::fixture::PubSubFixture;

/// Runs all behaviours, one after the other, each over a fixture of its own;
/// none where there is no fixture.
///
/// # Panics
/// When the pub/sub breaks its contract.
pub async fn run_all<F, Made>(fixture: F)
where
    F: Fn() -> Made,
    Made: Future<Output = Option<PubSubFixture>>,
{
    crate::pubsub_conformance!(@each run fixture);
}

/// A test for each behaviour that a [`PubSub`](crate::pubsub::PubSub) must have.
///
/// It takes the path of a function, `async fn fixture() -> Option<PubSubFixture>`;
/// with `None` a test is skipped, which the function should say. The tests need
/// `tokio` with its macros and its runtime of many threads.
#[macro_export]
macro_rules! pubsub_conformance {
    ($fixture:path $(,)?) => {
        $crate::pubsub_conformance!(@each tests $fixture);
    };
    (@each $what:ident $fixture:path) => {
        $crate::__conformance! { $what pubsub $fixture:
            a_message_reaches_all_who_listen
            topics_are_apart
            payloads_may_be_any_bytes
            a_payload_beyond_the_limit_is_refused
            many_publish_at_once
            a_slow_subscriber_blocks_nobody
            dropped_futures_and_streams_are_in_nobodys_way
            a_pubsub_names_itself
            a_closed_pubsub_answers_that_it_is
        }
    };
}
