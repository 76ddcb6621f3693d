//! Doubles for the traits. Outside semver.
//!
//! - [`world`]: what a build runs in, in memory: events, workspace, journal, clock.
//! - [`script`]: runners and types that do what a test tells them and remember how they were called.
//! - [`plan`]: jobs and steps in few words.

pub mod plan;
pub mod script;
pub mod world;

pub use script::{
    Call, Calls, End, Script, ScriptedNotification, ScriptedResource, ScriptedRunner,
    ScriptedSecret, ScriptedService,
};
pub use world::{ManualClock, MemoryEvents, MemoryJournal, MemoryWorkspace};
