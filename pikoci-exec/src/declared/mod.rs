//! Types that a pipeline declares: adapters that implement core's traits over
//! the runners that the declaration's command blocks name.

mod command;
mod notification;
mod resource;
mod secret;
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;

use pikoci_core::catalog::ParamSpec;
use pikoci_core::pipeline::TypeOrigin;
use pikoci_core::{Pipeline, Runner, Types};
use thiserror::Error;

use crate::runner::DeclaredRunner;

pub(crate) use command::resource_name;
pub use notification::DeclaredNotification;
pub use resource::DeclaredResource;
pub use secret::DeclaredSecret;
pub use service::DeclaredService;

/// The runners that the commands of a declared type may name.
pub type Runners = Arc<BTreeMap<String, Arc<dyn Runner>>>;

/// Why a pipeline's types cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TypesError {
    /// A declaration stands for something built in that this program does not have.
    #[error("{location}: `pikoci://{built_in}` is not in this program")]
    NoSuchBuiltIn {
        /// Where it is declared.
        location: pikoci_core::pipeline::Location,
        /// The name behind `pikoci://`.
        built_in: String,
    },
}

/// The registry for one pipeline: the types it declares, over those of `base`.
///
/// A declared type takes the place of a built-in one of the same name. A
/// declaration that stands for a built-in implementation (`source =
/// "pikoci://cron"`) gets what `base` has under that name.
///
/// # Errors
/// When a declaration stands for an implementation that `base` does not have.
pub fn types_for(pipeline: &Pipeline, base: &Types) -> Result<Types, TypesError> {
    let mut types = base.clone();
    for (name, decl) in &pipeline.runner_types {
        let runner = match &decl.origin.built_in {
            Some(built_in) => find(&base.runners, built_in, &decl.origin)?,
            None => Arc::new(DeclaredRunner::new(decl.clone())),
        };
        types.runners.insert(name.clone(), runner);
    }
    let runners: Runners = Arc::new(types.runners.clone());
    for (name, decl) in &pipeline.resource_types {
        let it = match &decl.origin.built_in {
            Some(built_in) => find(&base.resource_types, built_in, &decl.origin)?,
            None => Arc::new(DeclaredResource::new(name, decl.clone(), Arc::clone(&runners))),
        };
        types.resource_types.insert(name.clone(), it);
    }
    for (name, decl) in &pipeline.service_types {
        let it = match &decl.origin.built_in {
            Some(built_in) => find(&base.service_types, built_in, &decl.origin)?,
            None => Arc::new(DeclaredService::new(name, decl.clone(), Arc::clone(&runners))),
        };
        types.service_types.insert(name.clone(), it);
    }
    for (name, decl) in &pipeline.secret_types {
        let it = match &decl.origin.built_in {
            Some(built_in) => secret::with_attributes(
                find(&base.secret_types, built_in, &decl.origin)?,
                decl.attributes.clone(),
            ),
            None => Arc::new(DeclaredSecret::new(name, decl.clone(), Arc::clone(&runners))),
        };
        types.secret_types.insert(name.clone(), it);
    }
    for (name, decl) in &pipeline.notification_types {
        let it = match &decl.origin.built_in {
            Some(built_in) => find(&base.notification_types, built_in, &decl.origin)?,
            None => Arc::new(DeclaredNotification::new(name, decl.clone(), Arc::clone(&runners))),
        };
        types.notification_types.insert(name.clone(), it);
    }
    Ok(types)
}

fn find<T: ?Sized>(
    built_in: &BTreeMap<String, Arc<T>>,
    name: &str,
    origin: &TypeOrigin,
) -> Result<Arc<T>, TypesError> {
    built_in.get(name).cloned().ok_or_else(|| TypesError::NoSuchBuiltIn {
        location: origin.location.clone(),
        built_in: name.to_owned(),
    })
}

/// What a declaration's `params = [...]` accepts.
fn spec(params: Option<&Vec<String>>) -> ParamSpec {
    ParamSpec { accepted: params.cloned(), required: Vec::new() }
}

#[cfg(test)]
mod tests;
