//! The engine: versions in, builds out.
//!
//! An [`Engine`] keeps teams, pipelines with all their revisions, resources
//! with their versions, and builds with everything that happens to them, in a
//! [`Store`](crate::Store). It has resources checked, resolves the inputs of
//! jobs when something that concerns them has changed, starts what can be
//! started, and hands it to workers through a [`Dispatcher`](crate::Dispatcher).
//!
//! Several engines may work on one store; whatever one of them decides is
//! committed only if it still holds then.
//!
//! # How it works
//! - **A flag for each job that may have something to start** (`schedule`).
//!   Whatever may change the answer raises it, in the transaction that changes
//!   it: versions that were found, an upstream build that ended, a slot that
//!   got free, an approval. Who looks lowers it, unless it was raised again.
//! - **What becomes of a build that waits** (`builds::decide`) and **which
//!   versions it takes** ([`resolve`](crate::resolve)) are pure functions.
//! - **The job's record** is written by whoever adopts inputs for one of its
//!   builds or takes a slot, so two servers cannot do either twice. Jobs without
//!   inputs and limits never touch it, so their builds stand in nobody's way.
//! - **The end of a build is one transaction** (`builds::finish`): its last
//!   events, its record, what it vouches for, the slots it held, the flags of
//!   those who waited for any of that.
//! - **Workers** have sessions with a lease each (`hand_out`). Everything that a
//!   worker reports is fenced by it, so one that was given up can write nothing.
//! - **Bells** (`bells`) only wake: within the process at once, in others by the
//!   pub/sub, and everybody looks by themselves now and then.
//!
//! ```
//! use pikoci_core::engine::{Engine, EngineError, Inputs, PipelineText};
//! use pikoci_core::testkit::{Calls, ScriptedRunner};
//! use pikoci_core::Types;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), EngineError> {
//! let types = Types::new().runner("say", ScriptedRunner::new(&Calls::new()));
//! let engine = Engine::builder().register(types).build().await?;
//! engine.create_team("main").await?;
//! let text = PipelineText::new(r#"job "hello" { task "greet" { run "say" {} } }"#);
//! let set = engine.set_pipeline("main", "app", &text, "ann").await?;
//! assert_eq!(set.plan.to_string(), "+ job hello\n");
//!
//! let build = engine.trigger(("main", "app", "hello"), &Inputs::latest(), "ann").await?;
//! assert_eq!(build.name().to_string(), "main/app/hello#1");
//! // A worker claims from `engine.dispatcher()`; pikoci-exec has one.
//! let why = engine.why_build(build.id).await?;
//! assert_eq!(why.to_string(), "waits for a worker, and there is none; start one");
//! engine.close().await
//! # }
//! ```

mod bells;
mod builds;
mod builds_api;
mod check;
mod config;
mod core;
#[allow(clippy::module_inception, reason = "what the module is named for")]
mod engine;
mod error;
mod facts;
mod follow;
mod hand_out;
pub mod lifecycle;
mod observe;
mod pipelines;
mod plan;
mod purge;
mod recent;
pub mod records;
mod resources;
mod retention;
mod schedule;
mod team;
mod trigger;
mod upkeep;
mod versions;
mod wake;
mod why;

pub use builds::Waits;
pub use config::RevisionBody;
pub use core::EngineOptions;
pub use engine::{Engine, EngineBuilder};
pub use error::EngineError;
pub use observe::{Observer, Unobserved};
pub use pipelines::{PipelineSet, PipelineText};
pub use plan::{Action, Change, PipelinePlan};
pub use records::{PipelineId, PipelineRecord};
pub use retention::Retained;
pub use team::{TeamEvent, TeamEventKind};
pub use trigger::Inputs;
pub use why::{Trigger, WaitingBuild, WhyBuild, WhyJob};
