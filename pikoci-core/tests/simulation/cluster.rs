//! The cluster of one seed, and what happens to it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pikoci_core::clock::Clock;
use pikoci_core::dispatch::CheckClaim;
use pikoci_core::engine::records::{BuildRecord, BuildState};
use pikoci_core::engine::{EngineError, EngineOptions, Inputs, PipelineText};
use pikoci_core::name::BuildId;
use pikoci_core::pubsub::{MemoryPubSub, SlowLook};
use pikoci_core::resolve::ResourceRef;
use pikoci_core::store::MemoryStore;
use pikoci_core::testkit::faulty::{FaultyPubSub, FaultyStore};
use pikoci_core::testkit::random::Random;
use pikoci_core::testkit::worker::{Behaviour, Ended, TestWorker, registration};
use pikoci_core::testkit::{Calls, ScriptedResource, ScriptedRunner};
use pikoci_core::{Engine, PubSub, Status, Store, Types, Version};

use crate::invariants;
use crate::link::{Link, Server, Servers};
use crate::world::{Mortal, SimClock};

/// How many things happen in one run.
const STEPS: usize = 60;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long everything has to come to its end once nothing breaks any more.
const AFTERWARDS: Duration = Duration::from_secs(60 * 60);

const FIRST: &str = r#"
    resource "repo" "code" { check_interval = "@every 30s" }
    resource "repo" "image" { check_interval = "never" }
    job "test" { concurrency = 2 get "repo" "code" { trigger = true } }
    job "lint" { interruptible = true get "repo" "code" { trigger = true } }
    job "build" {
      serial_groups = ["db"]
      retry_on_worker_loss = true
      get "repo" "code" { trigger = true passed = ["test", "lint"] }
      put "repo" "image" {}
    }
    job "migrate" { serial_groups = ["db"] task "t" { run "run" {} } }
    job "deploy" {
      concurrency = 1
      get "repo" "image" { trigger = true passed = ["build"] version = "every" }
    }
"#;

fn second() -> String {
    FIRST
        .replace("concurrency = 2", "concurrency = 1")
        .replace("[\"test\", \"lint\"]", "[\"test\"]")
}

const JOBS: [&str; 5] = ["test", "lint", "build", "migrate", "deploy"];

struct Node {
    engine: Engine,
    store: Arc<Mortal>,
}

struct Cluster {
    random: Random,
    clock: Arc<SimClock>,
    within: Arc<dyn Store>,
    pubsub: Arc<dyn PubSub>,
    seed: u64,
    faulty: Arc<AtomicBool>,
    nodes: Vec<Node>,
    servers: Servers,
    workers: Vec<Option<TestWorker>>,
    published: Arc<Mutex<BTreeMap<String, Vec<Version>>>>,
    accepted: Vec<BuildId>,
    trace: DefaultHasher,
    started: u64,
}

fn types() -> Types {
    let calls = Calls::new();
    Types::new()
        .runner("run", ScriptedRunner::new(&calls))
        .resource_type("repo", ScriptedResource::new(&calls))
}

/// Runs a seed; answers a digest of everything that happened.
pub(crate) async fn run(seed: u64) -> u64 {
    let mut cluster = Cluster::new(seed).await;
    for _ in 0..STEPS {
        Box::pin(cluster.step()).await;
        cluster.check().await;
    }
    Box::pin(cluster.come_to_an_end()).await;
    cluster.trace.finish()
}

impl Cluster {
    async fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let clock = Arc::new(SimClock::new(random.number()));
        let within: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let doorbells = Arc::new(MemoryPubSub::new());
        let pubsub = FaultyPubSub::new(doorbells).seeded(random.number());
        let mut cluster = Self {
            clock,
            within,
            pubsub: Arc::new(pubsub),
            seed: random.number(),
            random,
            faulty: Arc::new(AtomicBool::new(true)),
            nodes: Vec::new(),
            servers: Servers::default(),
            workers: Vec::new(),
            published: Arc::default(),
            accepted: Vec::new(),
            trace: DefaultHasher::new(),
            started: 0,
        };
        let quiet = cluster.engine(Arc::clone(&cluster.within), true).await;
        quiet.create_team("main").await.expect("a team");
        let text = PipelineText::new(FIRST);
        quiet.set_pipeline("main", "app", &text, "sim").await.expect("a pipeline");
        drop(quiet);
        cluster.start_node().await;
        for at in 0..3 {
            let worker = cluster.worker(at);
            cluster.workers.push(Some(worker));
        }
        cluster
    }

    /// An engine over a store.
    async fn engine(&self, store: Arc<dyn Store>, at_rest: bool) -> Engine {
        let options = EngineOptions {
            at_rest,
            slow_look: SlowLook { every: Duration::from_secs(20), jitter_percent: 50 },
            ..EngineOptions::default()
        };
        Engine::builder()
            .store(store)
            .pubsub(Arc::clone(&self.pubsub))
            .clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
            .register(types())
            .options(options)
            .build()
            .await
            .expect("an engine")
    }

    async fn start_node(&mut self) {
        self.started += 1;
        let faulty: Arc<dyn Store> = if self.random.one_in(2) {
            let seed = self.seed.wrapping_add(self.started);
            Arc::new(FaultyStore::new(Arc::clone(&self.within)).seeded(seed))
        } else {
            Arc::clone(&self.within)
        };
        let store = Arc::new(Mortal::new(faulty));
        let engine = self.engine(Arc::clone(&store) as Arc<dyn Store>, false).await;
        let server = Server { dispatcher: engine.dispatcher(), dead: store.dead.clone() };
        self.servers.lock().expect("whole").push(server);
        self.nodes.push(Node { engine, store });
    }

    fn bury(&mut self) {
        self.nodes.retain(|node| !node.store.dead.is_cancelled());
        self.servers.lock().expect("whole").retain(|server| !server.dead.is_cancelled());
    }

    fn worker(&mut self, at: usize) -> TestWorker {
        let seed = self.random.number();
        let link = Link::new(Arc::clone(&self.servers), seed, Arc::clone(&self.faulty));
        let (published, made) = (Arc::clone(&self.published), Arc::clone(&self.published));
        let fates = Mutex::new(Random::new(self.random.number()));
        let behaviour = Behaviour::default()
            .checks(move |claim| Ok(found(&published.lock().expect("whole"), claim)))
            .builds(move |claim| {
                let mut fates = fates.lock().expect("whole");
                let takes = Duration::from_millis(fates.number() % 20_000);
                let status = match fates.below(8) {
                    0 => Status::Failed,
                    1 => Status::Errored,
                    _ => Status::Succeeded,
                };
                let ended = Ended::as_(status).after(takes);
                if claim.context.name.job == "build" && status.is_ok() {
                    let name = format!("i{}", fates.number() % 1000);
                    let version = Version::from_pairs([("ref", name)]);
                    let mut made = made.lock().expect("whole");
                    made.entry("repo.image".into()).or_default().push(version.clone());
                    return ended.made("repo.image", version);
                }
                ended
            });
        TestWorker::start(Arc::new(link), registration(&format!("w{at}"), 2), behaviour)
    }

    fn note(&mut self, what: impl std::hash::Hash) {
        what.hash(&mut self.trace);
        self.clock.monotonic().hash(&mut self.trace);
    }

    /// A living engine, if there is one.
    fn pick(&mut self) -> Option<Engine> {
        let at = self.random.below(self.nodes.len());
        self.nodes.get(at).map(|node| node.engine.clone())
    }

    async fn ask<T>(
        &mut self,
        call: impl AsyncFnOnce(&Engine) -> Result<T, EngineError>,
    ) -> Option<T> {
        let engine = self.pick()?;
        let answer = tokio::time::timeout(PATIENCE, call(&engine)).await;
        let answer = answer.ok()?.ok();
        self.note(answer.is_some());
        answer
    }

    async fn step(&mut self) {
        self.bury();
        let kind = self.random.below(24);
        self.note(kind);
        match kind {
            0..=5 => {
                let pause = Duration::from_millis(self.random.number() % 15_000);
                tokio::time::sleep(pause).await;
            }
            6..=8 => self.publish().await,
            9..=12 => {
                let job = JOBS[self.random.below(JOBS.len())];
                let build = self
                    .ask(async |engine| {
                        engine.trigger(("main", "app", job), &Inputs::latest(), "sim").await
                    })
                    .await;
                self.accepted.extend(build.map(|build| build.id));
            }
            13 | 14 => {
                let Some(build) = self.some_build() else { return };
                self.ask(async |engine| engine.cancel(build, "sim").await).await;
            }
            15 => {
                let Some(build) = self.some_build() else { return };
                let again = self.ask(async |engine| engine.retry(build, "sim").await).await;
                self.accepted.extend(again.map(|build| build.id));
            }
            16 => {
                let paused = self.random.one_in(2);
                let job = JOBS[self.random.below(JOBS.len())];
                if self.random.one_in(3) {
                    self.ask(async |it| it.pause_pipeline("main", "app", paused).await).await;
                } else {
                    self.ask(async |it| it.pause_job(("main", "app", job), paused).await).await;
                }
            }
            17 => {
                let text = if self.random.one_in(2) { FIRST.to_owned() } else { second() };
                let text = PipelineText::new(text);
                self.ask(async |it| it.set_pipeline("main", "app", &text, "sim").await).await;
            }
            18 => {
                let at = self.random.below(self.nodes.len());
                if let Some(node) = self.nodes.get(at) {
                    node.store.dead.cancel();
                }
            }
            19 => {
                let (commits, after) = (self.random.number() % 30, self.random.one_in(2));
                let at = self.random.below(self.nodes.len());
                if let Some(node) = self.nodes.get(at) {
                    node.store.die_in(commits, after);
                }
            }
            20 | 21 if self.nodes.len() < 2 => self.start_node().await,
            22 => {
                let at = self.random.below(self.workers.len());
                let worker = match self.workers[at].take() {
                    Some(_) => None,
                    None => Some(self.worker(at)),
                };
                self.workers[at] = worker;
            }
            _ => self.clock.jump(self.random.number() % 1_000_000_000),
        }
    }

    async fn publish(&mut self) {
        let name = format!("c{}", self.random.number() % 1000);
        {
            let mut published = self.published.lock().expect("whole");
            let version = Version::from_pairs([("ref", name)]);
            let versions = published.entry("repo.code".into()).or_default();
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
        if self.random.one_in(2) {
            self.ask(async |engine| {
                let pipeline = engine.pipeline("main", "app").await?;
                engine.check_now(pipeline.id, &ResourceRef("repo.code".into())).await
            })
            .await;
        }
    }

    fn some_build(&mut self) -> Option<BuildId> {
        let at = self.random.below(self.accepted.len());
        self.accepted.get(at).copied()
    }

    async fn check(&self) {
        // It looks only.
        let witness = self.engine(Arc::clone(&self.within), true).await;
        invariants::check(&witness).await;
    }

    /// Nothing breaks any more: everything that was accepted reaches its end.
    async fn come_to_an_end(&mut self) {
        self.faulty.store(false, Ordering::Relaxed);
        for node in self.nodes.drain(..) {
            node.store.dead.cancel();
        }
        self.bury();
        self.started += 1;
        let store = Arc::new(Mortal::new(Arc::clone(&self.within)));
        let engine = self.engine(Arc::clone(&store) as Arc<dyn Store>, false).await;
        let server = Server { dispatcher: engine.dispatcher(), dead: store.dead.clone() };
        self.servers.lock().expect("whole").push(server);
        for at in 0..self.workers.len() {
            if self.workers[at].is_none() {
                self.workers[at] = Some(self.worker(at));
            }
        }
        engine.pause_pipeline("main", "app", false).await.expect("goes on");
        for job in JOBS {
            engine.pause_job(("main", "app", job), false).await.expect("goes on");
        }
        self.publish().await;
        let ended = tokio::time::timeout(AFTERWARDS, self.all_end(&engine)).await;
        if ended.is_err() {
            for build in self.unfinished(&engine).await {
                let why = engine.why_build(build.id).await.expect("why");
                eprintln!("{} does not end: {why}\n{build:?}", build.name());
            }
            panic!("not everything came to an end");
        }
        for build in &self.accepted {
            engine.build(*build).await.expect("what was accepted is there");
        }
        self.check().await;
    }

    async fn unfinished(&self, engine: &Engine) -> Vec<BuildRecord> {
        let pipeline = engine.pipeline("main", "app").await.expect("a pipeline");
        let mut unfinished = Vec::new();
        for job in JOBS {
            let page = engine.unfinished_builds(pipeline.id, job, None).await.expect("builds");
            unfinished.extend(page.items);
        }
        unfinished
    }

    async fn all_end(&self, engine: &Engine) {
        loop {
            let unfinished = self.unfinished(engine).await;
            if unfinished.is_empty() {
                return;
            }
            for build in unfinished {
                let late = self.clock.now().duration_since(build.created).as_secs().abs() > 1800;
                // What nothing will ever come for is not the engine's fault.
                if late && build.state == BuildState::Pending && build.inputs.is_none() {
                    let _ = engine.cancel(build.id, "sim").await;
                }
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    }
}

fn found(published: &BTreeMap<String, Vec<Version>>, claim: &CheckClaim) -> Vec<Version> {
    let name = format!("{}.{}", claim.kind, claim.name);
    let versions = published.get(&name).cloned().unwrap_or_default();
    let from = match &claim.from {
        Some(from) => versions.iter().position(|it| it == from).unwrap_or(0),
        None => versions.len().saturating_sub(1),
    };
    versions.into_iter().skip(from).collect()
}
