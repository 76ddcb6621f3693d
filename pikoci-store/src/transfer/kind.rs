//! What kind of thing a key stands for.

use pikoci_core::database::{KeyPath, Part};
use pikoci_core::store::Key;

/// What is expected of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// JSON in an envelope.
    Json,
    /// Parts of a key in an envelope: the id of a record.
    Id,
    /// Nothing is known of it.
    Anything,
}

/// The kind of a key, for people, and what is expected of its value.
pub(super) fn kind_of(key: &Key) -> (String, Expected) {
    let parts = KeyPath::parts(key).unwrap_or_default();
    let text = |at: usize| match parts.get(at) {
        Some(Part::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    match (text(0), text(1)) {
        (Some("r"), Some(kind)) => (format!("records of `{kind}`"), Expected::Json),
        (Some("i"), Some(kind)) => (format!("indexes of `{kind}`"), Expected::Id),
        (Some("c"), _) => ("counters".to_owned(), Expected::Json),
        (Some("s"), _) => ("spread counters".to_owned(), Expected::Json),
        (Some("q"), Some(name)) => (format!("queue `{name}`"), Expected::Json),
        (Some("n"), _) => ("numbers of queues".to_owned(), Expected::Json),
        (Some("l"), _) => ("leases".to_owned(), Expected::Json),
        (Some("d"), _) => ("flags".to_owned(), Expected::Json),
        (Some("f"), _) => ("feeds".to_owned(), Expected::Json),
        (Some(other), _) => (format!("`{other}`"), Expected::Anything),
        (None, _) => ("others".to_owned(), Expected::Anything),
    }
}

/// The record that an entry of an index stands for.
pub(super) fn record_of(entry: &Key, id: Vec<Part>) -> Option<Key> {
    let parts = KeyPath::parts(entry)?;
    KeyPath::new("r").then(parts.get(1)?).then(id).key().ok()
}

/// A key for people.
pub(super) fn shown(key: &Key) -> String {
    match KeyPath::parts(key) {
        Some(parts) if !parts.is_empty() => {
            parts.iter().map(Part::to_string).collect::<Vec<_>>().join("/")
        }
        _ => key.to_string(),
    }
}
