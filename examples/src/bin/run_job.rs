//! CI inside a program of one's own: a pipeline, a resource type that lives in
//! this program, and the events of the build as they happen.
//!
//! ```text
//! cargo run -p pikoci-examples --bin run_job
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::language::{ReadOptions, read};
use pikoci_core::plan::EventSink;
use pikoci_core::version::Metadata;
use pikoci_core::{Event, EventKind, Params, ResourceType, Status, StepRun, TypeError, Version};
use pikoci_exec::local::{LocalOptions, LocalRun};
use tokio_util::sync::CancellationToken;

const PIPELINE: &str = r#"
resource "tickets" "bugs" {
  params { queue = "bugs" }
}

job "triage" {
  get "tickets" "bugs" { trigger = true }

  task "read" {
    run "exec" {
      path = "cat"
      args = ["bugs.txt"]
    }
  }

  put "tickets" "bugs" { close = "$GET_BUGS_ID" }
}
"#;

/// A tracker that lives in this program. Its versions are its newest tickets.
#[derive(Debug, Default)]
struct Tickets {
    closed: Mutex<Vec<String>>,
}

#[async_trait]
impl ResourceType for Tickets {
    fn params(&self) -> ParamSpec {
        ParamSpec::only(["queue!"])
    }

    async fn check(
        &self,
        _step: &mut StepRun<'_>,
        params: &Params,
        _from: Option<&Version>,
    ) -> Result<Vec<Version>, TypeError> {
        let queue = params.text("queue").unwrap_or_default();
        Ok(vec![Version::from_pairs([("id", format!("{queue}-7"))])])
    }

    async fn pull(
        &self,
        step: &mut StepRun<'_>,
        _params: &Params,
        version: &Version,
    ) -> Result<Metadata, TypeError> {
        let path = step.context.workdir.join("bugs.txt");
        std::fs::write(&path, format!("{version}: it does not work\n"))
            .map_err(|error| TypeError::errored(format!("{}: {error}", path.display())))?;
        Ok(Metadata::from([("reporter".into(), "alice".into())]))
    }

    async fn push(
        &self,
        _step: &mut StepRun<'_>,
        _params: &Params,
        put: &Params,
    ) -> Result<Option<Version>, TypeError> {
        let id = put.text("close").ok_or_else(|| TypeError::failed("`close` names no ticket"))?;
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
        Ok(Some(Version::from_pairs([("id", id)])))
    }
}

/// Prints what happens.
struct Printer;

#[async_trait]
impl EventSink for Printer {
    async fn event(&self, event: Event) {
        match event.kind {
            EventKind::StepStarted { name, .. } => println!("[{:>2}] {name}", event.number),
            EventKind::StepOutput { data, .. } => {
                print!("     {}", String::from_utf8_lossy(&data.0));
            }
            EventKind::BuildFinished { status, .. } => println!("[{:>2}] {status}", event.number),
            _ => {}
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // What is built in, and one type more.
    let types = pikoci_exec::defaults().resource_type("tickets", Tickets::default());
    let catalog = pikoci_exec::catalog().with_types(&types);

    let outcome = read(
        vec![("pipeline.hcl".into(), PIPELINE.into())],
        &ReadOptions::new("example", &catalog),
    );
    let pipeline = outcome.pipeline.ok_or_else(|| format!("{:?}", outcome.diagnostics))?;

    let run = LocalRun::new(pipeline, &types, LocalOptions::default())?;
    let cancel = CancellationToken::new();
    let result = run.run(&|_| Arc::new(Printer), &cancel).await?;
    if result.status == Status::Succeeded {
        Ok(())
    } else {
        Err("the build did not succeed".into())
    }
}
