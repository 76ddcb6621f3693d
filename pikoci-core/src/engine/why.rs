//! Why something does not run, and what would make it run.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::bells::Rings;
use super::builds::{Decision, Waits, fits, job_of};
use super::core::{Changed, Core};
use super::engine::Engine;
use super::error::EngineError;
use super::facts::View;
use super::records::{BuildRecord, BuildState, PipelineRecord};
use crate::database::{Query, Transaction};
use crate::name::BuildId;
use crate::resolve::{Position, Reason, ResourceRef};
use crate::status::Status;

/// Why a job has no further build just now. Its `Display` is a sentence or a few.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhyJob {
    /// The pipeline is paused.
    PipelinePaused,
    /// The job is paused.
    JobPaused,
    /// The pipeline says that it does not run.
    NotEnabled,
    /// Builds of it wait, the next one first.
    Waiting {
        /// Each with what it waits for.
        builds: Vec<WaitingBuild>,
    },
    /// There are no versions that it could take.
    Inputs {
        /// Why, for each input that has none.
        problems: BTreeMap<String, Reason>,
    },
    /// None of its gets triggers: people start it.
    ByHand,
    /// It has used the versions that it would take.
    NothingNew {
        /// The gets that would start it, each with the resource that a new
        /// version is needed of and the jobs that it must have passed.
        triggers: Vec<Trigger>,
    },
    /// There are new versions, and it is about to be started.
    Due,
}

/// A get that would start a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// The get's name.
    pub input: String,
    /// `type.name`.
    pub resource: ResourceRef,
    /// The jobs that the version must have passed.
    pub passed: Vec<String>,
    /// The version that it would take now, for people.
    pub version: String,
}

/// A build that waits, and what for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitingBuild {
    /// Its id.
    pub build: BuildId,
    /// Its number.
    pub number: Position,
    /// What it waits for; `None` when it is about to be looked at.
    pub waits: Option<Waits>,
}

/// Why a build stands where it does. Its `Display` is a sentence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum WhyBuild {
    /// It waits.
    Waits {
        /// What for; `None` when it is about to be looked at.
        waits: Option<Waits>,
    },
    /// A worker has it.
    Running {
        /// The worker's name.
        worker: String,
        /// Why it is being cancelled, if it is.
        cancel: Option<String>,
    },
    /// It ended.
    Ended {
        /// How.
        status: Status,
        /// Why, where it did not end well.
        reason: Option<String>,
    },
}

impl fmt::Display for WhyJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PipelinePaused => Waits::PipelinePaused.fmt(f),
            Self::JobPaused => Waits::JobPaused.fmt(f),
            Self::NotEnabled => write!(f, "the pipeline says `enabled = false`"),
            Self::Waiting { builds } => {
                for (at, waiting) in builds.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "; " };
                    write!(f, "{comma}build {} {}", waiting.number, told(waiting.waits.as_ref()))?;
                }
                Ok(())
            }
            Self::Inputs { problems } => Waits::Inputs { problems: problems.clone() }.fmt(f),
            Self::ByHand => write!(f, "none of its gets says `trigger = true`; start it by hand"),
            Self::NothingNew { triggers } => {
                write!(f, "it has used what there is; a new version of ")?;
                for (at, trigger) in triggers.iter().enumerate() {
                    write!(f, "{}`{}`", if at == 0 { "" } else { " or " }, trigger.resource.0)?;
                    if !trigger.passed.is_empty() {
                        write!(f, " that passed {}", trigger.passed.join(" and "))?;
                    }
                    write!(f, " (now {})", trigger.version)?;
                }
                write!(f, " would start it")
            }
            Self::Due => write!(f, "it is about to be started"),
        }
    }
}

impl fmt::Display for WhyBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waits { waits } => f.write_str(&told(waits.as_ref())),
            Self::Running { worker, cancel: None } => write!(f, "runs on worker `{worker}`"),
            Self::Running { worker, cancel: Some(reason) } => {
                write!(f, "runs on worker `{worker}`, which was told to end it: {reason}")
            }
            Self::Ended { status, reason: None } => write!(f, "{status}"),
            Self::Ended { status, reason: Some(reason) } => write!(f, "{status}: {reason}"),
        }
    }
}

fn told(waits: Option<&Waits>) -> String {
    waits.map_or_else(|| "is about to be looked at".to_owned(), ToString::to_string)
}

/// How many waiting builds are told of.
const TOLD: usize = 10;

impl Engine {
    /// Why a job has no further build just now.
    ///
    /// # Errors
    /// When there is no such job.
    pub async fn why_job(
        &self,
        (team, pipeline, job): (&str, &str, &str),
    ) -> Result<WhyJob, EngineError> {
        let core = self.core();
        let context = (core, team, pipeline, job);
        core.change(&context, |transaction, (core, team, pipeline, job)| {
            Box::pin(async move {
                let record = core.pipeline_in(transaction, team, pipeline).await?;
                let why = core.why_job(transaction, &record, job).await?;
                Ok(Changed::new(why, Rings::default()))
            })
        })
        .await
    }

    /// Why a build stands where it does.
    ///
    /// # Errors
    /// When there is no such build.
    pub async fn why_build(&self, build: BuildId) -> Result<WhyBuild, EngineError> {
        let core = self.core();
        core.change(&(core, build), |transaction, (core, build)| {
            Box::pin(async move {
                let build = core.build_in(transaction, *build).await?;
                let why = core.why_build(transaction, &build).await?;
                Ok(Changed::new(why, Rings::default()))
            })
        })
        .await
    }
}

impl Core {
    async fn why_job(
        &self,
        transaction: &mut Transaction,
        pipeline: &PipelineRecord,
        name: &str,
    ) -> Result<WhyJob, EngineError> {
        let config = self.configs.get(&self.logs, pipeline.id, pipeline.revision).await?;
        let job = job_of(&config, name)?;
        let shared = self.shared(transaction, pipeline, job).await?;
        if pipeline.paused {
            return Ok(WhyJob::PipelinePaused);
        }
        if shared.record.paused {
            return Ok(WhyJob::JobPaused);
        }
        let query = Query::below((pipeline.id, name)).limit(TOLD);
        let page = transaction.list_by::<BuildRecord>("unfinished", &query).await?;
        let mut builds = Vec::new();
        for build in page.items {
            if let WhyBuild::Waits { waits } = self.why_build(transaction, &build).await? {
                builds.push(WaitingBuild { build: build.id, number: build.position, waits });
            }
        }
        if !builds.is_empty() {
            builds.sort_by_key(|it| it.number);
            return Ok(WhyJob::Waiting { builds });
        }
        if !job.enabled {
            return Ok(WhyJob::NotEnabled);
        }
        let Some((_, job_config)) = config.job(name) else { return Ok(WhyJob::ByHand) };
        let spec = &job_config.spec;
        if !spec.inputs.iter().any(|input| input.trigger) {
            return Ok(WhyJob::ByHand);
        }
        let view = self.resolve(pipeline.id, &config, spec).await?;
        if view.triggers {
            return Ok(WhyJob::Due);
        }
        let (mut problems, mut triggers) = (BTreeMap::new(), Vec::new());
        for (input, resolved) in spec.inputs.iter().zip(&view.resolution.inputs) {
            match &resolved.result {
                Err(reason) => {
                    problems.insert(input.name.clone(), reason.clone());
                }
                Ok(chosen) if input.trigger => triggers.push(Trigger {
                    input: input.name.clone(),
                    resource: input.resource.clone(),
                    passed: input.passed.clone(),
                    version: chosen.version.to_string(),
                }),
                Ok(_) => {}
            }
        }
        Ok(if problems.is_empty() {
            WhyJob::NothingNew { triggers }
        } else {
            WhyJob::Inputs { problems }
        })
    }

    async fn why_build(
        &self,
        transaction: &mut Transaction,
        build: &BuildRecord,
    ) -> Result<WhyBuild, EngineError> {
        match &build.state {
            BuildState::Pending => {
                let waits = self.why_pending(transaction, build).await?;
                Ok(WhyBuild::Waits { waits })
            }
            BuildState::Queued { tags, only } => {
                let wanted = tags.iter().cloned().collect();
                let workers = self.workers().await?;
                let could = workers.iter().filter(|worker| {
                    let registration = &worker.registration;
                    registration.build_slots > 0
                        && fits(registration, &wanted, &build.team)
                        && only.is_none_or(|only| only == worker.session)
                });
                let workers = u32::try_from(could.count()).unwrap_or(u32::MAX);
                Ok(WhyBuild::Waits { waits: Some(Waits::Worker { tags: tags.clone(), workers }) })
            }
            BuildState::Running { worker, .. } => Ok(WhyBuild::Running {
                worker: worker.clone(),
                cancel: build.cancel.as_ref().map(|it| it.reason.clone()),
            }),
            BuildState::Finished { status } => {
                Ok(WhyBuild::Ended { status: *status, reason: build.reason.clone() })
            }
        }
    }

    async fn why_pending(
        &self,
        transaction: &mut Transaction,
        build: &BuildRecord,
    ) -> Result<Option<Waits>, EngineError> {
        let pipeline = self.live_pipeline(transaction, build.pipeline).await?;
        let config = self.configs.get(&self.logs, pipeline.id, pipeline.revision).await?;
        let Some((job, job_config)) = config.job(&build.job) else {
            return Ok(Some(Waits::JobRemoved));
        };
        let shared = self.shared(transaction, &pipeline, job).await?;
        let view = match build.inputs {
            Some(_) => View::of_nothing(),
            None => self.resolve(pipeline.id, &config, &job_config.spec).await?,
        };
        Ok(match self.decision(build, &pipeline, &shared, &view).await? {
            Decision::Wait(waits) => Some(waits),
            Decision::Start(_) | Decision::Adopt(_) | Decision::End(..) => None,
        })
    }
}
