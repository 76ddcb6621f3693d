//! Builds from their making to their end, as transactions.

mod create;
mod decide;
mod finish;
mod ready;
mod start;

pub(crate) use create::{NewBuild, Place, job_of};
pub use decide::Waits;
pub(crate) use decide::{Decision, Standing, decide};
pub(crate) use finish::Ending;
pub(crate) use ready::{Class, fits, ready};
pub(crate) use start::Shared;
