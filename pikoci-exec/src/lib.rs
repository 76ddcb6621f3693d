//! Placeholder.
pub mod process;
pub mod runner;
