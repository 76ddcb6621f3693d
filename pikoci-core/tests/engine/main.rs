//! The engine, with a worker that runs nothing.

mod flow;
mod support;
