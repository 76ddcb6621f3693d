//! What resolution goes by, kept in memory and brought up to date from the
//! store before each use: histories, succeeded builds, what a job has used.
//!
//! Everything in the store that matters here only grows, each with numbers of
//! its own (check orders, places in a feed, numbers of adoptions), so bringing
//! it up to date reads what is new and nothing else. What is decided by it is
//! committed only if the job has adopted nothing meanwhile; a version or a
//! success that comes in between wakes the job again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::Config;
use super::core::Core;
use super::error::EngineError;
use super::recent::Recent;
use super::records::{
    AdoptionRecord, JobRecord, PipelineId, ResourceRecord, SucceededRecord, VersionRecord,
};
use crate::database::{Database, Feed, FeedCursor, MAX_PAGE_ITEMS, Query};
use crate::resolve::{
    Adoption, History, JobSpec, Need, Resolution, ResourceRef, SucceededBuild, Successes, Used,
    World, resolve,
};

/// The pipelines whose facts are kept in memory at most.
const KEPT: usize = 256;
/// The versions of a resource that are loaded at first, the newest ones.
const NEWEST: usize = 20;

/// The succeeded builds of a job.
pub(crate) fn succeeded(pipeline: PipelineId, job: &str) -> Feed<SucceededRecord> {
    Feed::new(("succeeded", pipeline, job))
}

/// The facts of the pipelines used last.
#[derive(Debug)]
pub(crate) struct FactsCache {
    pipelines: Recent<PipelineId, Arc<tokio::sync::Mutex<Facts>>>,
}

impl Default for FactsCache {
    fn default() -> Self {
        Self { pipelines: Recent::new(KEPT) }
    }
}

/// What is known of a pipeline.
#[derive(Debug, Default)]
struct Facts {
    histories: BTreeMap<ResourceRef, KnownHistory>,
    successes: BTreeMap<String, KnownSuccesses>,
    used: BTreeMap<String, KnownUsed>,
}

#[derive(Debug)]
struct KnownHistory {
    scope: String,
    last_order: u64,
    history: History,
}

#[derive(Debug)]
struct KnownSuccesses {
    cursor: FeedCursor,
    successes: Successes,
}

#[derive(Debug, Default)]
struct KnownUsed {
    adoptions: u64,
    used: Used,
}

/// What resolution found for a job.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) resolution: Resolution,
    /// Whether a get that triggers has a version that the job has not used.
    pub(crate) triggers: bool,
    /// How many builds of the job had adopted inputs. Whoever acts on the
    /// resolution checks that it still is so.
    pub(crate) adoptions: u64,
    /// The histories that counted, by resource.
    pub(crate) scopes: BTreeMap<ResourceRef, String>,
}

impl View {
    /// What is found for a job whose build needs nothing found.
    pub(crate) fn of_nothing() -> Self {
        let spec = JobSpec { name: String::new(), inputs: Vec::new() };
        let resolution = resolve(&spec, &Nothing(Used::default()));
        Self { resolution, triggers: false, adoptions: 0, scopes: BTreeMap::new() }
    }
}

impl FactsCache {
    /// Forgets what is known of a pipeline.
    pub(crate) fn forget(&self, pipeline: PipelineId) {
        self.pipelines.remove(pipeline);
    }
}

impl Core {
    /// Resolves the inputs of a job, as of now.
    pub(crate) async fn resolve(
        &self,
        pipeline: PipelineId,
        config: &Config,
        spec: &JobSpec,
    ) -> Result<View, EngineError> {
        if spec.inputs.is_empty() {
            return Ok(View::of_nothing());
        }
        let facts = self.facts.pipelines.get_or_default(pipeline);
        let mut facts = facts.lock().await;
        let database = &self.database;
        facts.refresh_histories(database, pipeline, config, spec).await?;
        for input in &spec.inputs {
            for job in &input.passed {
                facts.refresh_successes(database, pipeline, job).await?;
            }
        }
        let adoptions = facts.refresh_used(database, pipeline, &spec.name).await?;
        loop {
            let view = Known { facts: &facts, job: &spec.name, none: Used::default() };
            let resolution = resolve(spec, &view);
            let Some(needs) = first_few(&resolution.needs) else {
                let scopes = spec.inputs.iter().filter_map(|input| {
                    let known = facts.histories.get(&input.resource)?;
                    Some((input.resource.clone(), known.scope.clone()))
                });
                let triggers = resolution.triggers(spec);
                return Ok(View { scopes: scopes.collect(), resolution, triggers, adoptions });
            };
            for need in needs {
                match need {
                    Need::Versions { resource } | Need::Version { resource, .. } => {
                        facts.load_all(database, pipeline, &resource).await?;
                    }
                    // All of them are loaded always.
                    Need::Builds { .. } => {}
                }
            }
        }
    }
}

/// The needs that can be met; `None` when there is none.
fn first_few(needs: &[Need]) -> Option<Vec<Need>> {
    let versions = needs.iter().filter(|need| !matches!(need, Need::Builds { .. }));
    let versions: Vec<Need> = versions.cloned().collect();
    (!versions.is_empty()).then_some(versions)
}

impl Facts {
    async fn refresh_histories(
        &mut self,
        database: &Database,
        pipeline: PipelineId,
        config: &Config,
        spec: &JobSpec,
    ) -> Result<(), EngineError> {
        let mut resources: Vec<&ResourceRef> =
            spec.inputs.iter().map(|input| &input.resource).collect();
        resources.sort();
        resources.dedup();
        let ids: Vec<_> = resources.iter().map(|it| (pipeline, it.0.clone())).collect();
        let records = database.get_many::<ResourceRecord>(&ids).await?;
        for (resource, record) in resources.into_iter().zip(records) {
            // One that was never checked has no history, which is not an empty one.
            let checked = |it: &ResourceRecord| it.last_check.is_some() || it.last_order > 0;
            let Some(record) = record.filter(checked) else {
                self.histories.remove(resource);
                continue;
            };
            let scope = config.scopes.get(resource).unwrap_or(&record.scope).clone();
            if self.histories.get(resource).is_none_or(|known| known.scope != scope) {
                let known = newest(database, &record, scope).await?;
                self.histories.insert(resource.clone(), known);
            }
            let Some(known) = self.histories.get_mut(resource) else { continue };
            if known.last_order < record.last_order {
                let from = known.last_order.saturating_add(1);
                load(database, (pipeline, resource), known, Some(from)).await?;
                known.last_order = known.last_order.max(record.last_order);
            }
            known.history.set_pin(record.pin.as_ref().map(|pin| pin.version.clone()));
            known.history.set_disabled(record.disabled);
        }
        Ok(())
    }

    async fn load_all(
        &mut self,
        database: &Database,
        pipeline: PipelineId,
        resource: &ResourceRef,
    ) -> Result<(), EngineError> {
        let Some(known) = self.histories.get_mut(resource) else { return Ok(()) };
        load(database, (pipeline, resource), known, None).await?;
        known.history.set_floor(0);
        Ok(())
    }

    async fn refresh_successes(
        &mut self,
        database: &Database,
        pipeline: PipelineId,
        job: &str,
    ) -> Result<(), EngineError> {
        let known = self.successes.entry(job.to_owned()).or_insert_with(|| {
            let mut successes = Successes::default();
            successes.set_complete(true);
            KnownSuccesses { cursor: FeedCursor::default(), successes }
        });
        let feed = succeeded(pipeline, job);
        loop {
            let entries = feed.read(database, &mut known.cursor, MAX_PAGE_ITEMS).await?;
            if entries.is_empty() {
                return Ok(());
            }
            for entry in entries {
                let SucceededRecord { build, position, versions } = entry.entry;
                known.successes.insert(SucceededBuild { id: build, position, versions });
            }
        }
    }

    /// Answers how many builds of the job have adopted inputs.
    async fn refresh_used(
        &mut self,
        database: &Database,
        pipeline: PipelineId,
        job: &str,
    ) -> Result<u64, EngineError> {
        let record = database.get::<JobRecord>(&(pipeline, job.to_owned())).await?;
        let adoptions = record.map_or(0, |record| record.adoptions);
        let known = self.used.entry(job.to_owned()).or_default();
        while known.adoptions < adoptions {
            let query = Query::below((pipeline, job))
                .from(known.adoptions + 1)
                .through(adoptions)
                .limit(MAX_PAGE_ITEMS);
            let page = database.list::<AdoptionRecord>(&query).await?;
            let Some(last) = page.items.last().map(|it| it.number) else { break };
            for record in page.items {
                for (input, resource, version) in record.inputs {
                    known.used.insert(Adoption {
                        build: record.build,
                        position: record.position,
                        input,
                        resource,
                        version,
                        sources: record.sources.clone(),
                    });
                }
            }
            known.adoptions = last;
        }
        known.adoptions = adoptions;
        Ok(adoptions)
    }
}

/// A history with its newest versions.
async fn newest(
    database: &Database,
    record: &ResourceRecord,
    scope: String,
) -> Result<KnownHistory, EngineError> {
    // One more than are disabled, or none of them might be usable.
    let limit = (NEWEST + record.disabled.len()).min(MAX_PAGE_ITEMS);
    let query = Query::below(((record.pipeline, &record.resource.0), &scope));
    let query = query.descending().limit(limit);
    let page = database.list_by::<VersionRecord>("by_order", &query).await?;
    let mut known = KnownHistory { scope, last_order: record.last_order, history: History::new() };
    let floor = if page.next.is_some() { page.items.last().map_or(0, |it| it.order) } else { 0 };
    for version in page.items {
        insert(&mut known.history, version);
    }
    known.history.set_floor(floor);
    Ok(known)
}

/// Loads versions from a check order on, or all.
async fn load(
    database: &Database,
    (pipeline, resource): (PipelineId, &ResourceRef),
    known: &mut KnownHistory,
    from: Option<u64>,
) -> Result<(), EngineError> {
    let mut cursor = None;
    loop {
        let mut query = Query::below(((pipeline, &resource.0), &known.scope));
        if let Some(from) = from {
            query = query.from(from);
        }
        let query = query.limit(MAX_PAGE_ITEMS).after(cursor);
        let page = database.list_by::<VersionRecord>("by_order", &query).await?;
        for version in page.items {
            known.last_order = known.last_order.max(version.order);
            insert(&mut known.history, version);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

fn insert(history: &mut History, record: VersionRecord) {
    history.insert(record.order, record.digest, Arc::new(record.version));
}

/// The facts as one job sees them.
struct Known<'a> {
    facts: &'a Facts,
    job: &'a str,
    none: Used,
}

impl World for Known<'_> {
    fn history(&self, resource: &ResourceRef) -> Option<&History> {
        Some(&self.facts.histories.get(resource)?.history)
    }

    fn successes(&self, job: &str) -> Option<&Successes> {
        Some(&self.facts.successes.get(job)?.successes)
    }

    fn used(&self) -> &Used {
        self.facts.used.get(self.job).map_or(&self.none, |known| &known.used)
    }
}

/// What a job without inputs sees.
struct Nothing(Used);

impl World for Nothing {
    fn history(&self, _: &ResourceRef) -> Option<&History> {
        None
    }

    fn successes(&self, _: &str) -> Option<&Successes> {
        None
    }

    fn used(&self) -> &Used {
        &self.0
    }
}
