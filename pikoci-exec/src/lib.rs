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
//! use pikoci_core::Pipeline;
//! use pikoci_exec::local::{JobChoice, LocalOptions, LocalRun};
//!
//! // A pipeline that declares nothing uses what is built in.
//! let pipeline = Pipeline::default();
//! let types = pikoci_exec::types_for(&pipeline, &pikoci_exec::defaults())?;
//! assert!(types.runners.contains_key("exec"));
//!
//! let run = LocalRun::new(pipeline, &pikoci_exec::defaults(), LocalOptions::default());
//! assert!(matches!(run, Err(pikoci_exec::local::LocalError::NoJobs)));
//! # let _ = JobChoice::All;
//! # Ok::<(), pikoci_exec::TypesError>(())
//! ```

pub mod builtin;
pub mod declared;
mod files;
pub mod journal;
pub mod local;
pub mod process;
pub mod runner;
#[cfg(feature = "http")]
pub mod sources;
#[cfg(test)]
mod test_support;
pub mod workspace;

pub use builtin::{catalog, defaults, defaults_with};
pub use declared::{TypesError, types_for};
pub use journal::FileJournal;
pub use local::LocalRun;
#[cfg(feature = "http")]
pub use sources::HttpSources;
pub use workspace::DirWorkspace;
