//! What is built in: the types in code, the one in the language, and the names of those to come.

mod cron;
mod fs;
#[cfg(test)]
mod git_tests;
mod secrets;
mod unavailable;

use std::sync::Arc;

use pikoci_core::Types;
use pikoci_core::catalog::{Catalog, CatalogEntry, CatalogKind, ParamSpec};
use pikoci_core::clock::{Clock, SystemClock};

pub use cron::CronResource;
pub use fs::FsResource;
pub use secrets::{EnvSecret, FileSecret};

use crate::process::EnvironmentPolicy;
use crate::runner::{DockerRunner, ExecRunner, ShellRunner};
use unavailable::Unavailable;

/// The `git` resource type, in the pipeline language.
const GIT: &str = include_str!("git.hcl");

/// The parameters of `git`.
const GIT_PARAMS: &[&str] = &[
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

/// What a `put` to a `git` resource takes.
const GIT_PUT_PARAMS: &[&str] = &["repository", "branch", "rebase"];

/// Names that a pipeline may use and that nothing stands behind yet: what uses
/// them errors when it runs.
const LATER: &[(CatalogKind, &[&str])] = {
    use CatalogKind::{NotificationType, ResourceType, SecretType, ServiceType};
    &[
        (ResourceType, &["trigger", "artifact", "github-check"]),
        (
            ServiceType,
            &[
                "postgresql",
                "postgres",
                "mariadb",
                "redis",
                "nats",
                "rabbitmq",
                "kafka",
                "vault",
                "keycloak",
            ],
        ),
        (SecretType, &["vault", "pikoci"]),
        (NotificationType, &["slack", "discord", "webhook", "github-check"]),
    ]
};

/// What is built in, as the pipeline language needs to know it.
pub fn catalog() -> Catalog {
    let mut catalog = Catalog::new();
    let git = CatalogEntry {
        params: ParamSpec::only(GIT_PARAMS.iter().copied()),
        put: ParamSpec::only(GIT_PUT_PARAMS.iter().copied()),
        definition: Some(GIT),
        available: true,
        ..CatalogEntry::default()
    };
    catalog.insert(CatalogKind::ResourceType, "git", git);
    for (kind, names) in LATER {
        for name in *names {
            catalog.insert(*kind, *name, CatalogEntry::default());
        }
    }
    // What is registered tells its parameters itself.
    catalog = catalog.with_types(&defaults());
    catalog.set_check(CatalogKind::ResourceType, "cron", cron::check_params);
    catalog
}

/// The built-in runners and types, with the machine's clock and the usual
/// variables of this program's own environment.
pub fn defaults() -> Types {
    defaults_with(Arc::new(SystemClock::new()), Arc::default())
}

/// The built-in runners and types: those that depend on the time ask `clock`,
/// and `environment` says which of this program's own variables commands see.
/// Types that are defined in the pipeline language (`git`) are not among them:
/// reading a pipeline puts their definitions into it, for
/// [`types_for`](crate::types_for) to register.
pub fn defaults_with(clock: Arc<dyn Clock>, environment: Arc<EnvironmentPolicy>) -> Types {
    let mut types = Types::new()
        .runner("exec", ExecRunner::new(Arc::clone(&environment)))
        .runner("shell", ShellRunner::new(Arc::clone(&environment)))
        .runner("docker", DockerRunner::new(environment))
        .resource_type("cron", CronResource::new(clock))
        .resource_type("fs", FsResource::new())
        .secret_type("env", EnvSecret::new())
        .secret_type("file", FileSecret::new());
    for (kind, names) in LATER {
        for name in *names {
            Unavailable::register(*kind, name, &mut types);
        }
    }
    types
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_in_the_table_is_registered_unless_the_language_defines_it() {
        let types = defaults();
        let catalog = catalog();
        let registered = [
            (CatalogKind::ResourceType, types.resource_types.keys().collect::<Vec<_>>()),
            (CatalogKind::RunnerType, types.runners.keys().collect()),
            (CatalogKind::ServiceType, types.service_types.keys().collect()),
            (CatalogKind::SecretType, types.secret_types.keys().collect()),
            (CatalogKind::NotificationType, types.notification_types.keys().collect()),
        ];
        for (kind, names) in registered {
            let in_code = catalog.iter(kind).filter(|(_, entry)| entry.definition.is_none());
            let listed: Vec<_> = in_code.map(|(name, _)| name).collect();
            assert_eq!(names, listed, "{}", kind.block());
        }
    }

    #[test]
    fn a_cron_that_cannot_be_is_told_when_the_pipeline_is_read() {
        let check = |name: &str, value: &str| {
            let values = [(name.to_owned(), value.into())].into();
            cron::check_params(&values).map_err(|problem| problem.param)
        };
        assert_eq!(check("expression", "0 2 * * *"), Ok(()));
        assert_eq!(check("expression", "61 * * * *"), Err("expression".into()));
        assert_eq!(check("schedule", "0 0 31 2 *"), Err("schedule".into()));
        assert_eq!(check("timezone", "Mars/X"), Err("timezone".into()));
        assert_eq!(check("timezone", "Europe/Berlin"), Ok(()));
    }
}
