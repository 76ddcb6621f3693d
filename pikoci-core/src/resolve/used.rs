//! What the builds of one job have taken.

use std::collections::{BTreeMap, BTreeSet};

use super::history::History;
use super::position::Position;
use super::spec::ResourceRef;
use super::world::Lookup;
use crate::name::BuildId;
use crate::version::VersionDigest;

/// That a build took a version for one of its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The build.
    pub build: BuildId,
    /// Its place in its job.
    pub position: Position,
    /// The input's name.
    pub input: String,
    /// The resource.
    pub resource: ResourceRef,
    /// The version.
    pub version: VersionDigest,
    /// The upstream builds behind it, by job; those of all inputs of a build
    /// count together.
    pub sources: BTreeMap<String, Position>,
}

/// What the builds of one job have adopted, in any state, reruns and builds that
/// wait included.
#[derive(Debug, Clone, Default)]
pub struct Used {
    inputs: BTreeMap<String, BTreeMap<ResourceRef, BTreeSet<VersionDigest>>>,
    /// By resource and version: the newest build that adopted it.
    resources: BTreeMap<ResourceRef, BTreeMap<VersionDigest, Position>>,
    sources: BTreeMap<Position, BTreeMap<String, Position>>,
}

/// The newest version of a resource that a job has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HighestUsed {
    /// None that its current history has.
    None,
    /// This one, at its check order.
    At(u64, VersionDigest),
    /// That depends on versions that are not loaded.
    NotLoaded,
}

impl Used {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what a build took. Adding it again changes nothing.
    pub fn insert(&mut self, adoption: Adoption) {
        let Adoption { build: _, position, input, resource, version, sources } = adoption;
        let newest = self.resources.entry(resource.clone()).or_default();
        let newest = newest.entry(version).or_insert(position);
        *newest = position.max(*newest);
        self.inputs.entry(input).or_default().entry(resource).or_default().insert(version);
        self.sources.entry(position).or_default().extend(sources);
    }

    /// Whether a build took this version of the resource for this input.
    pub fn was_used(&self, input: &str, resource: &ResourceRef, version: &VersionDigest) -> bool {
        let of = self.inputs.get(input).and_then(|resources| resources.get(resource));
        of.is_some_and(|versions| versions.contains(version))
    }

    /// The newest version of the resource, by check order, that any build took
    /// for any input.
    pub fn highest(&self, resource: &ResourceRef, history: &History) -> HighestUsed {
        let Some(used) = self.resources.get(resource) else { return HighestUsed::None };
        // The one who is near the newest version is found from there, the one
        // who has used few versions from these: at each step one of either.
        let mut best: Option<(u64, VersionDigest)> = None;
        let mut newest = history.newest_first().take_while(|(order, _)| *order >= history.floor());
        for digest in used.keys() {
            match newest.next() {
                Some((order, digest)) if used.contains_key(digest) => {
                    return HighestUsed::At(order, *digest);
                }
                _ => {}
            }
            best = best.max(history.order(digest).map(|order| (order, *digest)));
        }
        match best {
            Some((order, digest)) if order >= history.floor() => HighestUsed::At(order, digest),
            _ if used.keys().any(|digest| history.lookup(digest) == Lookup::NotLoaded) => {
                HighestUsed::NotLoaded
            }
            Some((order, digest)) => HighestUsed::At(order, digest),
            None => HighestUsed::None,
        }
    }

    /// The upstream builds behind the newest build that took this version, by job.
    pub fn cursors(
        &self,
        resource: &ResourceRef,
        version: &VersionDigest,
    ) -> Option<&BTreeMap<String, Position>> {
        self.sources.get(self.resources.get(resource)?.get(version)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::version::Version;

    fn version(number: u64) -> Version {
        Version::from_pairs([("ref", number.to_string())])
    }

    fn app() -> ResourceRef {
        ResourceRef("git.app".into())
    }

    fn adoption(build: u64, number: u64, source: u64) -> Adoption {
        Adoption {
            build: BuildId(uuid::Uuid::from_u128(u128::from(build))),
            position: Position::original(build),
            input: "app".into(),
            resource: app(),
            version: version(number).digest(),
            sources: [("unit".to_owned(), Position::original(source))].into(),
        }
    }

    /// The versions of these numbers, which are their orders too.
    fn history(numbers: impl IntoIterator<Item = u64>) -> History {
        let mut history = History::new();
        for number in numbers {
            history.insert(number, version(number).digest(), Arc::new(version(number)));
        }
        history
    }

    #[test]
    fn the_highest_version_is_found_from_both_ends() {
        let history = history(1..=100);
        for (used_versions, highest) in
            [(vec![3], 3), (vec![99, 2, 50], 99), ((1..=60).collect(), 60), (vec![1, 2], 2)]
        {
            let mut used = Used::new();
            for (build, number) in (1..).zip(used_versions) {
                used.insert(adoption(build, number, 1));
            }
            let expected = HighestUsed::At(highest, version(highest).digest());
            assert_eq!(used.highest(&app(), &history), expected);
        }
        assert_eq!(Used::new().highest(&app(), &history), HighestUsed::None);
    }

    #[test]
    fn the_highest_version_may_depend_on_what_is_not_loaded() {
        let mut loaded = history([2, 8, 9]);
        loaded.set_floor(8);
        let mut used = Used::new();
        used.insert(adoption(1, 2, 1));
        // All that was used is loaded, though others below the floor are not.
        assert_eq!(used.highest(&app(), &loaded), HighestUsed::At(2, version(2).digest()));
        used.insert(adoption(2, 3, 1));
        assert_eq!(used.highest(&app(), &loaded), HighestUsed::NotLoaded);
        loaded.set_absent(version(3).digest());
        assert_eq!(used.highest(&app(), &loaded), HighestUsed::At(2, version(2).digest()));
        used.insert(adoption(3, 8, 1));
        used.insert(adoption(4, 4, 1));
        assert_eq!(used.highest(&app(), &loaded), HighestUsed::At(8, version(8).digest()));
    }

    #[test]
    fn the_cursors_are_those_of_the_newest_build_in_whatever_order_they_came() {
        let (old, new) = (adoption(3, 1, 7), adoption(5, 1, 9));
        for order in [[old.clone(), new.clone()], [new, old]] {
            let mut used = Used::new();
            order.into_iter().for_each(|it| used.insert(it));
            let cursors = used.cursors(&app(), &version(1).digest()).unwrap();
            assert_eq!(cursors["unit"], Position::original(9));
        }
    }
}
