//! The [`PubSub`] trait and the values it speaks of.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use thiserror::Error;

/// The longest topic, in bytes. A channel of PostgreSQL has 63, and the
/// backends put a prefix before it.
pub const MAX_TOPIC_SIZE_BYTES: usize = 48;

/// The largest payload, in bytes. PostgreSQL takes 8,000 of text.
pub const MAX_PAYLOAD_SIZE_BYTES: usize = 4096;

/// How many messages wait for a subscriber that does not take them; when more
/// come, the oldest are dropped and [`Signal::Missed`] tells so.
pub const BACKLOG_MESSAGES: usize = 1024;

/// What a message is about: lower-case letters, digits, `-` and `_`, beginning
/// with a letter, at most [`MAX_TOPIC_SIZE_BYTES`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(String);

impl Topic {
    /// The topic of this name.
    ///
    /// # Errors
    /// [`Invalid`](PubSubErrorKind::Invalid) when it is not as said above.
    pub fn new(name: impl Into<String>) -> Result<Self, PubSubError> {
        let name = name.into();
        let fine = name.len() <= MAX_TOPIC_SIZE_BYTES
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
            });
        if fine {
            return Ok(Self(name));
        }
        Err(PubSubError::new(
            PubSubErrorKind::Invalid,
            format!(
                "`{}` is no topic: it takes 1 to {MAX_TOPIC_SIZE_BYTES} of a-z, 0-9, `-` and `_`, \
                 beginning with a letter",
                name.escape_debug()
            ),
        ))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// This was published.
    Message(Bytes),
    /// Something may have been missed: the subscriber was too slow, or the
    /// connection was cut and is back. Time to look.
    Missed,
}

/// A message could not be published, or a topic not subscribed to.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct PubSubError {
    /// What that means for the caller.
    pub kind: PubSubErrorKind,
    /// What failed and where; never a password.
    pub message: String,
    /// What the backend said.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// What an error of a pub/sub means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PubSubErrorKind {
    /// The same may work later; it reconnects by itself.
    Unavailable,
    /// The caller broke a rule, such as a limit.
    Invalid,
    /// It was closed.
    Closed,
}

impl PubSubError {
    /// An error without a cause.
    pub fn new(kind: PubSubErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same may work later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(PubSubErrorKind::Unavailable, message)
    }

    /// It was closed.
    pub fn closed() -> Self {
        Self::new(PubSubErrorKind::Closed, "pub/sub is closed")
    }

    /// The same with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An error when `payload` is larger than every pub/sub takes.
    ///
    /// # Errors
    /// [`Invalid`](PubSubErrorKind::Invalid) then.
    pub fn check_payload(payload: &Bytes) -> Result<(), Self> {
        match payload.len() {
            0..=MAX_PAYLOAD_SIZE_BYTES => Ok(()),
            length => Err(Self::new(
                PubSubErrorKind::Invalid,
                format!(
                    "a payload of {length} bytes is too large, {MAX_PAYLOAD_SIZE_BYTES} is the most"
                ),
            )),
        }
    }
}

/// Carries small messages to everyone who listens at that moment.
///
/// # Contract
/// An implementation MUST:
/// - deliver a message to every subscription of its topic that was answered
///   before the call to `publish` began, this process's own included, as long
///   as nothing breaks and nobody is too slow;
/// - **never block** a publisher because of a subscriber: each subscription
///   has a bounded buffer ([`BACKLOG_MESSAGES`]); what does not fit is dropped
///   and [`Signal::Missed`] is heard instead;
/// - **reconnect by itself**, with growing, jittered pauses, for as long as it
///   is not closed, renew its subscriptions, and let each hear
///   [`Signal::Missed`] once it is back;
/// - answer within about 10 seconds, with an error if need be; it keeps
///   nothing for later: what cannot be published now is an error now;
/// - take every topic and every payload within the limits, any bytes, and
///   refuse a larger payload with [`Invalid`](PubSubErrorKind::Invalid);
/// - be drop-safe: dropping any of its futures, or a stream, harms nothing and
///   ends a subscription soon.
///
/// # What is not promised
/// Messages may be lost, repeated and reordered, on their way or in buffers;
/// they are not kept for those who come later. Nothing that must be so may
/// hang on a message.
///
/// `Display` names it for people, without a password.
#[async_trait]
pub trait PubSub: fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// Sends `payload`, at most [`MAX_PAYLOAD_SIZE_BYTES`], to all who listen
    /// to `topic`. May be empty.
    ///
    /// # Errors
    /// When it was not handed over, as far as is known.
    async fn publish(&self, topic: &Topic, payload: Bytes) -> Result<(), PubSubError>;

    /// What is published to `topic` from now on. The stream ends when this
    /// is closed, and only then.
    ///
    /// # Errors
    /// When it cannot be subscribed to now.
    async fn subscribe(&self, topic: &Topic) -> Result<BoxStream<'static, Signal>, PubSubError>;

    /// Ends all subscriptions and lets go of connections. Calls made
    /// afterwards answer [`Closed`](PubSubErrorKind::Closed). May be called again.
    async fn close(&self);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_a_short_slug() {
        let longest = "t".repeat(MAX_TOPIC_SIZE_BYTES);
        for fine in ["a", "builds", "team_1-x", &longest] {
            assert!(Topic::new(fine).is_ok(), "{fine}");
        }
        for bad in ["", "1a", "-a", "A", "a b", "a.b", "ä", "a*", &format!("{longest}t")] {
            assert!(Topic::new(bad).is_err(), "{bad}");
        }
    }
}
