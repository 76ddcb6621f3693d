//! The engine, with a worker that runs nothing.

mod builds;
mod dispatch;
mod flow;
mod jobs;
mod pipelines;
mod support;
