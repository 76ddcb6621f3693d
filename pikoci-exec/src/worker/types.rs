//! The types of the pipelines that builds came from lately.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use pikoci_core::{Pipeline, Types};

use crate::declared::{TypesError, types_for};

/// Of how many pipelines the types are kept.
const RECENT: usize = 32;

/// What [`types_for`] said about the pipelines that were asked for lately.
#[derive(Debug)]
pub(super) struct RecentTypes {
    base: Types,
    /// The last one asked for is in front. That a pipeline is held here keeps
    /// its address from naming another one.
    recent: Mutex<VecDeque<(Arc<Pipeline>, Arc<Types>)>>,
}

impl RecentTypes {
    pub(super) fn new(base: &Types) -> Self {
        Self { base: base.clone(), recent: Mutex::default() }
    }

    /// The types of a pipeline.
    pub(super) fn of(&self, pipeline: &Arc<Pipeline>) -> Result<Arc<Types>, TypesError> {
        {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            let found = recent.iter().position(|(it, _)| Arc::ptr_eq(it, pipeline));
            if let Some(entry) = found.and_then(|index| recent.remove(index)) {
                let types = Arc::clone(&entry.1);
                recent.push_front(entry);
                return Ok(types);
            }
        }
        let types = Arc::new(types_for(pipeline, &self.base)?);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(RECENT - 1);
        recent.push_front((Arc::clone(pipeline), Arc::clone(&types)));
        Ok(types)
    }
}
