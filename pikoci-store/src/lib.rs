//! Stores, pub/sub and blobs for PikoCI.
//!
//! Nothing is here yet: `pikoci run` stores nothing. This crate will hold the
//! backends of the engine's store, one module and one cargo feature each.
