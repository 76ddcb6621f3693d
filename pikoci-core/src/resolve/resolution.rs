//! The answer: a version for each input, or why there is none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::group::groups;
use super::plain;
use super::position::Position;
use super::reason::Reason;
use super::spec::{JobSpec, ResourceRef};
use super::world::World;
use crate::version::{Version, VersionDigest};

/// What a job's inputs would be now.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// Each input, in the order of the job's.
    pub inputs: Vec<ResolvedInput>,
    /// Whether an input that takes `every` version has a further one behind
    /// this: once a build has adopted these, the job is to be looked at again
    /// without waiting for anything. False while an input has no version.
    pub more_remain: bool,
    /// The facts that the answer depends on and that are not loaded, each once.
    pub needs: Vec<Need>,
}

/// What an input would be now.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedInput {
    /// Its name.
    pub name: String,
    /// What it is a version of.
    pub resource: ResourceRef,
    /// Its version, or why it has none.
    pub result: Result<Chosen, Reason>,
}

/// The version that an input would take.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The version.
    pub version: Arc<Version>,
    /// Its digest.
    pub digest: VersionDigest,
    /// Whether no build of the job has taken it for this input before.
    pub first: bool,
    /// The upstream builds behind it, by job; empty without `passed`.
    pub sources: BTreeMap<String, Position>,
}

/// Facts that an answer depends on and that are not loaded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "need", rename_all = "snake_case")]
pub enum Need {
    /// The versions of a resource below its floor.
    Versions {
        /// The resource.
        resource: ResourceRef,
    },
    /// One version of a resource, or that there is none of this digest; loading
    /// all versions does as well.
    Version {
        /// The resource.
        resource: ResourceRef,
        /// Its digest.
        version: VersionDigest,
    },
    /// The older succeeded builds of a job.
    Builds {
        /// The job.
        job: String,
    },
}

impl Resolution {
    /// Whether every input has a version.
    pub fn determined(&self) -> bool {
        self.inputs.iter().all(|input| input.result.is_ok())
    }

    /// Whether some input that triggers has a version that is new to it, and
    /// every input has one: the job is to run.
    pub fn triggers(&self, job: &JobSpec) -> bool {
        let trigger = |name: &str| job.inputs.iter().any(|it| it.name == name && it.trigger);
        self.determined() && self.inputs.iter().any(|it| it.is_first() && trigger(&it.name))
    }

    /// Whether some input has a version that is new to it, and every input has one.
    pub fn has_new_inputs(&self) -> bool {
        self.determined() && self.inputs.iter().any(ResolvedInput::is_first)
    }

    /// Why inputs have no version, by input.
    pub fn problems(&self) -> BTreeMap<String, Reason> {
        let problem = |input: &ResolvedInput| {
            Some((input.name.clone(), input.result.as_ref().err()?.clone()))
        };
        self.inputs.iter().filter_map(problem).collect()
    }
}

impl ResolvedInput {
    fn is_first(&self) -> bool {
        self.result.as_ref().is_ok_and(|chosen| chosen.first)
    }
}

/// What came of an input or of a group of them.
#[derive(Debug)]
pub(super) enum Answer<T> {
    /// This.
    Found(T),
    /// Nothing.
    Not(Reason),
    /// That depends on these.
    Needs(BTreeSet<Need>),
}

/// The versions that the inputs of `job` would take now.
pub fn resolve(job: &JobSpec, world: &dyn World) -> Resolution {
    let mut results: BTreeMap<usize, Result<Chosen, Reason>> = BTreeMap::new();
    let mut needs = BTreeSet::new();
    let mut more_remain = false;
    for (at, input) in job.inputs.iter().enumerate() {
        if input.passed.is_empty() {
            let result = match plain::choose(input, world) {
                Answer::Found((chosen, more)) => {
                    more_remain |= more;
                    Ok(chosen)
                }
                Answer::Not(reason) => Err(reason),
                Answer::Needs(wanted) => {
                    needs.extend(wanted);
                    Err(Reason::not_loaded(input))
                }
            };
            results.insert(at, result);
        }
    }
    for members in groups(&job.inputs) {
        let inputs = || members.iter().filter_map(|at| Some((*at, job.inputs.get(*at)?)));
        match super::group::resolve(inputs().map(|(_, input)| input).collect(), world) {
            Answer::Found((chosen, more)) => {
                more_remain |= more;
                results.extend(members.iter().copied().zip(chosen.into_iter().map(Ok)));
            }
            Answer::Not(reason) => {
                results.extend(inputs().map(|(at, _)| (at, Err(reason.clone()))));
            }
            Answer::Needs(wanted) => {
                needs.extend(wanted);
                results.extend(inputs().map(|(at, it)| (at, Err(Reason::not_loaded(it)))));
            }
        }
    }
    let resolved = job.inputs.iter().enumerate().map(|(at, input)| ResolvedInput {
        name: input.name.clone(),
        resource: input.resource.clone(),
        result: match results.remove(&at) {
            Some(result) => result,
            None => Err(Reason::not_loaded(input)),
        },
    });
    let mut resolution =
        Resolution { inputs: resolved.collect(), more_remain, needs: needs.into_iter().collect() };
    resolution.more_remain &= resolution.determined();
    resolution
}
