//! The versions of one resource, in the order in which checks found them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::world::Lookup;
use crate::version::{Version, VersionDigest};

/// The versions of one resource by check order: a higher number is newer. With
/// them what people decided about it: its pin and the versions they disabled.
#[derive(Debug, Clone, Default)]
pub struct History {
    versions: BTreeMap<u64, (VersionDigest, Arc<Version>)>,
    orders: BTreeMap<VersionDigest, u64>,
    /// The orders of the versions that are not disabled.
    enabled: BTreeSet<u64>,
    /// The orders of the versions that have a field with this value.
    fields: BTreeMap<(String, String), BTreeSet<u64>>,
    pin: Option<Version>,
    disabled: BTreeSet<VersionDigest>,
    absent: BTreeSet<VersionDigest>,
    floor: u64,
}

impl History {
    /// A history of no version.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a version at its place; one that is known already moves there.
    pub fn insert(&mut self, order: u64, digest: VersionDigest, version: Arc<Version>) {
        if self.orders.get(&digest) == Some(&order) {
            return;
        }
        self.absent.remove(&digest);
        if let Some(old) = self.orders.get(&digest).copied() {
            self.take(old);
        }
        self.take(order);
        for field in version.flatten() {
            self.fields.entry(field).or_default().insert(order);
        }
        if !self.disabled.contains(&digest) {
            self.enabled.insert(order);
        }
        self.orders.insert(digest, order);
        self.versions.insert(order, (digest, version));
    }

    fn take(&mut self, order: u64) {
        let Some((digest, version)) = self.versions.remove(&order) else { return };
        self.orders.remove(&digest);
        self.enabled.remove(&order);
        for field in version.flatten() {
            if let Some(orders) = self.fields.get_mut(&field) {
                orders.remove(&order);
                if orders.is_empty() {
                    self.fields.remove(&field);
                }
            }
        }
    }

    /// Sets the pin of the resource: the fields that a version must have to be
    /// taken, or `None` when it is not pinned.
    pub fn set_pin(&mut self, pin: Option<Version>) {
        self.pin = pin;
    }

    /// Sets which versions are never taken.
    pub fn set_disabled(&mut self, disabled: BTreeSet<VersionDigest>) {
        if self.disabled == disabled {
            return;
        }
        for digest in self.disabled.symmetric_difference(&disabled) {
            if let Some(order) = self.orders.get(digest) {
                if disabled.contains(digest) {
                    self.enabled.remove(order);
                } else {
                    self.enabled.insert(*order);
                }
            }
        }
        self.disabled = disabled;
    }

    /// Says that versions below this order may exist that were not inserted; 0,
    /// as at first, says that all were.
    pub fn set_floor(&mut self, order: u64) {
        self.floor = order;
    }

    /// Says that no version has this digest, although not all are loaded.
    pub fn set_absent(&mut self, digest: VersionDigest) {
        if !self.orders.contains_key(&digest) {
            self.absent.insert(digest);
        }
    }

    /// How many versions are loaded.
    pub fn len(&self) -> usize {
        self.versions.len()
    }

    /// Whether no version is loaded.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// The pin of the resource.
    pub fn pin(&self) -> Option<&Version> {
        self.pin.as_ref()
    }

    /// The check order of a version, where it is loaded.
    pub fn order(&self, digest: &VersionDigest) -> Option<u64> {
        self.orders.get(digest).copied()
    }

    /// The version of this digest.
    pub fn lookup(&self, digest: &VersionDigest) -> Lookup {
        match self.orders.get(digest).and_then(|order| self.versions.get(order)) {
            Some((_, version)) => Lookup::Known(Arc::clone(version)),
            None if self.floor == 0 || self.absent.contains(digest) => Lookup::Unknown,
            None => Lookup::NotLoaded,
        }
    }

    /// Whether a person disabled the version.
    pub fn is_disabled(&self, digest: &VersionDigest) -> bool {
        self.disabled.contains(digest)
    }

    /// The version at an order.
    pub(super) fn at(&self, order: u64) -> Option<(VersionDigest, Arc<Version>)> {
        self.versions.get(&order).map(|(digest, version)| (*digest, Arc::clone(version)))
    }

    /// All versions from this order on are loaded.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// The loaded versions that are not disabled.
    pub(super) fn enabled(&self) -> &BTreeSet<u64> {
        &self.enabled
    }

    /// The loaded versions, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = (u64, &VersionDigest)> {
        self.versions.iter().rev().map(|(order, (digest, _))| (*order, digest))
    }

    /// The orders of the loaded versions with all fields of `pin`, the newest first.
    pub(super) fn matching<'a>(&'a self, pin: &'a Version) -> impl Iterator<Item = u64> + 'a {
        // The rarest field leaves the fewest to look at.
        let fields = pin.flatten().into_iter();
        let rarest = fields
            .map(|field| self.fields.get(&field))
            .min_by_key(|orders| orders.map_or(0, BTreeSet::len));
        let orders: Box<dyn Iterator<Item = u64> + 'a> = match rarest {
            Some(orders) => Box::new(orders.into_iter().flatten().rev().copied()),
            None => Box::new(self.versions.keys().rev().copied()),
        };
        orders.filter(move |order| {
            self.versions.get(order).is_some_and(|(_, version)| version.contains(pin))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Arc<Version> {
        Arc::new(serde_json::from_str(text).unwrap())
    }

    fn history(versions: &[(u64, &str)]) -> History {
        let mut history = History::new();
        for (order, text) in versions {
            let version = version(text);
            history.insert(*order, version.digest(), version);
        }
        history
    }

    fn matching(history: &History, pin: &str) -> Vec<u64> {
        history.matching(&version(pin)).collect()
    }

    #[test]
    fn a_version_found_again_moves_to_its_new_place() {
        let (a, b) = (r#"{"ref":"a"}"#, r#"{"ref":"b"}"#);
        let history = history(&[(1, a), (2, b), (3, a)]);
        assert_eq!(history.len(), 2);
        assert_eq!(history.order(&version(a).digest()), Some(3));
        assert_eq!(history.at(1), None);
        assert_eq!(matching(&history, a), [3]);
        assert_eq!(history.newest_first().map(|(order, _)| order).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(history.enabled().iter().copied().collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn a_place_has_one_version() {
        let (a, b) = (r#"{"ref":"a"}"#, r#"{"ref":"b"}"#);
        let history = history(&[(1, a), (1, b)]);
        assert_eq!(history.lookup(&version(a).digest()), Lookup::Unknown);
        assert_eq!(history.lookup(&version(b).digest()), Lookup::Known(version(b)));
        assert_eq!((matching(&history, a), matching(&history, b)), (vec![], vec![1]));
    }

    #[test]
    fn a_pin_matches_by_fields_at_any_depth_and_one_without_fields_matches_all() {
        let history = history(&[
            (1, r#"{"ref":"a","of":{"branch":"main","tags":["x"]}}"#),
            (2, r#"{"ref":"b","of":{"branch":"main"}}"#),
            (3, r#"{"ref":"c"}"#),
        ]);
        assert_eq!(matching(&history, r#"{"of":{"branch":"main"}}"#), [2, 1]);
        assert_eq!(matching(&history, r#"{"of":{"tags":["x"],"branch":"main"}}"#), [1]);
        assert_eq!(matching(&history, r#"{"ref":"b","of":{"tags":["x"]}}"#), [0_u64; 0]);
        assert_eq!(matching(&history, r#"{"ref":"z"}"#), [0_u64; 0]);
        assert_eq!(matching(&history, "{}"), [3, 2, 1]);
    }

    #[test]
    fn what_is_disabled_before_it_is_found_is_disabled_when_it_is() {
        let a = version(r#"{"ref":"a"}"#);
        let mut history = History::new();
        history.set_disabled([a.digest()].into());
        history.insert(1, a.digest(), Arc::clone(&a));
        assert!(history.enabled().is_empty() && history.is_disabled(&a.digest()));
        history.insert(5, a.digest(), Arc::clone(&a));
        assert!(history.enabled().is_empty());
        history.set_disabled(BTreeSet::new());
        assert_eq!(history.enabled().first(), Some(&5));
    }

    #[test]
    fn below_the_floor_a_version_is_known_absent_or_not_loaded() {
        let [a, b, c] = ["a", "b", "c"].map(|it| Version::from_pairs([("ref", it)]).digest());
        let mut history = history(&[(7, r#"{"ref":"a"}"#)]);
        assert_eq!(history.lookup(&b), Lookup::Unknown);
        history.set_floor(7);
        history.set_absent(c);
        history.set_absent(a);
        assert!(matches!(history.lookup(&a), Lookup::Known(_)));
        assert_eq!(history.lookup(&b), Lookup::NotLoaded);
        assert_eq!(history.lookup(&c), Lookup::Unknown);
        // It is found later.
        history.insert(8, c, version(r#"{"ref":"c"}"#));
        assert!(matches!(history.lookup(&c), Lookup::Known(_)));
    }
}
