//! What all backends share: the subscriptions, the task that keeps one
//! connection, the bounds. A backend is a [`Transport`] and nothing more.

mod channels;
mod handle;
mod link;
mod options;
mod supervisor;

pub(super) use handle::Hub;
pub(super) use link::{Heard, Link, LinkError, Listen, Publish, Transport};
#[cfg(feature = "nats")]
pub(super) use options::Login;
pub(super) use options::Options;
pub(super) use supervisor::ANSWER_WITHIN;
