//! A revision of a pipeline as the engine works with it, and where it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::EngineError;
use super::recent::Recent;
use super::records::PipelineId;
use crate::database::Transaction;
use crate::database::log::{Log, LogError, Logs, ReadLimit};
use crate::pipeline::{Job, Pipeline};
use crate::resolve::{JobSpec, ResourceRef};

/// How many revisions are kept in memory at most.
const KEPT: usize = 512;
/// The bytes of one entry of the log that holds a revision.
const ENTRY_BYTES: usize = 60 * 1024;
/// The most bytes that a revision may have once it is compressed, so that it
/// fits into one transaction.
const MAX_BYTES: usize = 800 * 1024;
/// How hard it is compressed; more takes longer and gains little.
const LEVEL: i32 = 3;
/// The most bytes that a revision is decompressed to.
const MAX_PLAIN_BYTES: usize = 256 * 1024 * 1024;

/// What is stored of a revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevisionBody {
    /// The texts, each with its file's name.
    pub files: Vec<(String, String)>,
    /// The values that were given for its variables.
    pub vars: BTreeMap<String, String>,
    /// What they were read as.
    pub pipeline: Pipeline,
}

/// A revision, with what follows from it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) pipeline: Arc<Pipeline>,
    jobs: BTreeMap<String, JobConfig>,
    /// The history that counts for each resource.
    pub(crate) scopes: BTreeMap<ResourceRef, String>,
    /// The jobs that get a resource, whatever `passed` says.
    users: BTreeMap<ResourceRef, Vec<String>>,
}

/// A job of a revision, with what follows from it.
#[derive(Debug)]
pub(crate) struct JobConfig {
    index: usize,
    pub(crate) spec: JobSpec,
    /// The jobs that name it in `passed`.
    pub(crate) downstream: Vec<String>,
}

impl Config {
    pub(crate) fn new(pipeline: Pipeline) -> Self {
        let pipeline = Arc::new(pipeline);
        let mut jobs: BTreeMap<String, JobConfig> = BTreeMap::new();
        let mut users: BTreeMap<ResourceRef, Vec<String>> = BTreeMap::new();
        for (index, job) in pipeline.jobs.iter().enumerate() {
            let spec = JobSpec::of(job);
            for input in &spec.inputs {
                let users = users.entry(input.resource.clone()).or_default();
                if !users.contains(&job.name) {
                    users.push(job.name.clone());
                }
            }
            let config = JobConfig { index, spec, downstream: Vec::new() };
            jobs.insert(job.name.clone(), config);
        }
        for job in &pipeline.jobs {
            let upstream: BTreeSet<String> =
                job.gets().iter().flat_map(|(_, get)| get.passed.iter().cloned()).collect();
            for name in upstream {
                if let Some(config) = jobs.get_mut(&name) {
                    config.downstream.push(job.name.clone());
                }
            }
        }
        let scopes = pipeline
            .resources
            .iter()
            .map(|it| (ResourceRef(format!("{}.{}", it.kind, it.name)), scope(&pipeline, it)))
            .collect();
        Self { pipeline, jobs, scopes, users }
    }

    pub(crate) fn job(&self, name: &str) -> Option<(&Job, &JobConfig)> {
        let config = self.jobs.get(name)?;
        Some((self.pipeline.jobs.get(config.index)?, config))
    }

    /// The names of the jobs that get a resource.
    pub(crate) fn users(&self, resource: &ResourceRef) -> &[String] {
        self.users.get(resource).map_or(&[], Vec::as_slice)
    }
}

/// Which history a resource has: a digest of its type, its parameters and
/// what its type does, wherever all that is written.
fn scope(pipeline: &Pipeline, resource: &crate::pipeline::Resource) -> String {
    let mut value = serde_json::json!({
        "type": resource.kind,
        "params": resource.params,
        "check": pipeline.resource_types.get(&resource.kind).map(|it| (&it.check, &it.runner)),
    });
    super::plan::without_places(&mut value);
    value.sort_all_objects();
    hex(&Sha256::digest(value.to_string()).as_slice()[..8])
}

/// Whether resources of a type can be checked.
pub(crate) fn has_check(pipeline: &Pipeline, kind: &str) -> bool {
    // A type that is not declared is built in.
    pipeline
        .resource_types
        .get(kind)
        .is_none_or(|it| it.check.is_some() || it.origin.built_in.is_some())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads revisions, and keeps those used last in memory.
#[derive(Debug)]
pub(crate) struct Configs {
    kept: Recent<(PipelineId, u64), Arc<Config>>,
}

impl Default for Configs {
    fn default() -> Self {
        Self { kept: Recent::new(KEPT) }
    }
}

impl Configs {
    /// The revision as the engine works with it.
    pub(crate) async fn get(
        &self,
        logs: &Logs,
        pipeline: PipelineId,
        revision: u64,
    ) -> Result<Arc<Config>, EngineError> {
        if let Some(config) = self.kept.get((pipeline, revision)) {
            return Ok(config);
        }
        let body = read(logs, pipeline, revision).await?;
        let config = Arc::new(Config::new(body.pipeline));
        self.keep(pipeline, revision, Arc::clone(&config));
        Ok(config)
    }

    pub(crate) fn keep(&self, pipeline: PipelineId, revision: u64, config: Arc<Config>) {
        self.kept.insert((pipeline, revision), config);
    }
}

fn log(logs: &Logs, pipeline: PipelineId, revision: u64) -> Result<Log, EngineError> {
    Ok(logs.log(("revision", pipeline, revision))?)
}

/// The bytes of a revision, and the SHA-256 of what it was read as.
pub(crate) fn encode(body: &RevisionBody) -> Result<Vec<Bytes>, EngineError> {
    let cannot = |error: &dyn std::fmt::Display| {
        EngineError::invalid(format!("the pipeline cannot be stored: {error}"))
    };
    let json = serde_json::to_vec(body).map_err(|error| cannot(&error))?;
    let packed = zstd::bulk::compress(&json, LEVEL).map_err(|error| cannot(&error))?;
    if packed.len() > MAX_BYTES {
        return Err(EngineError::invalid(format!(
            "the pipeline is too large: {} bytes once compressed, {MAX_BYTES} is the most",
            packed.len()
        )));
    }
    Ok(packed.chunks(ENTRY_BYTES).map(Bytes::copy_from_slice).collect())
}

/// Writes a revision, encoded, as part of a transaction.
pub(crate) async fn write_in(
    logs: &Logs,
    transaction: &mut Transaction,
    (pipeline, revision): (PipelineId, u64),
    entries: &[Bytes],
) -> Result<(), EngineError> {
    log(logs, pipeline, revision)?.append_in(transaction, 0, entries).await?;
    Ok(())
}

/// Reads a revision.
pub(crate) async fn read(
    logs: &Logs,
    pipeline: PipelineId,
    revision: u64,
) -> Result<RevisionBody, EngineError> {
    let log = log(logs, pipeline, revision)?;
    let entries = log.info().await.map_err(|error| missing(error, revision))?.next;
    let mut reader = log.reader(0);
    let mut packed = Vec::new();
    while reader.next_number() < entries {
        let page = reader.read(ReadLimit::default()).await?;
        if page.entries.is_empty() {
            break;
        }
        packed.extend(page.entries.into_iter().flatten());
    }
    let damaged =
        |what: String| EngineError::invalid(format!("revision {revision} is damaged: {what}"));
    let json = zstd::stream::decode_all(&packed[..]).map_err(|error| damaged(error.to_string()))?;
    if json.len() > MAX_PLAIN_BYTES {
        return Err(damaged("it is larger than any that was stored".into()));
    }
    serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))
}

/// Removes what is stored of a revision.
pub(crate) async fn delete(
    logs: &Logs,
    pipeline: PipelineId,
    revision: u64,
) -> Result<(), EngineError> {
    match log(logs, pipeline, revision)?.delete().await {
        Ok(()) | Err(LogError::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn missing(error: LogError, revision: u64) -> EngineError {
    match error {
        LogError::NotFound { .. } => EngineError::not_found("revision", revision.to_string()),
        error => error.into(),
    }
}
