//! Choosing the versions of a job's inputs, and the upstream builds behind them.
//!
//! [`resolve`] is pure: what it goes by ([`History`] of each resource,
//! [`Successes`] of each upstream job, what the job has [`Used`]) is held in
//! memory, grows by what is new and is reached through a [`World`]. The same
//! facts give the same answer, whatever the order in which they came in.
//!
//! An input without `passed` takes a version of its resource's history by
//! itself. Inputs with `passed` that share upstream jobs, directly or through
//! others, are a group: it takes one succeeded build of each job, such that all
//! builds an input must have passed have the same version of its resource.
//! Where several sets do, the newest builds win; under `every` the oldest that
//! come after those taken last.
//!
//! Where facts that are not loaded could change the answer, the answer says
//! which ([`Need`]) and decides nothing.

mod explain;
mod group;
mod history;
mod plain;
mod position;
mod reason;
mod resolution;
mod search;
mod spec;
mod successes;
mod supply;
mod used;
mod walk;
mod world;

pub use history::History;
pub use position::{ParsePositionError, Position};
pub use reason::{Passed, PinnedBy, Reason, Unusable};
pub use resolution::{Chosen, Need, Resolution, ResolvedInput, resolve};
pub use spec::{Choice, InputSpec, JobSpec, ResourceRef};
pub use successes::{SucceededBuild, Successes};
pub use used::{Adoption, HighestUsed, Used};
pub use world::{Lookup, World};
