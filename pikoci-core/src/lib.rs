//! The engine of PikoCI.
//!
//! This crate holds the model (pipelines, versions, builds, events), the
//! pipeline language ([`language`]), the plan interpreter that runs a job's
//! steps ([`plan`]) and the traits that others implement ([`Runner`],
//! [`ResourceType`], [`ServiceType`], [`SecretType`], [`NotificationType`]).
//! It starts no process, opens no socket and knows no database: what touches
//! the machine lives in `pikoci-exec` and comes in through the traits.
#![doc = include_str!("front_page_example.md")]

pub mod backoff;
pub mod blob;
pub mod catalog;
pub mod clock;
pub mod condition;
pub mod context;
pub mod database;
pub mod dispatch;
pub mod duration;
pub mod engine;
pub mod event;
pub mod graph;
pub mod language;
pub mod mask;
pub mod name;
pub mod params;
pub mod pipeline;
pub mod plan;
pub mod pubsub;
pub mod resolve;
pub mod schedule;
pub mod secret;
pub mod status;
pub mod store;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
pub mod traits;
pub mod types;
pub mod value;
pub mod version;

pub use blob::BlobStore;
pub use context::{BuildContext, Resolve, StepContext, StepRun};
pub use dispatch::Dispatcher;
pub use engine::Engine;
pub use event::{Event, EventKind};
pub use params::Params;
pub use pipeline::Pipeline;
pub use pubsub::PubSub;
pub use status::Status;
pub use store::Store;
pub use traits::{
    Exit, Journal, NotificationType, ResourceType, Runner, SecretType, ServiceType, StepIo,
    TypeError, Workspace,
};
pub use types::Types;
pub use value::Value;
pub use version::Version;
