//! A catalog like that of the real parts, and a short way to read a pipeline.

use pikoci_core::catalog::{Catalog, CatalogEntry, CatalogKind, ParamSpec};
use pikoci_core::language::{ReadOptions, ReadOutcome, read};

const GIT: &str = r#"
resource_type "git" {
  params = ["url", "name", "branch"]
  check "shell" { cmd = "echo '[]'" }
  pull "shell" { cmd = "true" }
  push "shell" { cmd = "true" }
}
"#;

pub(crate) fn catalog() -> Catalog {
    let mut catalog = Catalog::new();
    let mut add = |kind, name: &str, params: ParamSpec, definition| {
        catalog.insert(kind, name, CatalogEntry { params, definition, available: true });
    };
    use CatalogKind::{NotificationType, ResourceType, RunnerType, SecretType, ServiceType};
    add(RunnerType, "exec", ParamSpec::only(["path!", "args", "env", "dir"]), None);
    add(RunnerType, "shell", ParamSpec::only(["cmd", "file", "shell", "env", "dir"]), None);
    add(RunnerType, "docker", ParamSpec::only(["image!", "cmd!", "args"]), None);
    add(ResourceType, "git", ParamSpec::only(["url!", "name", "branch"]), Some(GIT));
    add(ResourceType, "cron", ParamSpec::only(["expression!"]), None);
    add(ResourceType, "fs", ParamSpec::only(["path!", "name"]), None);
    add(SecretType, "env", ParamSpec::only(["key!"]), None);
    add(SecretType, "vault", ParamSpec::only(["address", "token", "path!"]), None);
    add(ServiceType, "postgresql", ParamSpec::any(), None);
    add(NotificationType, "slack", ParamSpec::only(["url!"]), None);
    catalog
}

pub(crate) fn read_text(text: &str) -> ReadOutcome {
    let catalog = catalog();
    let options = ReadOptions::new("app", &catalog);
    read(vec![("pipeline.hcl".into(), text.into())], &options)
}
