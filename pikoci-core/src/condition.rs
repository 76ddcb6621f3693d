//! The condition of an `if`: parsed once when the pipeline is set, decided at run time.

use serde::{Deserialize, Serialize};

/// A parsed condition; its text is its serialised form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Condition {
    text: String,
}
