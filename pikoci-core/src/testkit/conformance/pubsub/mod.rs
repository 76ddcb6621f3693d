//! What every [`PubSub`](crate::pubsub::PubSub) must do.
//!
//! One line turns each behaviour into a test of its own:
//!
//! ```
//! use std::sync::Arc;
//!
//! use pikoci_core::pubsub::MemoryPubSub;
//! use pikoci_core::testkit::conformance::pubsub::PubSubFixture;
//!
//! async fn fixture() -> Option<PubSubFixture> {
//!     Some(PubSubFixture::new(Arc::new(MemoryPubSub::new())))
//! }
//!
//! pikoci_core::pubsub_conformance!(fixture);
//! ```

mod fixture;
mod life;
mod messages;
mod suite;

pub use fixture::PubSubFixture;
pub use life::{
    a_closed_pubsub_answers_that_it_is, a_pubsub_names_itself,
    dropped_futures_and_streams_are_in_nobodys_way,
};
pub use messages::{
    a_message_reaches_all_who_listen, a_payload_beyond_the_limit_is_refused,
    a_slow_subscriber_blocks_nobody, many_publish_at_once, payloads_may_be_any_bytes,
    topics_are_apart,
};
pub use suite::run_all;
