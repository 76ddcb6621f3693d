//! Facts as plain lists, and the world that they make.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pikoci_core::name::BuildId;
use pikoci_core::resolve::{
    Adoption, History, JobSpec, Need, Position, Resolution, ResourceRef, SucceededBuild, Successes,
    Used, World, resolve,
};
use pikoci_core::version::{Version, VersionDigest};

/// Everything there is to know, as lists.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) job: JobSpec,
    /// By resource, oldest first; a resource that is not here was never checked.
    pub(crate) versions: BTreeMap<ResourceRef, Vec<(VersionDigest, Version)>>,
    pub(crate) disabled: BTreeMap<ResourceRef, BTreeSet<VersionDigest>>,
    pub(crate) pins: BTreeMap<ResourceRef, Version>,
    pub(crate) builds: BTreeMap<String, Vec<SucceededBuild>>,
    pub(crate) adoptions: Vec<Adoption>,
    /// The versions from this order on are loaded.
    pub(crate) floors: BTreeMap<ResourceRef, u64>,
    /// Only the newest so many builds are loaded.
    pub(crate) loaded: BTreeMap<String, usize>,
    /// Versions that are loaded although they are below the floor, or known to
    /// be absent.
    pub(crate) asked: BTreeSet<(ResourceRef, VersionDigest)>,
}

/// The world of some facts.
#[derive(Debug, Default)]
pub(crate) struct TestWorld {
    pub(crate) histories: BTreeMap<ResourceRef, History>,
    pub(crate) successes: BTreeMap<String, Successes>,
    pub(crate) used: Used,
}

impl World for TestWorld {
    fn history(&self, resource: &ResourceRef) -> Option<&History> {
        self.histories.get(resource)
    }

    fn successes(&self, job: &str) -> Option<&Successes> {
        self.successes.get(job)
    }

    fn used(&self) -> &Used {
        &self.used
    }
}

/// The id that stands for a number.
pub(crate) fn id(number: u128) -> BuildId {
    BuildId(uuid(number))
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

impl Facts {
    pub(crate) fn of(job: JobSpec) -> Self {
        Self {
            job,
            versions: BTreeMap::new(),
            disabled: BTreeMap::new(),
            pins: BTreeMap::new(),
            builds: BTreeMap::new(),
            adoptions: Vec::new(),
            floors: BTreeMap::new(),
            loaded: BTreeMap::new(),
            asked: BTreeSet::new(),
        }
    }

    /// The check order of a version: its place in the list, from 1.
    pub(crate) fn order(&self, resource: &ResourceRef, digest: &VersionDigest) -> Option<u64> {
        let versions = self.versions.get(resource)?;
        versions.iter().position(|(it, _)| it == digest).map(|at| at as u64 + 1)
    }

    pub(crate) fn history(&self, resource: &ResourceRef) -> Option<History> {
        let mut history = History::new();
        let floor = self.floors.get(resource).copied().unwrap_or_default();
        for (order, (digest, version)) in (1..).zip(self.versions.get(resource)?) {
            if order >= floor || self.asked.contains(&(resource.clone(), *digest)) {
                history.insert(order, *digest, Arc::new(version.clone()));
            }
        }
        history.set_floor(floor);
        for (_, digest) in self.asked.iter().filter(|(it, _)| it == resource) {
            history.set_absent(*digest);
        }
        history.set_pin(self.pins.get(resource).cloned());
        history.set_disabled(self.disabled.get(resource).cloned().unwrap_or_default());
        Some(history)
    }

    pub(crate) fn successes(&self, job: &str) -> Successes {
        let mut builds = self.builds.get(job).cloned().unwrap_or_default();
        builds.sort_by_key(|build| std::cmp::Reverse(build.position));
        let loaded = self.loaded.get(job).copied().unwrap_or(builds.len());
        let mut successes = Successes::new();
        successes.set_complete(loaded >= builds.len());
        for build in builds.into_iter().take(loaded) {
            successes.insert(build);
        }
        successes
    }

    pub(crate) fn world(&self) -> TestWorld {
        let mut world = TestWorld::default();
        for resource in self.versions.keys() {
            world.histories.extend(self.history(resource).map(|it| (resource.clone(), it)));
        }
        for job in self.builds.keys() {
            world.successes.insert(job.clone(), self.successes(job));
        }
        for adoption in &self.adoptions {
            world.used.insert(adoption.clone());
        }
        world
    }

    pub(crate) fn resolve(&self) -> Resolution {
        resolve(&self.job, &self.world())
    }

    /// Adds a version behind all others, unless it is there.
    pub(crate) fn found(&mut self, resource: &ResourceRef, version: &Version) {
        let (digest, all) = (version.digest(), self.versions.entry(resource.clone()).or_default());
        if all.iter().all(|(it, _)| *it != digest) {
            all.push((digest, version.clone()));
        }
    }

    /// Adds the build that adopts what was resolved.
    pub(crate) fn adopt(&mut self, resolution: &Resolution) {
        let number = self.adoptions.iter().map(|it| it.position.number).max().unwrap_or(0) + 1;
        for input in &resolution.inputs {
            let Ok(chosen) = &input.result else { panic!("not determined: {resolution:?}") };
            self.adoptions.push(Adoption {
                build: id(u128::from(number)),
                position: Position::original(number),
                input: input.name.clone(),
                resource: input.resource.clone(),
                version: chosen.digest,
                sources: chosen.sources.clone(),
            });
        }
    }

    /// Loads what is needed; panics at a need that was met.
    pub(crate) fn meet(&mut self, needs: &[Need]) {
        for need in needs {
            match need {
                Need::Versions { resource } => {
                    let floor = self.floors.remove(resource);
                    assert!(floor.is_some_and(|floor| floor > 0), "{need:?} of what is loaded");
                }
                Need::Version { resource, version } => {
                    let new = self.asked.insert((resource.clone(), *version));
                    assert!(new, "{need:?} asked for twice");
                }
                Need::Builds { job } => {
                    let loaded = self.loaded.remove(job);
                    assert!(loaded.is_some(), "{need:?} of what is loaded");
                }
            }
        }
    }
}
