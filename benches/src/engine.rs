//! The engine with its worker in one process, on sled: how soon a build begins,
//! how many end in a second, and what those cost that wait.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Error, Result, Write as _};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::dispatch::Registration;
use pikoci_core::engine::{Engine, EngineOptions, Inputs, PipelineText};
use pikoci_core::testkit::worker::{Behaviour, TestWorker, registration};
use pikoci_core::{Exit, Params, Runner, StepRun, TypeError};
use pikoci_exec::worker::{Worker, WorkerOptions};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::measure::{median, resident_bytes};
use crate::store::{open, runtime};

/// How many builds the throughput is measured with.
const BUILDS: usize = 5000;
/// How many builds begin one after the other.
const STARTS: usize = 300;

const NO_OP: &str = r#"job "no-op" { task "t" { run "exec" { path = "true" } } }"#;
const JOB: (&str, &str, &str) = ("main", "app", "no-op");

/// Notes when it is called.
#[derive(Debug, Clone, Default)]
struct Probe(Arc<Mutex<Option<Instant>>>);

#[async_trait]
impl Runner for Probe {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn run(&self, _: &mut StepRun<'_>, _: &Params) -> std::result::Result<Exit, TypeError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(Exit::Code(0))
    }
}

/// An engine on sled below `dir`, with a pipeline.
async fn engine(dir: &TempDir, types: pikoci_core::Types, text: &str) -> Result<Engine> {
    let options = EngineOptions { alone: true, ..EngineOptions::default() };
    let engine = Engine::builder()
        .store(open("sled", dir).await?)
        .register(types)
        .catalog(pikoci_exec::catalog())
        .options(options)
        .build()
        .await
        .map_err(Error::other)?;
    engine.create_team("main").await.map_err(Error::other)?;
    let set = engine.set_pipeline("main", "app", &PipelineText::new(text), "bench").await;
    set.map_err(Error::other)?;
    Ok(engine)
}

/// A worker at work until `stop` fires.
fn work(engine: &Engine, dir: &TempDir, slots: u32, stop: &CancellationToken) -> JoinHandle<()> {
    let options = WorkerOptions {
        build_slots: slots,
        workspaces: Some(dir.path().join("builds")),
        journal: Some(dir.path().join("journal")),
        cache: None,
        ..WorkerOptions::default()
    };
    let worker = Worker::new(engine.dispatcher(), engine.types().clone(), options);
    let stop = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = worker.run(&stop).await {
            println!("  the worker does not work: {error}");
        }
    })
}

/// Starts `true` and waits for it.
fn spawn_true() -> Result<()> {
    let mut command = Command::new("true");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().map(|_| ())
}

fn percentile(mut figures: Vec<f64>, part: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = (figures.len() as f64 * part) as usize;
    figures.get(at.min(figures.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// From the call that triggers a build to the call that starts its first process.
pub(crate) fn first_process() -> Result<()> {
    let dir = TempDir::new()?;
    runtime()?.block_on(async {
        let probe = Probe::default();
        let types = pikoci_exec::defaults().runner("probe", probe.clone());
        let text = r#"job "no-op" { task "t" { run "probe" {} } }"#;
        let engine = engine(&dir, types, text).await?;
        let stop = CancellationToken::new();
        let work = work(&engine, &dir, 2, &stop);
        let mut figures = Vec::new();
        for run in 0..STARTS {
            let started = Instant::now();
            let build = engine.trigger(JOB, &Inputs::latest(), "bench").await;
            let build = build.map_err(Error::other)?;
            engine.wait(build.id).await.map_err(Error::other)?;
            let called = probe.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            let called = called.ok_or_else(|| Error::other("nothing was started"))?;
            if run > 0 {
                figures.push((called - started).as_secs_f64() * 1e3);
            }
        }
        stop.cancel();
        // How it ended says nothing about how it started.
        let _ = work.await;
        engine.close().await.map_err(Error::other)?;
        let mut spawns = Vec::new();
        for _ in 0..STARTS {
            let started = Instant::now();
            spawn_true()?;
            spawns.push(started.elapsed().as_secs_f64() * 1e3);
        }
        println!(
            "  trigger to first process, durably queued: {:.2} ms (p99 {:.2}) over a bare spawn, \
             which takes {:.2} ms",
            median(figures.clone()),
            percentile(figures, 0.99),
            median(spawns)
        );
        Ok(())
    })
}

/// No-op builds on two slots, against a loop that starts the same program and
/// writes two synced records for each.
pub(crate) fn no_op_builds() -> Result<()> {
    let dir = TempDir::new()?;
    let (queued, ours) = runtime()?.block_on(async {
        let engine = engine(&dir, pikoci_exec::defaults(), NO_OP).await?;
        let started = Instant::now();
        let mut last = None;
        for _ in 0..BUILDS / 50 {
            let some = (0..50).map(|_| async {
                engine.trigger(JOB, &Inputs::latest(), "bench").await.map_err(Error::other)
            });
            for build in futures_util::future::join_all(some).await {
                last = Some(build?.id);
            }
        }
        let queued = BUILDS as f64 / started.elapsed().as_secs_f64();
        let stop = CancellationToken::new();
        let started = Instant::now();
        let work = work(&engine, &dir, 2, &stop);
        if let Some(last) = last {
            engine.wait(last).await.map_err(Error::other)?;
        }
        let pipeline = engine.pipeline("main", "app").await.map_err(Error::other)?;
        loop {
            let left = engine.unfinished_builds(pipeline.id, "no-op", None).await;
            if left.map_err(Error::other)?.items.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let ours = BUILDS as f64 / started.elapsed().as_secs_f64();
        stop.cancel();
        // How it ended says nothing about how quick it was.
        let _ = work.await;
        engine.close().await.map_err(Error::other)?;
        Ok::<_, Error>((queued, ours))
    })?;
    let mut file = File::create(dir.path().join("floor"))?;
    let started = Instant::now();
    let loops = BUILDS / 5;
    for _ in 0..loops {
        file.write_all(&[b'x'; 512])?;
        file.sync_data()?;
        spawn_true()?;
        file.write_all(&[b'x'; 512])?;
        file.sync_data()?;
    }
    let floor = loops as f64 / started.elapsed().as_secs_f64();
    println!(
        "  {BUILDS} no-op builds on two slots: {ours:.0} a second, {:.2} of a fork/exec loop with \
         two synced records a build ({floor:.0}); {queued:.0} queued a second by 50 clients",
        ours / floor
    );
    Ok(())
}

/// What a pipeline that does nothing and a build that waits take in memory.
pub(crate) fn memory() -> Result<()> {
    const PIPELINES: u64 = 1000;
    const WAITING: u64 = 10_000;
    let dir = TempDir::new()?;
    runtime()?.block_on(async {
        let engine = engine(&dir, pikoci_exec::defaults(), NO_OP).await?;
        let before = resident_bytes()?;
        for at in 0..PIPELINES {
            let text = PipelineText::new(NO_OP.replace("no-op", &format!("job-{at}")));
            let set = engine.set_pipeline("main", &format!("p-{at}"), &text, "bench").await;
            set.map_err(Error::other)?;
        }
        let with_pipelines = resident_bytes()?;
        for _ in 0..WAITING / 50 {
            let some = (0..50).map(|_| async {
                engine.trigger(JOB, &Inputs::latest(), "bench").await.map_err(Error::other)
            });
            for build in futures_util::future::join_all(some).await {
                build?;
            }
        }
        let with_builds = resident_bytes()?;
        println!(
            "  resident, sled's own cache included: {} bytes an idle pipeline, {} bytes a queued \
             build",
            with_pipelines.saturating_sub(before) / PIPELINES,
            with_builds.saturating_sub(with_pipelines) / WAITING
        );
        engine.close().await.map_err(Error::other)
    })
}

/// A hundred thousand resources that are each checked every minute.
pub(crate) fn many_resources() -> Result<()> {
    const PIPELINES: usize = 100;
    const RESOURCES: usize = 1000;
    const WATCHED: Duration = Duration::from_secs(60);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let types = pikoci_exec::defaults();
        let options = EngineOptions { alone: true, checks_at_once: 64, ..EngineOptions::default() };
        let engine = Engine::builder()
            .register(types)
            .catalog(pikoci_exec::catalog())
            .options(options)
            .build()
            .await
            .map_err(Error::other)?;
        engine.create_team("main").await.map_err(Error::other)?;
        for at in 0..PIPELINES {
            let mut text = String::new();
            for resource in 0..RESOURCES {
                text.push_str(&format!(
                    "resource \"fs\" \"r-{resource}\" {{ params {{ path = \"/nowhere\" }} \
                     check_interval = \"@every 1m\" }}\n"
                ));
            }
            text.push_str("job \"all\" {\n");
            for resource in 0..RESOURCES {
                text.push_str(&format!("  get \"fs\" \"r-{resource}\" {{}}\n"));
            }
            text.push_str("}\n");
            let text = PipelineText::new(text);
            let set = engine.set_pipeline("main", &format!("p-{at}"), &text, "bench").await;
            set.map_err(Error::other)?;
        }
        let made: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
        let noted = Arc::clone(&made);
        let behaviour = Behaviour::default().checks(move |claim| {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            *noted.entry(format!("{}/{}", claim.pipeline.name, claim.name)).or_default() += 1;
            Ok(Vec::new())
        });
        let registration = Registration { build_slots: 0, ..registration("w", 64) };
        let _worker = TestWorker::start(engine.dispatcher(), registration, behaviour);
        let all = PIPELINES * RESOURCES;
        // The first check of each, which notes that there is nothing.
        while made.lock().unwrap_or_else(PoisonError::into_inner).len() < all {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        made.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let (began, cpu) = (Instant::now(), cpu_seconds()?);
        tokio::time::sleep(WATCHED).await;
        let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
        let checks: u32 = made.lock().unwrap_or_else(PoisonError::into_inner).values().sum();
        println!(
            "  {all} resources with `@every 1m`: {:.0} checks a second of {:.0} due, {:.0}% of one \
             core, the worker's part included",
            f64::from(checks) / took,
            all as f64 / 60.0,
            cpu / took * 100.0
        );
        engine.close().await.map_err(Error::other)
    })
}

/// The processor time of this process so far.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default();
    // utime and stime, the 14th and 15th of all; two stand before the bracket.
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|it| it.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() / 100.0)
}
