//! The search for one build of each job of a group, such that all builds that an
//! input's version must have passed have the same version.
//!
//! Builds are settled job by job, the most preferred first: a build is taken
//! once builds of all further jobs are found to go with it. For these the job
//! with the fewest builds to try comes next, so that a search that cannot
//! succeed ends early, and what failed is remembered by nothing but the versions
//! that further jobs have to match. The work grows with the number of distinct
//! versions that jobs share, and not with the number of builds.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{Group, Upstream};
use super::position::Position;
use super::resolution::Need;
use super::supply::{Supply, supply};
use super::walk::{Among, Candidate, may_lack_preferred, walk};
use super::world::{Lookup, World};
use crate::version::VersionDigest;

/// After so many failures it is worth while to ask whether there is any hope.
const HOPEFUL: u64 = 64;
/// Versions that are asked for one by one; beyond, all of the resource are.
const ONE_BY_ONE: usize = 32;

/// What a search came to.
#[derive(Debug)]
pub(super) enum Found {
    /// A build for each job, with whether it was reached going forward, and a
    /// version for each input.
    Builds(Vec<(Position, bool)>, Vec<VersionDigest>),
    /// There is none.
    Nothing {
        /// How many builds were tried.
        tried: u64,
    },
    /// That depends on these.
    Needs(BTreeSet<Need>),
}

/// How a branch of a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Branch {
    Found,
    Failed,
    /// The answer depends on what is not loaded.
    Stopped,
}

/// What decides about the jobs that are left: which they are, and the versions
/// settled for the inputs that they share with the others.
type Rest = (Vec<usize>, Vec<Option<VersionDigest>>);

/// A search in progress.
#[derive(Debug)]
pub(super) struct Search<'a> {
    group: &'a Group<'a>,
    world: WorldRef<'a>,
    /// By input.
    versions: Vec<Option<VersionDigest>>,
    /// By job.
    builds: Vec<Option<(Position, bool)>>,
    failed: BTreeSet<Rest>,
    /// By input: whether a version is in all jobs the input names, and usable.
    usable: Vec<BTreeMap<VersionDigest, bool>>,
    tried: u64,
    looked_ahead: bool,
    hopeless: bool,
    needs: BTreeSet<Need>,
}

/// A world, for `Debug`.
#[derive(Clone, Copy)]
struct WorldRef<'a>(&'a dyn World);

impl std::fmt::Debug for WorldRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

impl<'a> Search<'a> {
    /// A search for a group whose jobs have all succeeded.
    pub(super) fn new(group: &'a Group<'a>, world: &'a dyn World) -> Self {
        Self {
            group,
            world: WorldRef(world),
            versions: vec![None; group.inputs.len()],
            builds: vec![None; group.jobs.len()],
            failed: BTreeSet::new(),
            usable: vec![BTreeMap::new(); group.inputs.len()],
            tried: 0,
            looked_ahead: false,
            hopeless: false,
            needs: BTreeSet::new(),
        }
    }

    /// The preferred solution.
    pub(super) fn run(mut self) -> Found {
        let mut proof: Option<Vec<Option<(Position, bool)>>> = None;
        for at in 0..self.group.jobs.len() {
            match self.settle(at, &mut proof) {
                Branch::Found => {}
                Branch::Failed if self.needs.is_empty() => {
                    return Found::Nothing { tried: self.tried };
                }
                Branch::Failed | Branch::Stopped => return Found::Needs(self.needs),
            }
        }
        let builds: Option<Vec<_>> = self.builds.iter().copied().collect();
        let versions: Option<Vec<_>> = self.versions.iter().copied().collect();
        match builds.zip(versions) {
            Some((builds, versions)) if self.needs.is_empty() => Found::Builds(builds, versions),
            _ => Found::Needs(self.needs),
        }
    }

    /// Takes the most preferred build of a job that builds of all further jobs go
    /// with. `proof` is such a set for what was settled before.
    fn settle(&mut self, at: usize, proof: &mut Option<Vec<Option<(Position, bool)>>>) -> Branch {
        let Some(job) = self.group.jobs.get(at) else { return Branch::Failed };
        if self.lacks(job) {
            return Branch::Stopped;
        }
        let proven = proof.as_ref().and_then(|builds| builds.get(at).copied().flatten());
        let rest: Vec<usize> = (at + 1..self.group.jobs.len()).collect();
        for candidate in walk(self.group, job, self.among(job), self.world.0) {
            let before = self.versions.clone();
            if self.take(at, candidate) {
                if proven == Some((candidate.position, candidate.after)) {
                    return Branch::Found;
                }
                let saved = self.builds.clone();
                match self.complete(&rest) {
                    Branch::Found => {
                        let found = std::mem::replace(&mut self.builds, saved);
                        *proof = Some(found);
                        self.keep_versions(at);
                        return Branch::Found;
                    }
                    Branch::Failed => self.builds = saved,
                    Branch::Stopped => return Branch::Stopped,
                }
            }
            self.versions = before;
            if self.is_hopeless() {
                return Branch::Failed;
            }
        }
        self.exhausted(job)
    }

    /// Forgets the versions that only jobs after this one have settled.
    fn keep_versions(&mut self, at: usize) {
        for (version, input) in self.versions.iter_mut().zip(&self.group.inputs) {
            if input.jobs.iter().all(|job| *job > at) {
                *version = None;
            }
        }
    }

    /// Finds builds of all jobs in `rest` that go with what is settled.
    fn complete(&mut self, rest: &[usize]) -> Branch {
        if rest.is_empty() {
            return Branch::Found;
        }
        let key = self.rest(rest);
        if self.failed.contains(&key) {
            return Branch::Failed;
        }
        let Some(at) = self.fewest(rest) else { return Branch::Failed };
        let Some(job) = self.group.jobs.get(at) else { return Branch::Failed };
        if self.lacks(job) {
            return Branch::Stopped;
        }
        let rest: Vec<usize> = rest.iter().copied().filter(|other| *other != at).collect();
        for candidate in walk(self.group, job, self.among(job), self.world.0) {
            let before = self.versions.clone();
            if self.take(at, candidate) {
                match self.complete(&rest) {
                    Branch::Failed => {}
                    end => return end,
                }
            }
            self.versions = before;
        }
        let end = self.exhausted(job);
        if end == Branch::Failed {
            self.failed.insert(key);
        }
        end
    }

    fn rest(&self, rest: &[usize]) -> Rest {
        let shared = |(input, version): (&super::group::Member<'_>, &Option<VersionDigest>)| {
            version.filter(|_| input.jobs.iter().any(|job| rest.contains(job)))
        };
        let versions = self.group.inputs.iter().zip(&self.versions).map(shared).collect();
        (rest.to_vec(), versions)
    }

    /// The job with the fewest builds to try.
    fn fewest(&self, rest: &[usize]) -> Option<usize> {
        let count = |at: &usize| {
            let job = self.group.jobs.get(*at);
            job.map_or((true, 0), |job| {
                let count = match self.among(job) {
                    Among::All => job.successes.len(),
                    Among::These(places) => places.len(),
                };
                // What is not loaded is asked for last.
                (!job.successes.is_complete(), count)
            })
        };
        rest.iter().copied().min_by_key(count)
    }

    /// The builds of a job that have one of the versions settled: the fewest.
    fn among(&self, job: &Upstream<'a>) -> Among<'a> {
        let having = |(at, resource): &(usize, Option<usize>)| {
            let version = self.versions.get(*at)?.as_ref()?;
            Some(job.successes.having(*resource, version))
        };
        let fewest = job.inputs.iter().filter_map(having).min_by_key(|places| places.len());
        fewest.map_or(Among::All, Among::These)
    }

    /// Settles a build of a job, if its versions go with those settled before.
    fn take(&mut self, at: usize, candidate: Candidate<'_>) -> bool {
        self.tried += 1;
        let Some(job) = self.group.jobs.get(at) else { return false };
        for (input, resource) in &job.inputs {
            let Some(member) = self.group.inputs.get(*input) else { return false };
            let version = match supply(member, candidate.build.versions(*resource), self.world.0) {
                Supply::Version(version) => version,
                Supply::Nothing => return false,
                Supply::NotLoaded(version) => {
                    self.wants(*input, version);
                    return false;
                }
            };
            let Some(settled) = self.versions.get_mut(*input) else { return false };
            match settled {
                Some(other) if *other == version => {}
                Some(_) => return false,
                None => {
                    *settled = Some(version);
                    if !self.is_usable(*input, version) {
                        return false;
                    }
                }
            }
        }
        if let Some(build) = self.builds.get_mut(at) {
            *build = Some((candidate.position, candidate.after));
        }
        true
    }

    /// Asks for the content of a version.
    fn wants(&mut self, input: usize, version: VersionDigest) {
        let Some(member) = self.group.inputs.get(input) else { return };
        let resource = member.spec.resource.clone();
        let of =
            |need: &&Need| matches!(need, Need::Version { resource: it, .. } if *it == resource);
        if self.needs.iter().filter(of).count() < ONE_BY_ONE {
            self.needs.insert(Need::Version { resource, version });
        } else {
            self.needs.insert(Need::Versions { resource });
        }
    }

    /// Whether the history has a version, and each job that the input names a
    /// build with it, as far as is known.
    fn is_usable(&mut self, input: usize, version: VersionDigest) -> bool {
        let Some(known) = self.usable.get_mut(input) else { return false };
        let Some(member) = self.group.inputs.get(input) else { return false };
        let (group, world) = (self.group, self.world.0);
        *known.entry(version).or_insert_with(|| {
            let has = |job: &Upstream<'_>| {
                let number = job.inputs.iter().find(|(at, _)| *at == input);
                let resource = number.and_then(|(_, resource)| *resource);
                !job.successes.is_complete() || !job.successes.having(resource, &version).is_empty()
            };
            member.jobs.iter().filter_map(|at| group.jobs.get(*at)).all(has)
                && world.version(&member.spec.resource, &version) != Lookup::Unknown
        })
    }

    /// Whether the answer depends on builds that are not loaded even before any
    /// that is loaded is tried.
    fn lacks(&mut self, job: &Upstream<'_>) -> bool {
        let lacks = may_lack_preferred(job);
        if lacks {
            self.needs.insert(Need::Builds { job: job.name.to_owned() });
        }
        lacks
    }

    /// What it means that no loaded build of a job will do.
    fn exhausted(&mut self, job: &Upstream<'_>) -> Branch {
        if job.successes.is_complete() {
            return Branch::Failed;
        }
        self.needs.insert(Need::Builds { job: job.name.to_owned() });
        Branch::Stopped
    }

    /// Whether there is an input of which no version is in all jobs it names. Asked once, when that is cheap compared to what has
    /// been tried.
    fn is_hopeless(&mut self) -> bool {
        if !self.looked_ahead && self.tried >= HOPEFUL {
            self.looked_ahead = true;
            self.hopeless = (0..self.group.inputs.len()).any(|at| self.nothing_in_common(at));
        }
        self.hopeless
    }

    fn nothing_in_common(&self, input: usize) -> bool {
        let Some(member) = self.group.inputs.get(input) else { return false };
        let jobs = member.jobs.iter().filter_map(|at| self.group.jobs.get(*at));
        let of = |job: &'a Upstream<'a>| {
            let number = job.inputs.iter().find(|(at, _)| *at == input);
            job.successes.versions(number.and_then(|(_, resource)| *resource))
        };
        let all: Option<Vec<_>> = jobs.filter(|job| job.successes.is_complete()).map(of).collect();
        // A job without any version of the resource has none in common with others.
        let Some(all) = all else { return true };
        let Some(fewest) = all.iter().min_by_key(|versions| versions.len()) else { return false };
        !fewest.keys().any(|version| all.iter().all(|versions| versions.contains_key(version)))
    }
}
