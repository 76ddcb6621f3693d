//! Teams and pipelines: made, set, listed, paused, renamed, deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::bells::{Bell, Rings};
use super::config::{self, Config, RevisionBody, hex};
use super::core::{Changed, Core};
use super::engine::Engine;
use super::error::EngineError;
use super::plan::{PipelinePlan, plan};
use super::records::{
    JobRecord, PipelineId, PipelineRecord, ResourceRecord, RevisionRecord, TeamRecord,
};
use super::team::TeamEventKind;
use crate::database::{Cursor, Flags, MAX_PAGE_ITEMS, Page, Part, Query, Transaction};
use crate::language::diagnostic::Diagnostic;
use crate::language::{ReadOptions, read};
use crate::name::slug;
use crate::pipeline::Pipeline;
use crate::resolve::ResourceRef;

/// Pipelines whose resources and jobs are to be brought in line with their
/// newest revision: `(pipeline)`.
pub(crate) fn set_up() -> Flags {
    Flags::new("setup")
}

/// The text of a pipeline, and what it is to be read with.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PipelineText {
    /// The texts, each with its file's name.
    pub files: Vec<(String, String)>,
    /// Values for its variables.
    pub vars: BTreeMap<String, String>,
    /// The revision that is to be replaced, 0 for a pipeline that is not there
    /// yet; `None` replaces any.
    pub expected: Option<u64>,
}

impl PipelineText {
    /// One text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { files: vec![("pipeline.hcl".into(), text.into())], ..Self::default() }
    }

    /// The same with a value for a variable.
    #[must_use]
    pub fn var(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.vars.insert(name.into(), value.into());
        self
    }

    /// The same, to replace this revision and no other.
    #[must_use]
    pub fn expecting(mut self, revision: u64) -> Self {
        self.expected = Some(revision);
        self
    }
}

impl From<&str> for PipelineText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// What setting a pipeline did.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineSet {
    /// The pipeline as it is then.
    pub pipeline: PipelineRecord,
    /// What that changed of what it does; nothing where only its words are
    /// others. Where its texts are the same too, there is no new revision.
    pub plan: PipelinePlan,
    /// What is not wrong and looks it.
    pub warnings: Vec<Diagnostic>,
}

/// A pipeline that was read.
struct Read {
    body: RevisionBody,
    warnings: Vec<Diagnostic>,
}

/// What is about to be set.
struct Setting<'a> {
    core: &'a Core,
    team: &'a str,
    name: &'a str,
    by: &'a str,
    expected: Option<u64>,
    entries: Vec<bytes::Bytes>,
    sha256: String,
    jobs: u32,
}

impl Engine {
    /// Makes a team.
    ///
    /// # Errors
    /// When its name is no slug, or there is one.
    pub async fn create_team(&self, name: &str) -> Result<TeamRecord, EngineError> {
        check_slug("team", name)?;
        let record = TeamRecord { name: name.to_owned(), created: self.core().clock().now() };
        match self.core().database.insert(&record).await {
            Ok(()) => Ok(record),
            Err(crate::database::DatabaseError::Exists { .. }) => {
                Err(EngineError::Exists { kind: "team", name: name.to_owned() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Teams by their names, page by page.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn teams(&self, after: Option<Cursor>) -> Result<Page<TeamRecord>, EngineError> {
        Ok(self.core().database.list(&Query::all().after(after)).await?)
    }

    /// What setting a pipeline would change, without doing it.
    ///
    /// # Errors
    /// As for [`Self::set_pipeline`].
    pub async fn plan_pipeline(
        &self,
        team: &str,
        name: &str,
        text: &PipelineText,
    ) -> Result<PipelineSet, EngineError> {
        check_slug("pipeline", name)?;
        let core = self.core();
        let read = self.read_pipeline(name, text).await?;
        let old = core.pipeline(team, name).await?;
        check_expected(name, text.expected, old.as_ref())?;
        let plan = core.plan_of(old.as_ref(), &read.body.pipeline).await?;
        let now = core.clock().now();
        let pipeline = old.unwrap_or_else(|| new_pipeline(PipelineId(core.id()), team, name, now));
        Ok(PipelineSet { pipeline, plan, warnings: read.warnings })
    }

    /// Makes a pipeline, or sets it to a new revision. Every revision is kept.
    /// What is paused or pinned stays so, histories and webhooks go on, and a
    /// job that is gone keeps its builds.
    ///
    /// # Errors
    /// [`Pipeline`](EngineError::Pipeline) with all its mistakes;
    /// [`Stale`](EngineError::Stale); when there is no such team, or it cannot be written.
    pub async fn set_pipeline(
        &self,
        team: &str,
        name: &str,
        text: &PipelineText,
        by: &str,
    ) -> Result<PipelineSet, EngineError> {
        check_slug("pipeline", name)?;
        let core = self.core();
        let read = self.read_pipeline(name, text).await?;
        let old = core.pipeline(team, name).await?;
        let plan = core.plan_of(old.as_ref(), &read.body.pipeline).await?;
        let entries = config::encode(&read.body)?;
        let mut hash = Sha256::new();
        entries.iter().for_each(|entry| hash.update(entry));
        let setting = Setting {
            core,
            team,
            name,
            by,
            expected: text.expected,
            sha256: hex(&hash.finalize()),
            jobs: u32::try_from(read.body.pipeline.jobs.len()).unwrap_or(u32::MAX),
            entries,
        };
        let pipeline =
            core.change(&setting, |transaction, it| Box::pin(it.set(transaction))).await?;
        let config = Arc::new(Config::new(read.body.pipeline));
        core.configs.keep(pipeline.id, pipeline.revision, config);
        core.set_up_pipeline(pipeline.id).await?;
        Ok(PipelineSet { pipeline, plan, warnings: read.warnings })
    }

    async fn read_pipeline(&self, name: &str, text: &PipelineText) -> Result<Read, EngineError> {
        let (files, vars) = (text.files.clone(), text.vars.clone());
        let (catalog, sources) = (self.catalog().clone(), self.sources());
        let (name, now) = (name.to_owned(), self.core().clock().now());
        let reading = {
            let vars = vars.clone();
            move |sources: &dyn crate::language::SourceLoader, files| {
                let mut options = ReadOptions::new(name, &catalog);
                options.vars = vars;
                options.loader = sources;
                options.now = now;
                read(files, &options)
            }
        };
        let given = files.clone();
        let outcome = match sources {
            // Fetching may take its time.
            Some(sources) => {
                let read = tokio::task::spawn_blocking(move || reading(&*sources, given)).await;
                read.map_err(|error| EngineError::invalid(format!("it cannot be read: {error}")))?
            }
            None => reading(&crate::language::NoSources, given),
        };
        match outcome.pipeline {
            Some(pipeline) => Ok(Read {
                body: RevisionBody { files, vars, pipeline },
                warnings: outcome.diagnostics,
            }),
            None => Err(EngineError::Pipeline {
                diagnostics: outcome.diagnostics,
                sources: Box::new(outcome.sources),
            }),
        }
    }

    /// A pipeline by its name.
    ///
    /// # Errors
    /// When there is none.
    pub async fn pipeline(&self, team: &str, name: &str) -> Result<PipelineRecord, EngineError> {
        let found = self.core().pipeline(team, name).await?;
        found.ok_or_else(|| EngineError::not_found("pipeline", format!("{team}/{name}")))
    }

    /// The pipelines of a team by their names, page by page.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn pipelines(
        &self,
        team: &str,
        after: Option<Cursor>,
    ) -> Result<Page<PipelineRecord>, EngineError> {
        let query = Query::below(team).after(after);
        Ok(self.core().database.list_by("by_name", &query).await?)
    }

    /// The revisions of a pipeline, the newest first, page by page.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn revisions(
        &self,
        pipeline: PipelineId,
        after: Option<Cursor>,
    ) -> Result<Page<RevisionRecord>, EngineError> {
        let query = Query::below(pipeline).descending().after(after);
        Ok(self.core().database.list(&query).await?)
    }

    /// The texts of a revision and what they were read as.
    ///
    /// # Errors
    /// When there is no such revision.
    pub async fn revision(
        &self,
        pipeline: PipelineId,
        revision: u64,
    ) -> Result<RevisionBody, EngineError> {
        config::read(&self.core().logs, pipeline, revision).await
    }

    /// What differs between two revisions.
    ///
    /// # Errors
    /// When one of them is not there.
    pub async fn diff_revisions(
        &self,
        pipeline: PipelineId,
        from: u64,
        to: u64,
    ) -> Result<PipelinePlan, EngineError> {
        let core = self.core();
        let old = core.configs.get(&core.logs, pipeline, from).await?;
        let new = core.configs.get(&core.logs, pipeline, to).await?;
        Ok(plan(Some((from, &old)), &new))
    }

    /// Gives a pipeline another name. Its builds keep the name that they had.
    ///
    /// # Errors
    /// When there is no such pipeline, or another one has the name.
    pub async fn rename_pipeline(
        &self,
        team: &str,
        name: &str,
        to: &str,
    ) -> Result<PipelineRecord, EngineError> {
        check_slug("pipeline", to)?;
        let core = self.core();
        let context = (core, team, name, to);
        let renamed = core.change(&context, |transaction, (core, team, name, to)| {
            Box::pin(async move {
                let mut rings = Rings::default();
                let record = core.pipeline_in(transaction, team, name).await?;
                let to_name = (*to).to_owned();
                let record = transaction
                    .update::<PipelineRecord>(&record.id, |it| it.name = to_name)
                    .await?;
                let kind =
                    TeamEventKind::PipelineRenamed { from: (*name).into(), to: (*to).into() };
                core.tell_team(transaction, team, kind)?;
                rings.add(Bell::Pipelines);
                rings.add(Bell::Outbox);
                Ok(Changed::new(record, rings))
            })
        });
        match renamed.await {
            Err(EngineError::Database(crate::database::DatabaseError::Taken { .. })) => {
                Err(EngineError::Exists { kind: "pipeline", name: to.to_owned() })
            }
            other => other,
        }
    }

    /// Lets nothing of a pipeline be started, or lets it go on. What runs goes on.
    ///
    /// # Errors
    /// When there is no such pipeline.
    pub async fn pause_pipeline(
        &self,
        team: &str,
        name: &str,
        paused: bool,
    ) -> Result<PipelineRecord, EngineError> {
        let core = self.core();
        let context = (core, team, name, paused);
        let record = core
            .change(&context, |transaction, (core, team, name, paused)| {
                Box::pin(async move {
                    let mut rings = Rings::default();
                    let record = core.pipeline_in(transaction, team, name).await?;
                    let paused = *paused;
                    let record = transaction
                        .update::<PipelineRecord>(&record.id, |it| it.paused = paused)
                        .await?;
                    set_up().raise(transaction, record.id)?;
                    let pipeline = record.name.clone();
                    let kind = TeamEventKind::Paused { pipeline, job: None, paused };
                    core.tell_team(transaction, team, kind)?;
                    rings.add(Bell::Pipelines);
                    rings.add(Bell::Outbox);
                    Ok(Changed::new(record, rings))
                })
            })
            .await?;
        core.set_up_pipeline(record.id).await?;
        Ok(record)
    }

    /// Lets nothing of a job be started, or lets it go on. What runs goes on.
    ///
    /// # Errors
    /// When there is no such job.
    pub async fn pause_job(
        &self,
        (team, pipeline, job): (&str, &str, &str),
        paused: bool,
    ) -> Result<JobRecord, EngineError> {
        let core = self.core();
        let context = (core, team, pipeline, job, paused);
        core.change(&context, |transaction, (core, team, pipeline, job, paused)| {
            Box::pin(async move {
                let mut rings = Rings::default();
                let record = core.pipeline_in(transaction, team, pipeline).await?;
                let config = core.configs.get(&core.logs, record.id, record.revision).await?;
                super::builds::job_of(&config, job)?;
                let id = (record.id, (*job).to_owned());
                let found = transaction.get::<JobRecord>(&id).await?;
                let mut job_record = found.unwrap_or_else(|| JobRecord::new(record.id, *job));
                job_record.paused = *paused;
                transaction.put(&job_record).await?;
                core.wake_job(transaction, &mut rings, (record.id, job))?;
                let (pipeline, job) = (record.name.clone(), Some((*job).to_owned()));
                let kind = TeamEventKind::Paused { pipeline, job, paused: *paused };
                core.tell_team(transaction, team, kind)?;
                rings.add(Bell::Outbox);
                Ok(Changed::new(job_record, rings))
            })
        })
        .await
    }

    /// Deletes a pipeline with everything of it: its name is free at once,
    /// what runs is cancelled, and the rest follows in the background.
    ///
    /// # Errors
    /// When there is no such pipeline.
    pub async fn delete_pipeline(&self, team: &str, name: &str) -> Result<(), EngineError> {
        let core = self.core();
        core.change(&(core, team, name), |transaction, (core, team, name)| {
            Box::pin(async move {
                let mut rings = Rings::default();
                let record = core.pipeline_in(transaction, team, name).await?;
                transaction.update::<PipelineRecord>(&record.id, |it| it.deleted = true).await?;
                let kind = TeamEventKind::PipelineDeleted { pipeline: record.name };
                core.tell_team(transaction, team, kind)?;
                rings.add(Bell::Pipelines);
                rings.add(Bell::Outbox);
                Ok(Changed::new((), rings))
            })
        })
        .await
    }
}

impl Setting<'_> {
    async fn set(
        &self,
        transaction: &mut Transaction,
    ) -> Result<Changed<PipelineRecord>, EngineError> {
        let core = self.core;
        let mut rings = Rings::default();
        if transaction.get::<TeamRecord>(&self.team.to_owned()).await?.is_none() {
            return Err(EngineError::not_found("team", self.team));
        }
        let old = transaction.find_by::<PipelineRecord>("by_name", (self.team, self.name)).await?;
        check_expected(self.name, self.expected, old.as_ref())?;
        let now = core.clock().now();
        if let Some(old) = &old {
            let revision = transaction.require::<RevisionRecord>(&(old.id, old.revision)).await?;
            if revision.sha256 == self.sha256 {
                return Ok(Changed::new(old.clone(), rings));
            }
        }
        let mut record =
            old.unwrap_or_else(|| new_pipeline(PipelineId(core.id()), self.team, self.name, now));
        record.revision += 1;
        record.updated = now;
        transaction.put(&record).await?;
        let revision = RevisionRecord {
            pipeline: record.id,
            revision: record.revision,
            created: now,
            author: self.by.to_owned(),
            sha256: self.sha256.clone(),
            jobs: self.jobs,
        };
        transaction.insert(&revision).await?;
        let place = (record.id, record.revision);
        config::write_in(&core.logs, transaction, place, &self.entries).await?;
        set_up().raise(transaction, record.id)?;
        let (pipeline, revision) = (record.name.clone(), record.revision);
        core.tell_team(transaction, self.team, TeamEventKind::PipelineSet { pipeline, revision })?;
        rings.add(Bell::Pipelines);
        rings.add(Bell::Outbox);
        Ok(Changed::new(record, rings))
    }
}

impl Core {
    /// A pipeline by its name, if there is one.
    pub(crate) async fn pipeline(
        &self,
        team: &str,
        name: &str,
    ) -> Result<Option<PipelineRecord>, EngineError> {
        Ok(self.database.find_by("by_name", (team, name)).await?)
    }

    async fn plan_of(
        &self,
        old: Option<&PipelineRecord>,
        new: &Pipeline,
    ) -> Result<PipelinePlan, EngineError> {
        let new = Config::new(new.clone());
        Ok(match old {
            None => plan(None, &new),
            Some(old) => {
                let config = self.configs.get(&self.logs, old.id, old.revision).await?;
                plan(Some((old.revision, &config)), &new)
            }
        })
    }

    /// Brings resources and jobs in line with the newest revision.
    pub(crate) async fn set_up_pipeline(&self, pipeline: PipelineId) -> Result<(), EngineError> {
        loop {
            let Some(flag) = set_up().get(&self.database, pipeline).await? else { return Ok(()) };
            let record = self.database.get::<PipelineRecord>(&pipeline).await?;
            if let Some(record) = record.filter(|it| !it.deleted) {
                let config = self.configs.get(&self.logs, pipeline, record.revision).await?;
                for (resource, scope) in &config.scopes {
                    self.set_up_resource(pipeline, &config, (resource, scope)).await?;
                }
                let jobs: Vec<String> =
                    config.pipeline.jobs.iter().map(|job| job.name.clone()).collect();
                self.wake_jobs(pipeline, &jobs).await?;
                self.wake_removed(pipeline, &config).await?;
            }
            let lowered = self
                .change(&flag, |transaction, flag| {
                    Box::pin(async move {
                        let lowered = set_up().lower(transaction, flag).await?;
                        Ok(Changed::new(lowered, Rings::default()))
                    })
                })
                .await?;
            if lowered {
                let mut rings = Rings::default();
                rings.add(Bell::Pipelines);
                self.bells.ring(&rings);
                return Ok(());
            }
        }
    }

    async fn set_up_resource(
        &self,
        pipeline: PipelineId,
        config: &Config,
        (resource, scope): (&ResourceRef, &str),
    ) -> Result<(), EngineError> {
        let declared = resource.0.split_once('.');
        let declared = declared.and_then(|(kind, name)| config.pipeline.resource(kind, name));
        let webhook = declared.is_some_and(|it| it.webhook);
        let context = (self, pipeline, resource, scope, webhook);
        self.change(&context, |transaction, (core, pipeline, resource, scope, webhook)| {
            Box::pin(async move {
                let id = (*pipeline, resource.0.clone());
                let old = transaction.get::<ResourceRecord>(&id).await?;
                let mut record = old.clone().unwrap_or_else(|| ResourceRecord {
                    pipeline: *pipeline,
                    resource: (*resource).clone(),
                    scope: String::new(),
                    last_order: 0,
                    pin: None,
                    disabled: Default::default(),
                    webhook_token: None,
                    checks_requested: 0,
                    checks_served: 0,
                    last_check: None,
                });
                let mut rings = Rings::default();
                if record.scope != **scope {
                    record.scope = (*scope).to_owned();
                    record.last_check = None;
                    record.checks_requested += 1;
                    super::core::asked_checks().raise(transaction, (*pipeline, &resource.0))?;
                    rings.add(Bell::Checks);
                }
                if *webhook && record.webhook_token.is_none() {
                    record.webhook_token = Some(core.token());
                }
                if old.as_ref() != Some(&record) {
                    transaction.put(&record).await?;
                }
                Ok(Changed::new((), rings))
            })
        })
        .await
    }

    /// A text that cannot be guessed.
    fn token(&self) -> String {
        let mut hash = Sha256::new();
        for _ in 0..4 {
            hash.update(self.id().as_bytes());
        }
        hex(&hash.finalize().as_slice()[..20])
    }

    /// Does what setting, pausing and deleting pipelines left to do.
    pub(crate) async fn pipelines_work(&self, stop: &tokio_util::sync::CancellationToken) {
        let mut bell = self.bells.listen(Bell::Pipelines);
        loop {
            bell.mark_heard();
            if let Err(error) = self.pipelines_work_once().await {
                tracing::warn!(%error, "pipelines are not brought up to date");
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = bell.heard() => {}
            }
        }
    }

    async fn pipelines_work_once(&self) -> Result<(), EngineError> {
        while self.wake_many().await? {}
        let mut after = None;
        loop {
            let raised = set_up().raised(&self.database, after.as_ref(), MAX_PAGE_ITEMS).await?;
            for flag in &raised {
                if let [Part::Id(pipeline)] = flag.name() {
                    self.set_up_pipeline(PipelineId(*pipeline)).await?;
                }
            }
            let ends = raised.len() < MAX_PAGE_ITEMS;
            after = raised.into_iter().next_back();
            if ends {
                break;
            }
        }
        self.purge_deleted().await
    }
}

fn new_pipeline(id: PipelineId, team: &str, name: &str, now: Timestamp) -> PipelineRecord {
    PipelineRecord {
        id,
        team: team.to_owned(),
        name: name.to_owned(),
        revision: 0,
        paused: false,
        deleted: false,
        created: now,
        updated: now,
    }
}

fn check_expected(
    name: &str,
    expected: Option<u64>,
    old: Option<&PipelineRecord>,
) -> Result<(), EngineError> {
    let found = old.map_or(0, |old| old.revision);
    match expected {
        Some(expected) if expected != found => {
            Err(EngineError::Stale { name: name.to_owned(), expected, found })
        }
        _ => Ok(()),
    }
}

/// The longest name of a team or a pipeline, in bytes.
const MAX_NAME_BYTES: usize = 100;

fn check_slug(kind: &str, name: &str) -> Result<(), EngineError> {
    if !name.is_empty() && name.len() <= MAX_NAME_BYTES && slug(name) == name {
        return Ok(());
    }
    let like = slug(name);
    let like = if like.is_empty() || like.len() > MAX_NAME_BYTES { "app".into() } else { like };
    Err(EngineError::invalid(format!(
        "`{name}` is no name for a {kind}: it takes a-z, 0-9 and single `-`, such as `{like}`"
    )))
}
