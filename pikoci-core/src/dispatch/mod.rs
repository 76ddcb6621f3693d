//! What stands between the engine and those who run its builds: one contract,
//! in process and across machines.
//!
//! A worker [registers](Dispatcher::register), [claims](Dispatcher::claim)
//! work, [reports](Dispatcher::report) the events of each build, and
//! [renews](Dispatcher::renew) its session now and then. What it is told
//! besides are [`Signal`]s: that a build is to be cancelled, that no more work
//! will come.

mod contract;
mod error;
mod work;

pub use contract::{Dispatcher, Registration, Session, SessionId, Signal, Want};
pub use error::{DispatchError, DispatchErrorKind};
pub use work::{
    Ack, BuildClaim, CheckClaim, CheckId, CheckReport, Claim, Report, Resume, RunningBuild,
};
