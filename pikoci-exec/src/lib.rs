//! The parts of PikoCI that touch the machine.
//!
//! [`defaults`] is what is built in, as a registry an engine takes; [`catalog`]
//! tells the pipeline language about the same things; [`types_for`] lays the
//! types that a pipeline declares over them. [`LocalRun`] puts all of it
//! together and runs jobs of a pipeline right here, with no server:
//!
//! ```
//! use std::sync::Arc;
//!
//! use pikoci_core::event::{Event, EventKind};
//! use pikoci_core::language::{ReadOptions, read};
//! use pikoci_core::plan::EventSink;
//! use pikoci_exec::local::{LocalOptions, LocalRun};
//!
//! /// Prints which steps ran.
//! struct Steps;
//!
//! #[async_trait::async_trait]
//! impl EventSink for Steps {
//!     async fn event(&self, event: Event) {
//!         if let EventKind::StepFinished { step, status, .. } = event.kind {
//!             println!("step {step} {status}");
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let text = r#"
//!     job "hello" {
//!       task "greet" {
//!         run "exec" {
//!           path = "echo"
//!           args = ["hello"]
//!         }
//!       }
//!     }
//! "#;
//! let catalog = pikoci_exec::catalog();
//! let outcome = read(vec![("hello.hcl".into(), text.into())], &ReadOptions::new("hello", &catalog));
//! let pipeline = outcome.pipeline.ok_or("the pipeline has mistakes")?;
//!
//! # let place = tempfile::tempdir()?;
//! # let options = LocalOptions {
//! #     workspaces: Some(place.path().join("builds")),
//! #     journal: Some(place.path().join("journal")),
//! #     ..LocalOptions::default()
//! # };
//! # #[cfg(any())]
//! let options = LocalOptions::default();
//! let run = LocalRun::new(pipeline, &pikoci_exec::defaults(), options)?;
//! let result = run.run(&|_| Arc::new(Steps), &Default::default()).await?;
//! assert!(result.status.is_ok());
//! assert_eq!(result.jobs[0].job, "hello");
//! # Ok(())
//! # }
//! ```

pub mod builtin;
pub mod cache;
pub mod declared;
mod files;
pub mod journal;
pub mod local;
mod machine;
pub mod process;
pub mod runner;
#[cfg(feature = "http")]
pub mod sources;
#[cfg(test)]
mod test_support;
mod trace;
pub mod worker;
pub mod workspace;

pub use builtin::{catalog, defaults, defaults_with};
pub use cache::Cache;
pub use declared::{TypesError, types_for};
pub use journal::FileJournal;
pub use local::LocalRun;
#[cfg(feature = "http")]
pub use sources::HttpSources;
pub use workspace::DirWorkspace;
