//! What the engine keeps: one type for each kind of record, with its keys.
//!
//! Nothing here decides anything; who may change what, and when, is said in
//! [`lifecycle`](super::lifecycle) and in the modules that do it.

mod build;
mod job;
mod pipeline;
mod resource;
mod worker;

pub use build::{
    AdoptedInput, ApprovalState, BuildRecord, BuildState, CancelRequest, Cause, Decision,
    MadeVersion, Mark, Slots,
};
pub use job::{AdoptionRecord, GroupRecord, JobRecord, SucceededRecord};
pub use pipeline::{PipelineId, PipelineRecord, RevisionRecord, TeamRecord};
pub use resource::{CheckSummary, Pin, ResourceRecord, VersionRecord};
pub use worker::WorkerRecord;
