//! `sled:PATH`: the embedded default.

mod codec;
mod engine;
mod files;
mod open;
mod step;
mod store;
mod survey;
mod verify;
mod view;

pub use store::SledStore;
pub(crate) use verify::verify;
