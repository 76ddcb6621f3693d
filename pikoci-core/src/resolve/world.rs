//! Where resolution finds the facts.

use std::sync::Arc;

use super::history::History;
use super::spec::ResourceRef;
use super::successes::Successes;
use super::used::Used;
use crate::version::{Version, VersionDigest};

/// The facts, as one job sees them.
pub trait World {
    /// The current history of a resource; `None` when it was never checked.
    fn history(&self, resource: &ResourceRef) -> Option<&History>;

    /// The succeeded builds of a job; `None` when there is none.
    fn successes(&self, job: &str) -> Option<&Successes>;

    /// What the job that is being resolved has adopted.
    fn used(&self) -> &Used;

    /// The version of this digest in the current history of a resource.
    ///
    /// For those who hold versions outside of the [`History`] too.
    fn version(&self, resource: &ResourceRef, digest: &VersionDigest) -> Lookup {
        self.history(resource).map_or(Lookup::Unknown, |history| history.lookup(digest))
    }
}

/// What is known of a version's digest.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// It is in the history, and this is its content.
    Known(Arc<Version>),
    /// It is not in the history: nothing can be done with it.
    Unknown,
    /// It may be in the part of the history that is not loaded.
    NotLoaded,
}
