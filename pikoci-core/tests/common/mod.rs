//! A catalog like that of the real parts, and a short way to read a pipeline.

use pikoci_core::catalog::{Catalog, CatalogEntry, CatalogKind, ParamProblem, ParamSpec};
use pikoci_core::language::{ReadOptions, ReadOutcome, read};
use pikoci_core::schedule::Schedule;

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
        catalog.insert(
            kind,
            name,
            CatalogEntry { params, definition, available: true, ..CatalogEntry::default() },
        );
    };
    use CatalogKind::{NotificationType, ResourceType, RunnerType, SecretType, ServiceType};
    add(RunnerType, "exec", ParamSpec::only(["path!", "args", "env", "dir"]), None);
    add(
        RunnerType,
        "shell",
        ParamSpec::only(["cmd", "file", "shell"]).exactly_one(["cmd", "file"]),
        None,
    );
    add(RunnerType, "docker", ParamSpec::only(["image!", "cmd!", "args"]), None);
    add(ResourceType, "git", ParamSpec::only(["url!", "name", "branch"]), Some(GIT));
    add(SecretType, "env", ParamSpec::only(["key!"]), None);
    add(SecretType, "vault", ParamSpec::only(["address", "token", "path!"]), None);
    add(ServiceType, "postgresql", ParamSpec::any(), None);
    add(NotificationType, "slack", ParamSpec::only(["url!"]), None);
    let fs = CatalogEntry {
        params: ParamSpec::only(["path!", "name"]),
        put: ParamSpec::only(["from!", "replace"]),
        available: true,
        ..CatalogEntry::default()
    };
    catalog.insert(ResourceType, "fs", fs);
    let cron = CatalogEntry {
        params: ParamSpec::only(["expression!"]),
        check: Some(|values| match values.get("expression").and_then(|it| it.as_str()) {
            Some(text) => Schedule::parse(text).map(drop).map_err(|error| ParamProblem {
                param: "expression".into(),
                message: error.to_string(),
            }),
            None => Ok(()),
        }),
        available: true,
        ..CatalogEntry::default()
    };
    catalog.insert(ResourceType, "cron", cron);
    catalog.insert(ServiceType, "kafka", CatalogEntry::default());
    catalog
}

pub(crate) fn read_text(text: &str) -> ReadOutcome {
    let catalog = catalog();
    let options = ReadOptions::new("app", &catalog);
    read(vec![("pipeline.hcl".into(), text.into())], &options)
}
