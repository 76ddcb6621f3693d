//! What is built in: one table of names, parameters and what stands behind each.

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

/// What stands behind a built-in name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// Code, registered by [`defaults_with`].
    Code,
    /// A definition in the pipeline language, which reading a pipeline puts
    /// into it where it is used.
    Hcl(&'static str),
    /// Nothing yet: a pipeline may use it and errors when it runs.
    Nothing,
}

/// Kind, name, parameters (`!` marks those that must be given; empty accepts any).
type Row = (CatalogKind, &'static str, &'static [&'static str], Behind);

const TABLE: &[Row] = {
    use Behind::{Code, Hcl, Nothing};
    use CatalogKind::{NotificationType, ResourceType, RunnerType, SecretType, ServiceType};
    &[
        (RunnerType, "exec", &["path!", "args", "env", "dir"], Code),
        (RunnerType, "shell", &["cmd", "file", "shell"], Code),
        (RunnerType, "docker", &["image!", "cmd", "args"], Code),
        (ResourceType, "git", GIT_PARAMS, Hcl(GIT)),
        (ResourceType, "cron", &["expression", "schedule", "timezone"], Code),
        (ResourceType, "fs", &["path!", "name", "ignore"], Code),
        (ResourceType, "trigger", &[], Nothing),
        (ResourceType, "artifact", &[], Nothing),
        (ResourceType, "github-check", &[], Nothing),
        (ServiceType, "postgresql", &[], Nothing),
        (ServiceType, "postgres", &[], Nothing),
        (ServiceType, "mariadb", &[], Nothing),
        (ServiceType, "redis", &[], Nothing),
        (ServiceType, "nats", &[], Nothing),
        (ServiceType, "rabbitmq", &[], Nothing),
        (ServiceType, "kafka", &[], Nothing),
        (ServiceType, "vault", &[], Nothing),
        (ServiceType, "keycloak", &[], Nothing),
        (SecretType, "env", &["key", "path"], Code),
        (SecretType, "file", &["path!", "format", "key"], Code),
        (SecretType, "vault", &[], Nothing),
        (SecretType, "pikoci", &[], Nothing),
        (NotificationType, "slack", &[], Nothing),
        (NotificationType, "discord", &[], Nothing),
        (NotificationType, "webhook", &[], Nothing),
        (NotificationType, "github-check", &[], Nothing),
    ]
};

/// What is built in, as the pipeline language needs to know it.
pub fn catalog() -> Catalog {
    let mut catalog = Catalog::new();
    for (kind, name, params, behind) in TABLE {
        let entry = CatalogEntry {
            params: param_spec(params),
            definition: match behind {
                Behind::Hcl(text) => Some(text),
                Behind::Code | Behind::Nothing => None,
            },
            available: *behind != Behind::Nothing,
            ..CatalogEntry::default()
        };
        catalog.insert(*kind, *name, entry);
    }
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
    for (kind, name, _, behind) in TABLE {
        if *behind == Behind::Nothing {
            Unavailable::register(*kind, name, &mut types);
        }
    }
    types
}

fn param_spec(names: &[&'static str]) -> ParamSpec {
    if names.is_empty() { ParamSpec::any() } else { ParamSpec::only(names.iter().copied()) }
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
    fn the_catalog_and_the_implementations_agree_on_parameters() {
        let types = defaults();
        let catalog = catalog();
        for (name, it) in &types.resource_types {
            let entry = catalog.get(CatalogKind::ResourceType, name).expect("listed");
            assert_eq!(it.params(), entry.params, "{name}");
        }
        for (name, it) in &types.secret_types {
            let entry = catalog.get(CatalogKind::SecretType, name).expect("listed");
            assert_eq!(it.params(), entry.params, "{name}");
        }
        for (name, it) in &types.runners {
            let entry = catalog.get(CatalogKind::RunnerType, name).expect("listed");
            assert_eq!(it.params(), entry.params, "{name}");
        }
    }
}
