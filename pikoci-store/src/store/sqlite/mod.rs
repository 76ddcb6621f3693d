//! `sqlite:PATH`: one file that common tools can read.

mod engine;
mod open;
mod rows;
mod schema;
mod store;
mod survey;
mod verify;

pub use store::SqliteStore;
pub(crate) use verify::verify;
