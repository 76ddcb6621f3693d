//! Checking resources: each at its own interval, by one server at a time, at
//! once when somebody asks.
//!
//! Pipelines are spread over [`SHARDS`] shards, and a server checks those of
//! the shards whose lease it has. When something is due is kept in memory: a
//! check that finds nothing new and did not fail before writes nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::bells::{Bell, Rings};
use super::config::Config;
use super::core::{Changed, Core, asked_checks};
use super::error::EngineError;
use super::hand_out::LocalDispatcher;
use super::records::{CheckSummary, PipelineId, PipelineRecord, ResourceRecord, VersionRecord};
use super::versions::{Found, MAX_VERSION_BYTES};
use crate::clock::Clock;
use crate::database::{
    Contender, DatabaseError, FencingToken, Lease, MAX_PAGE_ITEMS, Part, Query, Raised, Transaction,
};
use crate::dispatch::{CheckClaim, CheckId};
use crate::resolve::ResourceRef;
use crate::schedule::Schedule;
use crate::version::Version;

/// Over how many shards pipelines are spread.
pub(crate) const SHARDS: u64 = 16;
/// By how much of its interval a check may come earlier or later, in percent.
const JITTER_PERCENT: u32 = 10;
/// By how many times its interval a check that fails again and again is put off at most.
const MAX_BACKOFF: u32 = 16;
/// How many asked checks are read at once.
const ASKED: usize = 200;

type Key = (PipelineId, ResourceRef);

/// What a server knows of the resources that it checks.
struct Checker<'a> {
    core: &'a Arc<Core>,
    dispatcher: &'a Arc<LocalDispatcher>,
    contenders: Vec<Contender>,
    leases: BTreeMap<u64, Lease>,
    pipelines: BTreeMap<PipelineId, Pipeline>,
    due: BTreeSet<(Duration, Key)>,
    /// Due, and waiting until fewer checks run.
    ready: VecDeque<Key>,
    running: JoinSet<(Key, Result<Checked, EngineError>)>,
    /// When the leases are to be looked after.
    leases_due: Duration,
}

struct Pipeline {
    record: PipelineRecord,
    config: Arc<Config>,
    resources: BTreeMap<ResourceRef, Entry>,
}

/// When a resource is checked.
struct Entry {
    schedule: Schedule,
    /// When it is due, as it stands in the checker's list.
    due: Option<Duration>,
    running: bool,
    /// Whether it was asked for while it ran.
    again: bool,
    failures: u32,
}

/// How a check went.
struct Checked {
    failed: bool,
}

impl Core {
    /// Checks resources until `stop` fires.
    pub(crate) async fn check_resources(
        self: &Arc<Self>,
        dispatcher: &Arc<LocalDispatcher>,
        stop: &CancellationToken,
    ) {
        let contender = |shard: u64| {
            let (server, ttl) = (&self.options.server, self.options.check_lease_ttl);
            let contender = Contender::new(("checks", shard), server, ttl);
            if self.options.alone { contender.presume_dead() } else { contender }
        };
        let mut checker = Checker {
            core: self,
            dispatcher,
            contenders: (0..SHARDS).map(contender).collect(),
            leases: BTreeMap::new(),
            pipelines: BTreeMap::new(),
            due: BTreeSet::new(),
            ready: VecDeque::new(),
            running: JoinSet::new(),
            leases_due: Duration::ZERO,
        };
        checker.run(stop).await;
    }

    fn shard(pipeline: PipelineId) -> u64 {
        // The last bits of an id are random.
        pipeline.0.as_u64_pair().1 % SHARDS
    }
}

impl Checker<'_> {
    async fn run(&mut self, stop: &CancellationToken) {
        let mut pipelines = self.core.bells.listen(Bell::Pipelines);
        let mut asked = self.core.bells.listen(Bell::Checks);
        let (mut reload, mut look) = (true, true);
        loop {
            if self.now() >= self.leases_due {
                reload |= self.keep_leases().await;
            }
            if reload {
                pipelines.mark_heard();
                reload = warned(self.reload().await, "pipelines cannot be read");
            }
            if look {
                asked.mark_heard();
                look = warned(self.look_for_asked().await, "checks that were asked for wait");
            }
            self.start_due();
            let next = self.due.first().map_or(self.leases_due, |it| it.0.min(self.leases_due));
            let pause = next.saturating_sub(self.now()).max(Duration::from_millis(1));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = pipelines.heard() => reload = true,
                () = asked.heard() => look = true,
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => {
                    match ended {
                        Ok((key, checked)) => look |= self.ended(&key, checked),
                        Err(error) => tracing::error!(%error, "a check panicked"),
                    }
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.running.shutdown().await;
        for (_, lease) in std::mem::take(&mut self.leases) {
            // It runs out by itself otherwise.
            let _ = lease.release().await;
        }
    }

    fn now(&self) -> Duration {
        self.core.clock().monotonic()
    }

    /// Renews the leases that it has and tries to get the others. Whether the
    /// shards changed.
    async fn keep_leases(&mut self) -> bool {
        self.leases_due = self.now() + self.core.options.check_lease_ttl / 3;
        let mut changed = false;
        for shard in 0..SHARDS {
            if let Some(lease) = self.leases.get_mut(&shard) {
                match lease.renew().await {
                    Ok(()) => continue,
                    Err(DatabaseError::LeaseLost { .. }) => {}
                    Err(error) if lease.is_held() => {
                        tracing::warn!(%error, shard, "the right to check is not renewed");
                        continue;
                    }
                    Err(_) => {}
                }
                self.leases.remove(&shard);
                changed = true;
            }
            let Some(contender) = self.contenders.get_mut(usize::try_from(shard).unwrap_or(0))
            else {
                continue;
            };
            match contender.try_acquire(&self.core.database).await {
                Ok(Some(lease)) => {
                    self.leases.insert(shard, lease);
                    changed = true;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, shard, "the right to check is not had"),
            }
        }
        changed
    }

    /// Brings what is known of pipelines up to date.
    async fn reload(&mut self) -> Result<(), EngineError> {
        let mut seen = BTreeSet::new();
        let mut cursor = None;
        loop {
            let query = Query::all().limit(MAX_PAGE_ITEMS).after(cursor);
            let page = self.core.database.list::<PipelineRecord>(&query).await?;
            for record in page.items {
                let own = self.leases.contains_key(&Core::shard(record.id));
                if !own || record.deleted || record.paused {
                    continue;
                }
                seen.insert(record.id);
                let known = self.pipelines.get(&record.id);
                if known.is_none_or(|known| known.record.revision != record.revision) {
                    self.load(record).await?;
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let gone: Vec<_> = self.pipelines.keys().filter(|id| !seen.contains(id)).copied().collect();
        for id in gone {
            self.pipelines.remove(&id);
            self.due.retain(|(_, (pipeline, _))| *pipeline != id);
        }
        Ok(())
    }

    async fn load(&mut self, record: PipelineRecord) -> Result<(), EngineError> {
        let core = self.core;
        let id = record.id;
        let config = core.configs.get(&core.logs, id, record.revision).await?;
        let mut before =
            self.pipelines.remove(&id).map_or_else(BTreeMap::new, |known| known.resources);
        let is_new = before.is_empty();
        let mut resources = BTreeMap::new();
        for resource in &config.pipeline.resources {
            let name = ResourceRef(format!("{}.{}", resource.kind, resource.name));
            let checks = crate::engine::config::has_check(&config.pipeline, &resource.kind);
            if config.users(&name).is_empty() || !checks {
                continue;
            }
            // It was looked at when the pipeline was set.
            let schedule = Schedule::parse(&resource.check_interval).unwrap_or(Schedule::Never);
            let mut entry = before.remove(&name).unwrap_or(Entry {
                schedule: Schedule::Never,
                due: None,
                running: false,
                again: false,
                failures: 0,
            });
            let key = (id, name.clone());
            if let Some(due) = entry.due.take() {
                self.due.remove(&(due, key.clone()));
            }
            entry.schedule = schedule;
            let first = first_due(&entry.schedule, &**core.clock(), is_new);
            if let Some(due) = first {
                entry.due = Some(due);
                self.due.insert((due, key));
            }
            resources.insert(name, entry);
        }
        for (name, entry) in before {
            if let Some(due) = entry.due {
                self.due.remove(&(due, (id, name)));
            }
        }
        self.pipelines.insert(id, Pipeline { record, config, resources });
        Ok(())
    }

    /// Lets checks that were asked for be made at once.
    async fn look_for_asked(&mut self) -> Result<(), EngineError> {
        let mut after: Option<Raised> = None;
        loop {
            let raised = asked_checks().raised(&self.core.database, after.as_ref(), ASKED).await?;
            let ends = raised.len() < ASKED;
            for flag in &raised {
                if let [Part::Id(pipeline), Part::Text(resource)] = flag.name() {
                    let key = (PipelineId(*pipeline), ResourceRef(resource.clone()));
                    self.ask(&key).await?;
                }
            }
            after = raised.into_iter().next_back();
            if ends {
                return Ok(());
            }
        }
    }

    async fn ask(&mut self, key: &Key) -> Result<(), EngineError> {
        if !self.leases.contains_key(&Core::shard(key.0)) {
            return Ok(());
        }
        if !self.pipelines.contains_key(&key.0) {
            // Paused ones are checked when somebody asks.
            let record = self.core.database.get::<PipelineRecord>(&key.0).await?;
            match record.filter(|it| !it.deleted) {
                Some(record) => self.load(record).await?,
                None => return self.core.drop_asked(key).await,
            }
        }
        let known = self.pipelines.get_mut(&key.0);
        let Some(entry) = known.and_then(|known| known.resources.get_mut(&key.1)) else {
            return self.core.serve_unchecked(key).await;
        };
        if entry.running {
            entry.again = true;
        } else if !self.ready.contains(key) {
            if let Some(due) = entry.due.take() {
                self.due.remove(&(due, key.clone()));
            }
            self.ready.push_back(key.clone());
        }
        Ok(())
    }

    /// Starts what is due, as far as there is room.
    fn start_due(&mut self) {
        let now = self.now();
        while let Some((due, key)) = self.due.first().cloned() {
            if due > now {
                break;
            }
            self.due.pop_first();
            let known = self.pipelines.get_mut(&key.0);
            if let Some(entry) = known.and_then(|known| known.resources.get_mut(&key.1)) {
                entry.due = None;
                self.ready.push_back(key);
            }
        }
        while self.running.len() < self.core.options.checks_at_once {
            let Some(key) = self.ready.pop_front() else { break };
            let Some(lease) = self.leases.get(&Core::shard(key.0)) else { continue };
            let token = lease.token().clone();
            let Some(known) = self.pipelines.get_mut(&key.0) else { continue };
            let Some(entry) = known.resources.get_mut(&key.1) else { continue };
            if std::mem::replace(&mut entry.running, true) {
                continue;
            }
            entry.again = false;
            let check = Check {
                core: Arc::clone(self.core),
                dispatcher: Arc::clone(self.dispatcher),
                team: known.record.team.clone(),
                pipeline_name: known.record.name.clone(),
                config: Arc::clone(&known.config),
                key: key.clone(),
                token,
                failures: entry.failures,
            };
            self.running.spawn(async move {
                let checked = Box::pin(check.run()).await;
                (key, checked)
            });
        }
    }

    /// Notes that a check ended and when the next one is due. Whether another
    /// one was asked for meanwhile.
    fn ended(&mut self, key: &Key, checked: Result<Checked, EngineError>) -> bool {
        let clock = Arc::clone(self.core.clock());
        let known = self.pipelines.get_mut(&key.0);
        let Some(entry) = known.and_then(|known| known.resources.get_mut(&key.1)) else {
            return false;
        };
        entry.running = false;
        match checked {
            Ok(Checked { failed: false }) => entry.failures = 0,
            Ok(Checked { failed: true }) => entry.failures = entry.failures.saturating_add(1),
            Err(error) => {
                tracing::warn!(resource = key.1.0, %error, "what a check found is not kept");
                entry.failures = entry.failures.saturating_add(1);
            }
        }
        if let Some(due) = next_due(&entry.schedule, &*clock, entry.failures) {
            entry.due = Some(due);
            self.due.insert((due, key.clone()));
        }
        entry.again
    }
}

fn warned(done: Result<(), EngineError>, what: &str) -> bool {
    match done {
        Ok(()) => false,
        Err(error) => {
            tracing::warn!(%error, "{what}");
            false
        }
    }
}

/// When a resource is checked first: at once in a pipeline that is new here
/// and has none of it, spread over the interval otherwise.
fn first_due(schedule: &Schedule, clock: &dyn Clock, is_new: bool) -> Option<Duration> {
    match schedule {
        Schedule::Every(interval) if is_new => {
            let (_, random) = clock.id().as_u64_pair();
            let span = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
            Some(clock.monotonic() + Duration::from_millis(random % span))
        }
        _ => next_due(schedule, clock, 0),
    }
}

/// When a resource is checked next, after so many failures one after the other.
fn next_due(schedule: &Schedule, clock: &dyn Clock, failures: u32) -> Option<Duration> {
    let (_, random) = clock.id().as_u64_pair();
    let jitter = |pause: Duration| {
        let span = pause * JITTER_PERCENT / 100;
        let part = Duration::from_nanos(
            random % u64::try_from(span.as_nanos() * 2).unwrap_or(u64::MAX).max(1),
        );
        pause - span + part
    };
    let backoff = 2_u32.saturating_pow(failures.min(8)).min(MAX_BACKOFF);
    let pause = match schedule {
        Schedule::Never => return None,
        Schedule::Every(interval) => jitter(*interval * backoff),
        Schedule::Cron { expression, time_zone } => {
            let now: Timestamp = clock.now();
            let next = expression
                .find_next_occurrence(&now.to_zoned(time_zone.clone()), false)
                .ok()?
                .timestamp();
            next.duration_since(now).try_into().ok()?
        }
    };
    Some(clock.monotonic() + pause)
}

/// One check.
struct Check {
    core: Arc<Core>,
    dispatcher: Arc<LocalDispatcher>,
    team: String,
    pipeline_name: String,
    config: Arc<Config>,
    key: Key,
    token: FencingToken,
    failures: u32,
}

impl Check {
    async fn run(&self) -> Result<Checked, EngineError> {
        let core = &self.core;
        let id = (self.key.0, self.key.1.0.clone());
        let Some(record) = core.database.get::<ResourceRecord>(&id).await? else {
            return Ok(Checked { failed: false });
        };
        let Some((kind, name)) = self.key.1.0.split_once('.') else {
            return Ok(Checked { failed: false });
        };
        let Some(resource) = self.config.pipeline.resource(kind, name) else {
            return Ok(Checked { failed: false });
        };
        // Whoever asks from here on waits for another check.
        let serving = record.checks_requested;
        let timeout = resource.check_timeout.unwrap_or(core.options.check_timeout);
        let claim = CheckClaim {
            id: CheckId(core.id()),
            team: self.team.clone(),
            pipeline: Arc::clone(&self.config.pipeline),
            kind: kind.to_owned(),
            name: name.to_owned(),
            from: self.from(&record).await?,
            timeout,
        };
        let began = core.clock().monotonic();
        let tags = resource.tags.iter().cloned().collect();
        let answer = self.dispatcher.check(claim, tags);
        let found = match tokio::time::timeout(timeout * 2, answer).await {
            Ok(Ok(found)) => found.and_then(usable),
            Ok(Err(_)) => Err("the worker that checked it was lost".to_owned()),
            Err(_)
                if self
                    .dispatcher
                    .could_check(&resource.tags.iter().cloned().collect(), &self.team)
                    == 0 =>
            {
                Err("there is no worker that could check it".to_owned())
            }
            Err(_) => Err("no worker has checked it in time".to_owned()),
        };
        let took = core.clock().monotonic().saturating_sub(began);
        let (fresh, error) = match found {
            Ok(versions) => {
                let found = Found {
                    pipeline: self.key.0,
                    resource: &self.key.1,
                    versions: &versions,
                    made_by: None,
                    fence: Some(&self.token),
                };
                (core.save_versions(&found).await?, None)
            }
            Err(error) => (0, Some(error)),
        };
        let failed = error.is_some();
        core.observer.check_finished(
            &self.pipeline_name,
            &self.key.1.0,
            took,
            (!failed).then_some(fresh),
        );
        let had_failed = record.last_check.as_ref().is_some_and(|it| it.error.is_some());
        if fresh > 0
            || failed
            || had_failed
            || record.last_check.is_none()
            || serving > record.checks_served
        {
            self.note(serving, error).await?;
        }
        Ok(Checked { failed })
    }

    /// The version to list from: the one that is pinned, else the newest.
    async fn from(&self, record: &ResourceRecord) -> Result<Option<Version>, EngineError> {
        if let Some(pin) = &record.pin {
            let pinned = self.core.find_version(record, &pin.version).await?;
            return Ok(Some(pinned.map_or_else(|| pin.version.clone(), |it| it.version)));
        }
        let query = Query::below(((record.pipeline, &record.resource.0), &record.scope));
        let query = query.descending().limit(1);
        let page = self.core.database.list_by::<VersionRecord>("by_order", &query).await?;
        Ok(page.items.into_iter().next().map(|it| it.version))
    }

    /// Writes how the check went, and wakes who waited for it.
    async fn note(&self, serving: u64, error: Option<String>) -> Result<(), EngineError> {
        let context = (self, serving, error);
        self.core
            .change(&context, |transaction, (check, serving, error)| {
                Box::pin(async move {
                    let core = &check.core;
                    let mut rings = Rings::default();
                    transaction.fence(&check.token).await?;
                    let id = (check.key.0, check.key.1.0.clone());
                    let Some(mut record) = transaction.get::<ResourceRecord>(&id).await? else {
                        return Ok(Changed::new((), rings));
                    };
                    let failures =
                        if error.is_some() { check.failures.saturating_add(1) } else { 0 };
                    let at = core.clock().now();
                    record.last_check = Some(CheckSummary { at, error: error.clone(), failures });
                    let served = *serving > record.checks_served;
                    record.checks_served = record.checks_served.max(*serving);
                    transaction.put(&record).await?;
                    if record.checks_requested <= *serving {
                        core.lower_asked(transaction, &check.key).await?;
                    }
                    if served {
                        let key = (check.key.0, &check.key.1);
                        core.wake_users(transaction, &mut rings, key, &check.config)?;
                    }
                    Ok(Changed::new((), rings))
                })
            })
            .await
    }
}

impl Core {
    /// A resource that cannot be checked serves whoever waits for its check.
    async fn serve_unchecked(&self, key: &Key) -> Result<(), EngineError> {
        let pipeline = key.0;
        let Some(record) = self.database.get::<PipelineRecord>(&pipeline).await? else {
            return self.drop_asked(key).await;
        };
        let config = self.configs.get(&self.logs, pipeline, record.revision).await?;
        self.change(&(self, key, config), |transaction, (core, key, config)| {
            Box::pin(async move {
                let mut rings = Rings::default();
                let id = (key.0, key.1.0.clone());
                if let Some(mut record) = transaction.get::<ResourceRecord>(&id).await? {
                    record.checks_served = record.checks_requested;
                    transaction.put(&record).await?;
                }
                core.lower_asked(transaction, key).await?;
                core.wake_users(transaction, &mut rings, (key.0, &key.1), config)?;
                Ok(Changed::new((), rings))
            })
        })
        .await
    }

    /// Whoever asked for a check has it; a request that comes just now stays.
    async fn lower_asked(
        &self,
        transaction: &mut Transaction,
        key: &Key,
    ) -> Result<(), EngineError> {
        if let Some(raised) = asked_checks().get(&self.database, (key.0, &key.1.0)).await? {
            asked_checks().lower(transaction, &raised).await?;
        }
        Ok(())
    }

    async fn drop_asked(&self, key: &Key) -> Result<(), EngineError> {
        self.change(&(self, key), |transaction, (core, key)| {
            Box::pin(async move {
                core.lower_asked(transaction, key).await?;
                Ok(Changed::new((), Rings::default()))
            })
        })
        .await
    }
}

/// The versions of an answer that are taken, or why it is not.
fn usable(versions: Vec<Version>) -> Result<Vec<Version>, String> {
    for version in &versions {
        let bytes = serde_json::to_vec(version).map_or(0, |json| json.len());
        if bytes > MAX_VERSION_BYTES {
            return Err(format!(
                "it found a version of {bytes} bytes, {MAX_VERSION_BYTES} is the most"
            ));
        }
        if version.0.is_empty() {
            return Err("it found a version without any field".into());
        }
    }
    Ok(versions)
}
