//! Types whose names are known but that this version does not bring.

use std::sync::Arc;

use async_trait::async_trait;
use pikoci_core::catalog::{CatalogKind, ParamSpec};
use pikoci_core::context::StepRun;
use pikoci_core::params::Params;
use pikoci_core::secret::SecretFields;
use pikoci_core::traits::{Readiness, ReadyPolicy, ServiceStarted};
use pikoci_core::version::Metadata;
use pikoci_core::{
    NotificationType, ResourceType, SecretType, ServiceType, TypeError, Types, Version,
};

/// A type of a known name that is not there: every use of it errors and says what to do.
#[derive(Debug)]
pub(super) struct Unavailable {
    kind: CatalogKind,
    name: &'static str,
}

impl Unavailable {
    /// Puts one in the place of `name`.
    pub(super) fn register(kind: CatalogKind, name: &'static str, types: &mut Types) {
        let it = Arc::new(Self { kind, name });
        let name = name.to_owned();
        match kind {
            CatalogKind::ResourceType => drop(types.resource_types.insert(name, it)),
            CatalogKind::ServiceType => drop(types.service_types.insert(name, it)),
            CatalogKind::SecretType => drop(types.secret_types.insert(name, it)),
            CatalogKind::NotificationType => drop(types.notification_types.insert(name, it)),
            CatalogKind::RunnerType => {}
        }
    }

    fn error(&self) -> TypeError {
        let commands = match self.kind {
            CatalogKind::ResourceType => "`check`, `pull` and `push` commands",
            CatalogKind::RunnerType => "a `run` block",
            CatalogKind::ServiceType => "`start` and `stop` commands",
            CatalogKind::SecretType => "a `get` command",
            CatalogKind::NotificationType => "a `notify` command",
        };
        TypeError::errored(format!(
            "`pikoci://{}` is not in this version of pikoci yet; declare a `{}` with {commands}",
            self.name,
            self.kind.block(),
        ))
    }
}

#[async_trait]
impl ResourceType for Unavailable {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn check(
        &self,
        _step: &mut StepRun<'_>,
        _params: &Params,
        _from: Option<&Version>,
    ) -> Result<Vec<Version>, TypeError> {
        Err(self.error())
    }

    async fn pull(
        &self,
        _step: &mut StepRun<'_>,
        _params: &Params,
        _version: &Version,
    ) -> Result<Metadata, TypeError> {
        Err(self.error())
    }

    async fn push(
        &self,
        _step: &mut StepRun<'_>,
        _params: &Params,
        _put: &Params,
    ) -> Result<Option<Version>, TypeError> {
        Err(self.error())
    }
}

#[async_trait]
impl ServiceType for Unavailable {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    fn ready_policy(&self) -> Option<ReadyPolicy> {
        None
    }

    async fn start(
        &self,
        _step: &mut StepRun<'_>,
        _params: &Params,
    ) -> Result<ServiceStarted, TypeError> {
        Err(self.error())
    }

    async fn ready(
        &self,
        _step: &mut StepRun<'_>,
        _params: &Params,
    ) -> Result<Readiness, TypeError> {
        Err(self.error())
    }

    async fn stop(&self, _step: &mut StepRun<'_>, _params: &Params) -> Result<(), TypeError> {
        // It never started, so there is nothing to stop and nothing more to say.
        Ok(())
    }
}

#[async_trait]
impl SecretType for Unavailable {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn get(
        &self,
        _step: &mut StepRun<'_>,
        _params: &Params,
    ) -> Result<SecretFields, TypeError> {
        Err(self.error())
    }
}

#[async_trait]
impl NotificationType for Unavailable {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn notify(
        &self,
        _step: &mut StepRun<'_>,
        _params: &Params,
        _notify: &Params,
    ) -> Result<(), TypeError> {
        Err(self.error())
    }
}
