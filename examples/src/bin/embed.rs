//! A CI engine in a program of one's own, with a resource type and a runner of its own.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use async_trait::async_trait;
use futures_util::StreamExt as _;
use pikoci_core::engine::{Engine, Inputs};
use pikoci_core::{Exit, Params, ResourceType, Runner, StepRun, TypeError, Version};
use pikoci_core::{catalog::ParamSpec, event::OutputStream, version::Metadata};
use pikoci_exec::worker::{Worker, WorkerOptions};

const PIPELINE: &str = r#"
resource "tickets" "bugs" { check_interval = "@every 1m" }
job "triage" {
  get "tickets" "bugs" { trigger = true }
  task "read" { run "say" { text = "is open" } }
}"#;

#[derive(Debug)]
struct Tickets;
#[async_trait]
#[rustfmt::skip]
impl ResourceType for Tickets {
    fn params(&self) -> ParamSpec { ParamSpec::any() }
    async fn check(&self, _: &mut StepRun<'_>, _: &Params, _: Option<&Version>) -> Result<Vec<Version>, TypeError> {
        Ok(vec![Version::from_pairs([("id", "7")])])
    }
    async fn pull(&self, _: &mut StepRun<'_>, _: &Params, _: &Version) -> Result<Metadata, TypeError> { Ok(Metadata::new()) }
    async fn push(&self, _: &mut StepRun<'_>, _: &Params, _: &Params) -> Result<Option<Version>, TypeError> { Ok(None) }
}

#[derive(Debug)]
struct Say;
#[async_trait]
#[rustfmt::skip]
impl Runner for Say {
    fn params(&self) -> ParamSpec { ParamSpec::only(["text!"]) }
    async fn run(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Exit, TypeError> {
        let text = format!("ticket {} {}", step.context.env.0["GET_BUGS_ID"], params.text("text").unwrap_or_default());
        step.io.output(OutputStream::Stdout, text.into()).await;
        Ok(Exit::Code(0))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let types = pikoci_exec::defaults().resource_type("tickets", Tickets).runner("say", Say);
    let engine = Engine::builder().register(types).catalog(pikoci_exec::catalog()).build().await?;
    let worker = Worker::new(engine.dispatcher(), engine.types().clone(), WorkerOptions::default());
    tokio::spawn(async move { worker.run(&Default::default()).await });
    engine.create_team("main").await?;
    engine.set_pipeline("main", "app", &PIPELINE.into(), "me").await?;
    let build = engine.trigger(("main", "app", "triage"), &Inputs::latest(), "me").await?;
    let mut events = engine.follow(build.id, 0);
    while let Some(event) = events.next().await {
        println!("{}", serde_json::to_string(&event?)?);
    }
    Ok(())
}
