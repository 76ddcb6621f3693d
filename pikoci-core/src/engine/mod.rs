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
