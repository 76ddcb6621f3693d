//! Why a group has no solution: the first dead end on the way of the builds that
//! are preferred.

use std::collections::BTreeSet;

use super::group::{Group, Upstream};
use super::position::Position;
use super::reason::{Passed, Reason, Unusable};
use super::resolution::Need;
use super::successes::Build;
use super::supply::{Supply, supply};
use super::walk::{Among, Order, may_lack_preferred, walk};
use super::world::{Lookup, World};
use crate::version::{Version, VersionDigest};

type Needs = BTreeSet<Need>;
/// The versions settled, by input.
type Versions = Vec<Option<VersionDigest>>;

/// Why a group that has no solution has none.
pub(super) fn explain(group: &Group<'_>, world: &dyn World, tried: u64) -> Result<Reason, Needs> {
    let it = Explain { group, world };
    let mut versions: Versions = vec![None; group.inputs.len()];
    let mut builds: Vec<Option<Position>> = vec![None; group.jobs.len()];
    for (at, job) in group.jobs.iter().enumerate() {
        let Some((build, with)) = it.first(job, &versions)? else {
            return it.dead_end(job, &versions, &builds, tried);
        };
        versions = with;
        if let Some(place) = builds.get_mut(at) {
            *place = Some(build);
        }
    }
    // There was a way after all, which cannot be; what is said of it is true.
    let last = group.jobs.iter().next_back();
    let job = last.map(|job| job.name.to_owned()).unwrap_or_default();
    Ok(Reason::NotTogether { versions: Default::default(), passed: Vec::new(), job, tried })
}

struct Explain<'a> {
    group: &'a Group<'a>,
    world: &'a dyn World,
}

impl Explain<'_> {
    /// The first build of a job that goes with these versions, and the versions
    /// with its own.
    fn first(
        &self,
        job: &Upstream<'_>,
        versions: &Versions,
    ) -> Result<Option<(Position, Versions)>, Needs> {
        let older = || BTreeSet::from([Need::Builds { job: job.name.to_owned() }]);
        if may_lack_preferred(job) {
            return Err(older());
        }
        let settled = job.inputs.iter().filter_map(|(at, resource)| {
            let version = versions.get(*at)?.as_ref()?;
            Some(job.successes.having(*resource, version))
        });
        let among = settled.min_by_key(|places| places.len()).map_or(Among::All, Among::These);
        for candidate in walk(self.group, job, among, self.world) {
            if let Ok(with) = self.versions(job, candidate.build, versions)? {
                return Ok(Some((candidate.position, with)));
            }
        }
        if job.successes.is_complete() { Ok(None) } else { Err(older()) }
    }

    /// The versions with those of a build, or the first input it has none for
    /// that goes with them.
    fn versions(
        &self,
        job: &Upstream<'_>,
        build: &Build,
        versions: &Versions,
    ) -> Result<Result<Versions, usize>, Needs> {
        let mut with = versions.clone();
        for (at, resource) in &job.inputs {
            let (Some(input), Some(place)) = (self.group.inputs.get(*at), with.get_mut(*at)) else {
                continue;
            };
            match supply(input, build.versions(*resource), self.world) {
                Supply::Version(version) if place.is_none_or(|it| it == version) => {
                    if self.content(*at, &version)?.is_none() {
                        return Ok(Err(*at));
                    }
                    *place = Some(version);
                }
                Supply::Version(_) | Supply::Nothing => return Ok(Err(*at)),
                Supply::NotLoaded(version) => return Err(self.need(*at, version)),
            }
        }
        Ok(Ok(with))
    }

    /// What a version is, or `None` where the history does not have it.
    fn content(&self, input: usize, version: &VersionDigest) -> Result<Option<Version>, Needs> {
        let Some(member) = self.group.inputs.get(input) else { return Ok(None) };
        match self.world.version(&member.spec.resource, version) {
            Lookup::Known(version) => Ok(Some(Version::clone(&version))),
            Lookup::Unknown => Ok(None),
            Lookup::NotLoaded => Err(self.need(input, *version)),
        }
    }

    fn need(&self, input: usize, version: VersionDigest) -> Needs {
        let resource = self.group.inputs.get(input).map(|it| it.spec.resource.clone());
        resource.into_iter().map(|resource| Need::Version { resource, version }).collect()
    }

    /// Why a job has no build that goes with these versions.
    fn dead_end(
        &self,
        job: &Upstream<'_>,
        versions: &Versions,
        builds: &[Option<Position>],
        tried: u64,
    ) -> Result<Reason, Needs> {
        if self.first(job, &vec![None; versions.len()])?.is_none() {
            return self.none_usable(job);
        }
        let passed = |inputs: &[usize]| {
            let named = |job: &&(usize, &Upstream<'_>)| {
                job.1.inputs.iter().any(|(at, _)| inputs.contains(at))
            };
            let jobs = self.group.jobs.iter().enumerate();
            let jobs = jobs.filter(|job| named(&job)).filter_map(|(at, job)| {
                let build = builds.get(at).copied().flatten()?;
                Some(Passed { job: job.name.to_owned(), build })
            });
            jobs.collect::<Vec<_>>()
        };
        let mut together = Vec::new();
        for (at, _) in &job.inputs {
            let Some(Some(version)) = versions.get(*at) else { continue };
            let Some(input) = self.group.inputs.get(*at) else { continue };
            let Some(content) = self.content(*at, version)? else { continue };
            let mut alone: Versions = vec![None; versions.len()];
            if let Some(place) = alone.get_mut(*at) {
                *place = Some(*version);
            }
            if self.first(job, &alone)?.is_none() {
                return Ok(Reason::NotPassed {
                    input: input.spec.name.clone(),
                    version: content,
                    passed: passed(&[*at]),
                    job: job.name.to_owned(),
                    tried,
                });
            }
            together.push((*at, input.spec.name.clone(), content));
        }
        let inputs: Vec<usize> = together.iter().map(|(at, ..)| *at).collect();
        Ok(Reason::NotTogether {
            versions: together.into_iter().map(|(_, name, version)| (name, version)).collect(),
            passed: passed(&inputs),
            job: job.name.to_owned(),
            tried,
        })
    }

    /// Why the newest succeeded build of a job cannot be taken, when none can.
    fn none_usable(&self, job: &Upstream<'_>) -> Result<Reason, Needs> {
        let none: Versions = vec![None; self.group.inputs.len()];
        if let Some((position, build)) = job.successes.builds().last_key_value() {
            let wrong = self.versions(job, build, &none)?.err();
            let at = wrong.or(job.inputs.first().map(|(at, _)| *at)).unwrap_or_default();
            if let Some(input) = self.group.inputs.get(at) {
                match (wrong.and(Some(input.history)), job.order) {
                    (Some(None), _) => return Ok(Reason::never_checked(input.spec)),
                    (Some(Some(it)), _) if it.is_empty() && it.floor() == 0 => {
                        return Ok(Reason::no_version(input.spec));
                    }
                    (Some(Some(it)), _) if it.is_empty() => {
                        let resource = input.spec.resource.clone();
                        return Err(BTreeSet::from([Need::Versions { resource }]));
                    }
                    _ => {}
                }
                let number = job.inputs.iter().find(|(it, _)| *it == at);
                let versions = build.versions(number.and_then(|(_, resource)| *resource));
                let why = match job.order {
                    Order::Forward(build) if wrong.is_none() => Unusable::Repeats { build },
                    _ => self.unusable(at, versions)?,
                };
                return Ok(Reason::NoneUsable {
                    input: input.spec.name.clone(),
                    resource: input.spec.resource.clone(),
                    job: job.name.to_owned(),
                    build: *position,
                    why,
                });
            }
        }
        let waiting = job.inputs.iter().filter_map(|(at, _)| self.group.inputs.get(*at));
        Ok(Reason::NotSucceeded {
            inputs: waiting.map(|input| input.spec.name.clone()).collect(),
            jobs: vec![job.name.to_owned()],
        })
    }

    /// Why none of these versions can be taken for an input.
    fn unusable(&self, at: usize, versions: &[VersionDigest]) -> Result<Unusable, Needs> {
        let (Some(input), Some(first)) = (self.group.inputs.get(at), versions.first()) else {
            return Ok(Unusable::Missing);
        };
        let Some(version) = self.content(at, first)? else { return Ok(Unusable::Gone) };
        Ok(match input.pin {
            _ if input.history.is_some_and(|it| it.is_disabled(first)) => {
                Unusable::Disabled { version }
            }
            Some((pin, _)) => Unusable::NotPinned { version, pin: pin.clone() },
            None => Unusable::Gone,
        })
    }
}
