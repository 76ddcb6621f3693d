//! An engine in memory, a worker that ends builds as a test says, and resources
//! whose versions a test makes up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pikoci_core::Engine;
use pikoci_core::dispatch::{CheckClaim, Registration};
use pikoci_core::engine::records::{BuildRecord, PipelineRecord};
use pikoci_core::engine::{EngineBuilder, PipelineText};
use pikoci_core::name::BuildId;
use pikoci_core::resolve::ResourceRef;
use pikoci_core::store::MemoryStore;
use pikoci_core::testkit::worker::{Behaviour, Ended, TestWorker, registration};
use pikoci_core::testkit::{Calls, ScriptedResource, ScriptedRunner};
use pikoci_core::{Status, Store, Types, Version};

/// How long a test waits for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Versions that checks find, by `type.name`; all that were ever made up.
#[derive(Debug, Clone, Default)]
pub(crate) struct World(Arc<Mutex<BTreeMap<String, Vec<Version>>>>);

impl World {
    /// Makes up a version.
    pub(crate) fn publish(&self, resource: &str, reference: &str) {
        let mut versions = self.0.lock().expect("whole");
        let version = Version::from_pairs([("ref", reference)]);
        versions.entry(resource.to_owned()).or_default().push(version);
    }

    fn check(&self, claim: &CheckClaim) -> Result<Vec<Version>, String> {
        let versions = self.0.lock().expect("whole");
        let known = versions.get(&format!("{}.{}", claim.kind, claim.name));
        let known = known.cloned().unwrap_or_default();
        let from = match &claim.from {
            Some(from) => known.iter().position(|it| it == from).unwrap_or(0),
            None => known.len().saturating_sub(1),
        };
        Ok(known.into_iter().skip(from).collect())
    }
}

/// The types that the tests' pipelines use.
pub(crate) fn types() -> Types {
    let calls = Calls::new();
    Types::new()
        .runner("run", ScriptedRunner::new(&calls))
        .resource_type("repo", ScriptedResource::new(&calls))
}

/// An engine with one team, `main`.
pub(crate) struct Ci {
    pub(crate) engine: Engine,
    pub(crate) world: World,
}

impl Ci {
    pub(crate) async fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new()), |builder| builder).await
    }

    pub(crate) async fn on(
        store: Arc<dyn Store>,
        with: impl FnOnce(EngineBuilder) -> EngineBuilder,
    ) -> Self {
        let builder = Engine::builder().store(store).register(types());
        let engine = with(builder).build().await.expect("an engine");
        // There already where the store has been used before.
        let _ = engine.create_team("main").await;
        Self { engine, world: World::default() }
    }

    /// Sets the pipeline `app`.
    pub(crate) async fn set(&self, text: &str) -> PipelineRecord {
        let set = self.engine.set_pipeline("main", "app", &PipelineText::new(text), "test").await;
        set.unwrap_or_else(|error| panic!("{error:?}")).pipeline
    }

    /// A worker whose builds end as `builds` says.
    pub(crate) fn worker(
        &self,
        builds: impl Fn(&pikoci_core::dispatch::BuildClaim) -> Ended + Send + Sync + 'static,
    ) -> TestWorker {
        self.worker_as(registration("w", 4), builds)
    }

    pub(crate) fn worker_as(
        &self,
        registration: Registration,
        builds: impl Fn(&pikoci_core::dispatch::BuildClaim) -> Ended + Send + Sync + 'static,
    ) -> TestWorker {
        let world = self.world.clone();
        let behaviour = Behaviour::default().builds(builds).checks(move |claim| world.check(claim));
        TestWorker::start(self.engine.dispatcher(), registration, behaviour)
    }

    /// Starts a job by hand.
    pub(crate) async fn trigger(&self, job: &str) -> BuildRecord {
        let inputs = pikoci_core::engine::Inputs::latest();
        self.engine.trigger(("main", "app", job), &inputs, "ann").await.expect("a build")
    }

    /// Waits until `holds`.
    pub(crate) async fn until_true<F: Future<Output = bool>>(
        &self,
        what: &str,
        holds: impl Fn() -> F,
    ) {
        let wait = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, wait).await;
        assert!(waited.is_ok(), "{what}: in vain");
    }

    /// Waits until nothing is due, and nothing runs.
    pub(crate) async fn quiet(&self) {
        // Twice, so that what the first look found to do is done.
        for _ in 0..2 {
            self.until_true("quiet", || async {
                let flags = pikoci_core::database::Flags::new("jobs");
                let raised = flags.raised(self.engine.database(), None, 1).await;
                raised.expect("flags").is_empty()
            })
            .await;
        }
    }

    /// The newest build of a job.
    pub(crate) async fn newest(&self, job: &str) -> BuildRecord {
        let pipeline = self.engine.pipeline("main", "app").await.expect("a pipeline");
        let page = self.engine.builds(pipeline.id, job, 1, None).await.expect("builds");
        page.items.into_iter().next().expect("a build")
    }

    /// Waits for the end of a build.
    pub(crate) async fn ended(&self, build: BuildId) -> BuildRecord {
        let wait = tokio::time::timeout(DEADLINE, self.engine.wait(build));
        wait.await.expect("it ends").expect("a build")
    }

    /// The builds of a job, oldest first, as `number status`.
    pub(crate) async fn history(&self, job: &str) -> Vec<String> {
        let pipeline = self.engine.pipeline("main", "app").await.expect("a pipeline");
        let page = self.engine.builds(pipeline.id, job, 100, None).await.expect("builds");
        let told = |it: &BuildRecord| format!("{} {}", it.position, it.state.as_str());
        page.items.iter().rev().map(told).collect()
    }

    /// Waits until a job's builds are these, as [`Self::history`] has them.
    pub(crate) async fn until(&self, job: &str, expected: &[&str]) {
        let wait = async {
            loop {
                let history = self.history(job).await;
                if history == expected {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            panic!("the builds of {job} are {:?}, not {expected:?}", self.history(job).await);
        }
    }

    /// Lets a resource be checked, and waits until that was done.
    pub(crate) async fn check(&self, resource: &str) {
        let pipeline = self.engine.pipeline("main", "app").await.expect("a pipeline");
        let resource = ResourceRef(resource.to_owned());
        self.engine.check_now(pipeline.id, &resource).await.expect("asked");
        let wait = async {
            loop {
                let record = self.engine.resource(pipeline.id, &resource).await.expect("there");
                if record.checks_served >= record.checks_requested {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.expect("a check");
    }

    /// Publishes a version and has it found.
    pub(crate) async fn push(&self, resource: &str, reference: &str) {
        self.world.publish(resource, reference);
        self.check(resource).await;
    }
}

pub(crate) fn ref_of(build: &BuildRecord, input: &str) -> String {
    let inputs = build.inputs.as_deref().unwrap_or_default();
    let found = inputs.iter().find(|it| it.name == input);
    found.map(|it| it.version.flatten()["ref"].clone()).unwrap_or_default()
}

pub(crate) fn failed() -> Ended {
    Ended::as_(Status::Failed)
}
