//! What a round of upkeep did, in which one broken thing must not keep the
//! others waiting.

use super::encoding::describe;
use crate::store::Key;

/// What a round of upkeep did.
#[derive(Debug)]
pub struct Upkeep<E> {
    /// The things that it is done with.
    pub done: usize,
    /// The things that it passed over since they failed; the next round tries
    /// them again.
    pub failed: usize,
    /// The first of these, its key for people, and why it failed.
    pub first_failure: Option<(String, E)>,
}

impl<E> Default for Upkeep<E> {
    fn default() -> Self {
        Self { done: 0, failed: 0, first_failure: None }
    }
}

impl<E> Upkeep<E> {
    pub(super) fn fail(&mut self, key: &Key, error: E) {
        self.failed += 1;
        self.first_failure.get_or_insert_with(|| (describe(key), error));
    }
}
