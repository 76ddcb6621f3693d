//! The succeeded builds of one job, each with its versions.

use std::collections::BTreeMap;

use super::position::Position;
use super::spec::ResourceRef;
use crate::name::BuildId;
use crate::version::VersionDigest;

/// A build that succeeded, with the versions it got and made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SucceededBuild {
    /// Its id.
    pub id: BuildId,
    /// Its place in its job.
    pub position: Position,
    /// Its versions of each resource: those it made, the last first, then those
    /// it got, in plan order. Of several, the first that can be taken is.
    pub versions: BTreeMap<ResourceRef, Vec<VersionDigest>>,
}

/// The succeeded builds of one job, and which of them have a version.
///
/// What a build has never changes, so each is indexed once, when it is
/// inserted; in any order.
#[derive(Debug, Clone)]
pub struct Successes {
    builds: BTreeMap<Position, Build>,
    places: BTreeMap<BuildId, Position>,
    /// A short number for each resource, so that builds need not hold its name.
    numbers: BTreeMap<ResourceRef, usize>,
    /// By the number of the resource: the builds that have a version, in order.
    index: Vec<BTreeMap<VersionDigest, Vec<Position>>>,
    complete: bool,
}

/// A succeeded build, as it is kept.
#[derive(Debug, Clone)]
pub(super) struct Build {
    id: BuildId,
    versions: Box<[(usize, Box<[VersionDigest]>)]>,
}

impl Build {
    /// Its versions of a resource, in the order in which they count.
    pub(super) fn versions(&self, resource: Option<usize>) -> &[VersionDigest] {
        let of = |it: &&(usize, Box<[VersionDigest]>)| Some(it.0) == resource;
        self.versions.iter().find(of).map_or(&[], |(_, versions)| versions)
    }
}

impl Default for Successes {
    fn default() -> Self {
        Self::new()
    }
}

impl Successes {
    /// No build, and none that is not loaded.
    pub fn new() -> Self {
        Self {
            builds: BTreeMap::new(),
            places: BTreeMap::new(),
            numbers: BTreeMap::new(),
            index: Vec::new(),
            complete: true,
        }
    }

    /// Adds a build. One that is there already stays as it is.
    pub fn insert(&mut self, build: SucceededBuild) {
        if self.places.contains_key(&build.id) {
            return;
        }
        // Two builds never have one place; if they do, the last word counts.
        if let Some(other) = self.builds.get(&build.position).map(|it| it.id) {
            self.remove(&other);
        }
        let SucceededBuild { id, position, versions } = build;
        let mut kept = Vec::with_capacity(versions.len());
        for (resource, versions) in versions {
            let next = self.index.len();
            let number = *self.numbers.entry(resource).or_insert(next);
            if number == next {
                self.index.push(BTreeMap::new());
            }
            if let Some(index) = self.index.get_mut(number) {
                for version in &versions {
                    let places = index.entry(*version).or_default();
                    if let Err(at) = places.binary_search(&position) {
                        places.insert(at, position);
                    }
                }
            }
            kept.push((number, versions.into_boxed_slice()));
        }
        self.places.insert(id, position);
        self.builds.insert(position, Build { id, versions: kept.into_boxed_slice() });
    }

    /// Forgets a build.
    pub fn remove(&mut self, id: &BuildId) {
        let Some(position) = self.places.remove(id) else { return };
        let Some(build) = self.builds.remove(&position) else { return };
        for (number, versions) in &build.versions {
            let Some(index) = self.index.get_mut(*number) else { continue };
            for version in versions {
                let Some(places) = index.get_mut(version) else { continue };
                if let Ok(at) = places.binary_search(&position) {
                    places.remove(at);
                }
                if places.is_empty() {
                    index.remove(version);
                }
            }
        }
    }

    /// Says whether all builds are inserted, as is taken to be so at first.
    ///
    /// While they are not, those that are missing stand before all that were
    /// inserted: whoever loads the newest builds alone must not add a late
    /// rerun of an older one before the builds behind it.
    pub fn set_complete(&mut self, complete: bool) {
        self.complete = complete;
    }

    /// How many builds there are.
    pub fn len(&self) -> usize {
        self.builds.len()
    }

    /// Whether there is no build.
    pub fn is_empty(&self) -> bool {
        self.builds.is_empty()
    }

    /// Whether all builds are inserted.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// All builds by their places.
    pub(super) fn builds(&self) -> &BTreeMap<Position, Build> {
        &self.builds
    }

    /// The number of a resource that some build has a version of.
    pub(super) fn number(&self, resource: &ResourceRef) -> Option<usize> {
        self.numbers.get(resource).copied()
    }

    /// The versions of a resource, each with the places of the builds that have it.
    pub(super) fn versions(
        &self,
        resource: Option<usize>,
    ) -> Option<&BTreeMap<VersionDigest, Vec<Position>>> {
        self.index.get(resource?)
    }

    /// The places of the builds that have a version, in order.
    pub(super) fn having(&self, resource: Option<usize>, version: &VersionDigest) -> &[Position] {
        self.versions(resource).and_then(|index| index.get(version)).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;

    fn app() -> ResourceRef {
        ResourceRef("git.app".into())
    }

    fn digest(text: &str) -> VersionDigest {
        Version::from_pairs([("ref", text)]).digest()
    }

    fn build(id: u128, position: &str, versions: &[&str]) -> SucceededBuild {
        SucceededBuild {
            id: BuildId(uuid::Uuid::from_u128(id)),
            position: position.parse().unwrap(),
            versions: [(app(), versions.iter().map(|it| digest(it)).collect())].into(),
        }
    }

    fn having(successes: &Successes, text: &str) -> Vec<String> {
        let places = successes.having(successes.number(&app()), &digest(text));
        places.iter().map(Position::to_string).collect()
    }

    #[test]
    fn builds_are_indexed_in_order_however_they_come() {
        let mut successes = Successes::default();
        assert!(successes.is_complete() && successes.is_empty());
        for (id, position) in [(1, "3"), (2, "1"), (3, "2.1"), (4, "2")] {
            successes.insert(build(id, position, &["v1", "v2", "v1"]));
        }
        assert_eq!(having(&successes, "v1"), ["1", "2", "2.1", "3"]);
        assert_eq!(having(&successes, "v2"), having(&successes, "v1"));
        assert_eq!(having(&successes, "v3"), [""; 0]);
    }

    #[test]
    fn a_build_counts_once_and_goes_without_a_trace() {
        let mut successes = Successes::new();
        successes.insert(build(1, "1", &["v1"]));
        successes.insert(build(1, "1", &["v2"]));
        assert_eq!((having(&successes, "v1").len(), having(&successes, "v2").len()), (1, 0));
        // Another one at its place.
        successes.insert(build(2, "1", &["v3", "v3"]));
        assert_eq!((having(&successes, "v1").len(), having(&successes, "v3").len()), (0, 1));
        successes.remove(&BuildId(uuid::Uuid::from_u128(1)));
        assert_eq!(successes.len(), 1);
        successes.remove(&BuildId(uuid::Uuid::from_u128(2)));
        assert!(successes.is_empty());
        assert!(successes.versions(successes.number(&app())).unwrap().is_empty());
    }
}
