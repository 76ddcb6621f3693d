//! What becomes of a build that waits, as things stand. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engine::facts::View;
use crate::engine::records::{
    AdoptedInput, BuildRecord, Cause, GroupRecord, JobRecord, VersionRecord,
};
use crate::name::BuildId;
use crate::pipeline::Job;
use crate::resolve::{Reason, ResourceRef};
use crate::status::Status;

/// How things stand for the waiting builds of a job.
#[derive(Debug)]
pub(crate) struct Standing<'a> {
    pub(crate) job: &'a Job,
    pub(crate) pipeline_paused: bool,
    pub(crate) record: &'a JobRecord,
    /// The job's serial groups.
    pub(crate) groups: &'a [GroupRecord],
    /// What resolution found.
    pub(crate) view: &'a View,
    /// How many checks were served, of the resources that the build waits for.
    pub(crate) served: &'a BTreeMap<ResourceRef, u64>,
    /// The versions that somebody chose for the build, by the get's name.
    pub(crate) chosen: &'a BTreeMap<String, VersionRecord>,
}

/// What becomes of a build that waits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// It takes these inputs, if it had none, and its slots, and waits for a worker.
    Start(Option<Vec<AdoptedInput>>),
    /// It takes these inputs and then waits for people.
    Adopt(Vec<AdoptedInput>),
    /// It ends.
    End(Status, String),
    /// It waits.
    Wait(Waits),
}

/// What a build that waits is waiting for. Its `Display` is a sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "waits_for", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Waits {
    /// Somebody has to let the pipeline go on.
    PipelinePaused,
    /// Somebody has to let the job go on.
    JobPaused,
    /// The job was taken out of the pipeline.
    JobRemoved,
    /// Resources are being checked for it.
    Checks {
        /// Which.
        resources: Vec<ResourceRef>,
    },
    /// There are no versions that it could take.
    Inputs {
        /// Why, for each input that has none.
        problems: BTreeMap<String, Reason>,
    },
    /// People have to approve it.
    Approval {
        /// What is to be approved.
        label: String,
        /// How many have.
        given: u32,
        /// How many must.
        needed: u32,
    },
    /// As many builds of the job run as may.
    Slot {
        /// How many may.
        limit: u32,
        /// Those that run.
        holders: Vec<BuildId>,
    },
    /// Another job of a serial group runs.
    Group {
        /// The group.
        group: String,
        /// The job that runs.
        job: String,
        /// Its builds.
        holders: Vec<BuildId>,
    },
    /// Another job of a serial group has waited for longer.
    Turn {
        /// The group.
        group: String,
        /// The job whose turn it is.
        job: String,
        /// Its build.
        build: BuildId,
    },
    /// A worker has to take it.
    Worker {
        /// The tags that it must have.
        tags: Vec<String>,
        /// How many workers are there that could.
        workers: u32,
    },
}

impl Waits {
    /// Whether the builds of the same job behind it have to wait too.
    pub(crate) fn holds_up(&self) -> bool {
        matches!(self, Self::Slot { .. } | Self::Group { .. } | Self::Turn { .. })
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PipelinePaused => write!(f, "the pipeline is paused; unpause it to go on"),
            Self::JobPaused => write!(f, "the job is paused; unpause it to go on"),
            Self::JobRemoved => write!(f, "the job is not in the pipeline any more"),
            Self::Checks { resources } => {
                let names: Vec<_> = resources.iter().map(|it| format!("`{}`", it.0)).collect();
                write!(f, "waits for a check of {}", names.join(", "))
            }
            Self::Inputs { problems } => {
                for (at, (input, reason)) in problems.iter().enumerate() {
                    write!(f, "{}input `{input}`: {reason}", if at == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
            Self::Approval { label, given, needed } => {
                write!(f, "waits for approval of `{label}`: {given} of {needed} have approved")
            }
            Self::Slot { limit: 1, .. } => {
                write!(f, "waits for the build of this job that runs; one may at a time")
            }
            Self::Slot { limit, .. } => {
                write!(f, "waits for one of the {limit} builds of this job that may run at once")
            }
            Self::Group { group, job, .. } => {
                write!(f, "waits for job `{job}`, which runs in serial group `{group}`")
            }
            Self::Turn { group, job, .. } => {
                write!(f, "waits for job `{job}`, whose turn it is in serial group `{group}`")
            }
            Self::Worker { tags, workers: 0 } if tags.is_empty() => {
                write!(f, "waits for a worker, and there is none; start one")
            }
            Self::Worker { tags, workers: 0 } => {
                write!(f, "waits for a worker with tags {}, and there is none", tags.join(", "))
            }
            Self::Worker { workers: 1, .. } => write!(f, "waits until its only worker is free"),
            Self::Worker { workers, .. } => {
                write!(f, "waits until one of {workers} workers is free")
            }
        }
    }
}

/// What becomes of `build`, which waits, as things stand.
pub(crate) fn decide(build: &BuildRecord, standing: &Standing<'_>) -> Decision {
    if let Some(said_no) = build.approvals.iter().find_map(|it| it.rejection()) {
        return Decision::End(Status::Failed, format!("it was rejected by {}", said_no.by));
    }
    if standing.pipeline_paused {
        return Decision::Wait(Waits::PipelinePaused);
    }
    if standing.record.paused {
        return Decision::Wait(Waits::JobPaused);
    }
    let inputs = match &build.inputs {
        Some(_) => None,
        None => match inputs(build, standing) {
            Ok(inputs) => Some(inputs),
            Err(decision) => return decision,
        },
    };
    if let Some(open) = build.approvals.iter().find(|it| !it.is_given()) {
        let given = open.decisions.iter().filter(|it| it.approved).count();
        return match inputs {
            Some(inputs) => Decision::Adopt(inputs),
            None => Decision::Wait(Waits::Approval {
                label: open.label.clone(),
                given: u32::try_from(given).unwrap_or(u32::MAX),
                needed: open.needed,
            }),
        };
    }
    match slot(build, standing) {
        Some(waits) => Decision::Wait(waits),
        None => Decision::Start(inputs),
    }
}

/// The inputs that a build without any takes.
fn inputs(build: &BuildRecord, standing: &Standing<'_>) -> Result<Vec<AdoptedInput>, Decision> {
    let unserved = |(resource, request): (&ResourceRef, &u64)| {
        let served = standing.served.get(resource).copied().unwrap_or(0);
        (served < *request).then(|| resource.clone())
    };
    let resources: Vec<_> = build.awaits_checks.iter().filter_map(unserved).collect();
    if !resources.is_empty() {
        return Err(Decision::Wait(Waits::Checks { resources }));
    }
    let mut adopted = Vec::new();
    let mut problems = BTreeMap::new();
    for input in &standing.view.resolution.inputs {
        let (name, resource) = (input.name.clone(), input.resource.clone());
        if let Some(chosen) = standing.chosen.get(&name) {
            adopted.push(AdoptedInput {
                name,
                resource,
                scope: chosen.scope.clone(),
                digest: chosen.digest,
                version: chosen.version.clone(),
                first: false,
                sources: BTreeMap::new(),
            });
            continue;
        }
        match &input.result {
            Ok(chosen) => adopted.push(AdoptedInput {
                scope: standing.view.scopes.get(&resource).cloned().unwrap_or_default(),
                name,
                resource,
                digest: chosen.digest,
                version: (*chosen.version).clone(),
                first: chosen.first,
                sources: chosen.sources.clone(),
            }),
            Err(reason) => {
                problems.insert(name, reason.clone());
            }
        }
    }
    if !problems.is_empty() {
        return Err(Decision::Wait(Waits::Inputs { problems }));
    }
    let by_itself = matches!(build.cause, Cause::Versions { .. });
    if by_itself && !standing.view.triggers {
        let reason = "another build took its versions meanwhile".to_owned();
        return Err(Decision::End(Status::Cancelled, reason));
    }
    Ok(adopted)
}

/// Why a build cannot have its slots, if it cannot.
fn slot(build: &BuildRecord, standing: &Standing<'_>) -> Option<Waits> {
    let (job, record) = (standing.job, standing.record);
    let limit = usize::try_from(job.concurrency).unwrap_or(usize::MAX);
    if limit > 0 && record.holders.len() >= limit && !record.holders.contains(&build.id) {
        let holders = record.holders.iter().copied().collect();
        return Some(Waits::Slot { limit: job.concurrency, holders });
    }
    for group in standing.groups {
        if group.holders.contains(&build.id) {
            continue;
        }
        if let Some(holder) = group.job.as_ref().filter(|it| **it != job.name) {
            return Some(Waits::Group {
                group: group.name.clone(),
                job: holder.clone(),
                holders: group.holders.iter().copied().collect(),
            });
        }
        let others = group.waiting.iter().filter(|(name, _)| **name != job.name);
        if let Some((name, first)) = others.min_by_key(|(_, waits)| **waits)
            && *first < build.id
        {
            let (group, job) = (group.name.clone(), name.clone());
            return Some(Waits::Turn { group, job, build: *first });
        }
    }
    None
}
