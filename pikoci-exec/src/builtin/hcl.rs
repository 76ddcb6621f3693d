//! Built-in types that are written in the pipeline language themselves.

use std::sync::OnceLock;

use async_trait::async_trait;
use pikoci_core::catalog::{CatalogKind, ParamSpec};
use pikoci_core::context::StepRun;
use pikoci_core::language::{ReadOptions, read};
use pikoci_core::params::Params;
use pikoci_core::version::Metadata;
use pikoci_core::{ResourceType, TypeError, Version};

use crate::declared::{DeclaredResource, Runners};

/// The parameters of `git`.
pub(super) const GIT_PARAMS: &[&str] = &[
    "url!",
    "branch",
    "ref",
    "name",
    "depth",
    "submodules",
    "username",
    "password",
    "private_key",
];

/// A resource type whose definition is read when it is first used: a job that
/// does not use it pays nothing for it.
#[derive(Debug)]
pub(super) struct HclResource {
    name: &'static str,
    definition: &'static str,
    runners: Runners,
    read: OnceLock<Result<DeclaredResource, String>>,
}

impl HclResource {
    /// The type `name`, defined by `definition`, whose commands run on `runners`.
    pub(super) fn new(name: &'static str, definition: &'static str, runners: Runners) -> Self {
        Self { name, definition, runners, read: OnceLock::new() }
    }

    fn get(&self) -> Result<&DeclaredResource, TypeError> {
        let read = self.read.get_or_init(|| self.parse());
        read.as_ref().map_err(|message| {
            TypeError::errored(format!("built-in type `{}` cannot be read: {message}", self.name))
        })
    }

    fn parse(&self) -> Result<DeclaredResource, String> {
        let catalog = super::catalog();
        let files = vec![(format!("pikoci://{}", self.name), self.definition.to_owned())];
        let outcome = read(files, &ReadOptions::new("builtin", &catalog));
        let first = outcome.diagnostics.first().map(|diagnostic| diagnostic.message.clone());
        outcome
            .pipeline
            .and_then(|mut pipeline| pipeline.resource_types.remove(self.name))
            .map(|decl| DeclaredResource::new(self.name, decl, self.runners.clone()))
            .ok_or_else(|| first.unwrap_or_else(|| "it declares nothing".into()))
    }
}

#[async_trait]
impl ResourceType for HclResource {
    fn params(&self) -> ParamSpec {
        super::catalog()
            .get(CatalogKind::ResourceType, self.name)
            .map_or_else(ParamSpec::any, |entry| entry.params.clone())
    }

    async fn check(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        from: Option<&Version>,
    ) -> Result<Vec<Version>, TypeError> {
        self.get()?.check(step, params, from).await
    }

    async fn pull(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        version: &Version,
    ) -> Result<Metadata, TypeError> {
        self.get()?.pull(step, params, version).await
    }

    async fn push(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        put: &Params,
    ) -> Result<Option<Version>, TypeError> {
        self.get()?.push(step, params, put).await
    }
}
