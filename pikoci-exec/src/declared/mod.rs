//! Types that a pipeline declares: adapters that implement core's traits over
//! the runners that the declaration's command blocks name.

mod command;
mod notification;
mod resource;
mod secret;
mod service;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use pikoci_core::catalog::{CatalogKind, ParamSpec};
use pikoci_core::pipeline::TypeOrigin;
use pikoci_core::{Pipeline, Runner, Types};
use thiserror::Error;

use crate::process::EnvironmentPolicy;
use crate::runner::{DeclaredRunner, ExecRunner};

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
    /// A resource is of a type that is defined in the pipeline language, in a
    /// pipeline that was not read and so does not hold the definition.
    #[error(
        "{location}: resource type `{name}` is defined in the pipeline language and the pipeline \
         does not declare it; read the pipeline with this program's catalog, or declare the type"
    )]
    NotDeclared {
        /// Where the resource is.
        location: pikoci_core::pipeline::Location,
        /// The type's name.
        name: String,
    },
}

/// The registry for one pipeline: the types it declares, over those of `base`.
///
/// A declared type takes the place of a built-in one of the same name. A
/// declaration that stands for a built-in implementation (`source =
/// "pikoci://cron"`) gets what `base` has under that name. Commands of declared
/// runners see of this program's environment what those of `base`'s `exec` see.
///
/// # Errors
/// When a declaration stands for an implementation that `base` does not have,
/// or a resource needs a definition that the pipeline does not hold.
pub fn types_for(pipeline: &Pipeline, base: &Types) -> Result<Types, TypesError> {
    let mut types = base.clone();
    let environment = environment_of(base);
    for (name, decl) in &pipeline.runner_types {
        let runner = match &decl.origin.built_in {
            Some(built_in) => find(&base.runners, built_in, &decl.origin)?,
            None => Arc::new(
                DeclaredRunner::new(decl.clone()).with_environment(Arc::clone(&environment)),
            ),
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
    for resource in &pipeline.resources {
        if !types.resource_types.contains_key(&resource.kind) && in_language(&resource.kind) {
            return Err(TypesError::NotDeclared {
                location: resource.location.clone(),
                name: resource.kind.clone(),
            });
        }
    }
    Ok(types)
}

/// Which of this program's own variables the commands of `base` see: what its
/// `exec` passes on, declared runners pass on as well.
fn environment_of(base: &Types) -> Arc<EnvironmentPolicy> {
    let exec: Option<&dyn Any> = base.runners.get("exec").map(|it| it.as_ref() as &dyn Any);
    exec.and_then(|it| it.downcast_ref::<ExecRunner>())
        .map(|it| Arc::clone(it.environment()))
        .unwrap_or_default()
}

/// Whether a built-in resource type is defined in the pipeline language.
fn in_language(name: &str) -> bool {
    crate::catalog()
        .get(CatalogKind::ResourceType, name)
        .is_some_and(|entry| entry.definition.is_some())
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
    ParamSpec { accepted: params.cloned(), ..ParamSpec::default() }
}

#[cfg(test)]
mod tests;
