//! Messages between those who share a store: a doorbell, never the truth.
//!
//! A message carries no fact that is not already committed to the store; it
//! only says "look". So [`PubSub`] promises little, an implementation is a
//! page of code, and whoever listens also looks by themselves now and then.
//!
//! ```
//! use bytes::Bytes;
//! use futures_util::StreamExt;
//! use pikoci_core::pubsub::{MemoryPubSub, PubSub, Signal, Topic};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pubsub = MemoryPubSub::new();
//! let topic = Topic::new("builds")?;
//! let mut signals = pubsub.subscribe(&topic).await?;
//! pubsub.publish(&topic, Bytes::from_static(b"main/app/test#1")).await?;
//! let heard = signals.next().await;
//! assert_eq!(heard, Some(Signal::Message(Bytes::from_static(b"main/app/test#1"))));
//! # Ok(())
//! # }
//! ```

mod contract;
mod listener;
mod memory;

pub use contract::{
    BACKLOG_MESSAGES, MAX_PAYLOAD_SIZE_BYTES, MAX_TOPIC_SIZE_BYTES, PubSub, PubSubError,
    PubSubErrorKind, Signal, Topic,
};
pub use listener::{Listener, SlowLook, Wake};
pub use memory::MemoryPubSub;
