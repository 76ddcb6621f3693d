//! Masking of secrets in a stream of output.

use std::sync::Arc;

/// The secrets of a build, and what takes them out of its output. Cloning
/// gives another handle on the same secrets.
#[derive(Clone, Default)]
pub struct Masker {
    _inner: Arc<()>,
}

impl std::fmt::Debug for Masker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masker").finish_non_exhaustive()
    }
}
