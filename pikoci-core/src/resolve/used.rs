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
