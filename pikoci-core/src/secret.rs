//! Secret values: held in a type that does not print and is wiped when dropped.

pub use secrecy::{ExposeSecret, SecretString};

/// What a [`SecretType`](crate::SecretType) answers: the fields of one secret.
pub type SecretFields = std::collections::BTreeMap<String, SecretString>;
