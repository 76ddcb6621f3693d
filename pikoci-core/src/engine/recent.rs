//! A map that keeps what was used last, up to a bound.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps at most `limit` values, those used last.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    limit: usize,
    kept: Mutex<Kept<K, V>>,
}

#[derive(Debug)]
struct Kept<K, V> {
    /// Each with the number of its last use.
    values: BTreeMap<K, (u64, V)>,
    uses: u64,
}

impl<K: Ord + Copy, V: Clone> Recent<K, V> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::new(Kept { values: BTreeMap::new(), uses: 0 }) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept<K, V>> {
        // Every change is one insert or remove.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: K) -> Option<V> {
        let mut kept = self.kept();
        kept.uses += 1;
        let uses = kept.uses;
        let (used, value) = kept.values.get_mut(&key)?;
        *used = uses;
        Some(value.clone())
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        let mut kept = self.kept();
        kept.put(key, value, self.limit);
    }

    /// The value of a key; a default one is kept where there is none.
    pub(crate) fn get_or_default(&self, key: K) -> V
    where
        V: Default,
    {
        let mut kept = self.kept();
        let value = kept.values.get(&key).map(|(_, value)| value.clone()).unwrap_or_default();
        kept.put(key, value.clone(), self.limit);
        value
    }

    pub(crate) fn remove(&self, key: K) {
        self.kept().values.remove(&key);
    }
}

impl<K: Ord + Copy, V> Kept<K, V> {
    /// Keeps a value, and lets go of the one used longest ago where that is one too many.
    fn put(&mut self, key: K, value: V, limit: usize) {
        self.uses += 1;
        self.values.insert(key, (self.uses, value));
        if self.values.len() > limit
            && let Some(oldest) =
                self.values.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key)
        {
            self.values.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let recent = Recent::new(2);
        recent.insert(1, "one");
        recent.insert(2, "two");
        assert_eq!(recent.get(1), Some("one"));
        recent.insert(3, "three");
        assert_eq!(
            (recent.get(1), recent.get(2), recent.get(3)),
            (Some("one"), None, Some("three"))
        );
        assert_eq!(recent.get_or_default(4), "");
        assert_eq!((recent.get(1), recent.get(4)), (None, Some("")));
        recent.remove(4);
        assert_eq!(recent.get(4), None);
    }
}
