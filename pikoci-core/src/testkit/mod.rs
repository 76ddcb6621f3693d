//! Doubles for the traits, and what every implementation of them must do. Outside semver.
//!
//! - [`world`]: what a build runs in, in memory: events, workspace, journal, clock.
//! - [`script`]: runners and types that do what a test tells them and remember how they were called.
//! - [`faulty`]: stores, pub/sub and blobs behind a bad network.
//! - [`linearizability`]: whether what many clients saw of a store can be.
//! - [`dispatch`]: a dispatcher without an engine, for those who work for one.
//! - [`plan`]: jobs and steps in few words.
//! - [`worker`]: a worker that runs nothing and ends builds as a test says.
//! - [`random`]: numbers by a seed.
//! - [`conformance`]: checks to run against an implementation of one's own.

pub mod conformance;
pub mod dispatch;
pub mod faulty;
pub mod linearizability;
pub mod plan;
pub mod random;
pub mod script;
pub mod worker;
pub mod world;

pub use script::{
    Call, Calls, End, Script, ScriptedNotification, ScriptedResource, ScriptedRunner,
    ScriptedSecret, ScriptedService,
};
pub use world::{ManualClock, MemoryEvents, MemoryJournal, MemoryWorkspace};
