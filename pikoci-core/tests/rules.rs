//! One test for each rule of the language that reading decides.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use pikoci_core::language::{ReadOptions, SourceLoader, read};
use pikoci_core::pipeline::{HookBody, NotifyOn, Pipeline, StepKind, VersionChoice};
use pikoci_core::value::{Deferred, Value};

/// Reads a text that must be fine.
#[track_caller]
fn good(text: &str) -> Pipeline {
    let outcome = common::read_text(text);
    let said: Vec<String> = outcome
        .diagnostics
        .iter()
        .map(|it| format!("{}: {}", outcome.sources.location(it.span), it.message))
        .collect();
    outcome.pipeline.unwrap_or_else(|| panic!("{said:#?}"))
}

/// The codes and places of what is wrong with a text.
fn wrong(text: &str) -> Vec<String> {
    let outcome = common::read_text(text);
    outcome
        .diagnostics
        .iter()
        .map(|it| {
            let place = outcome.sources.location(it.span);
            format!("{}:{} {}", place.line, place.column, it.code)
        })
        .collect()
}

const TASK: &str = r#"task "t" { run "exec" { path = "true" } }"#;

#[test]
fn a_job_has_the_attributes_of_the_table() {
    let pipeline = good(&format!(
        r#"
job "full" {{
  concurrency = 2
  serial_groups = ["db"]
  timeout = "1h30m"
  tags = ["gpu", "linux-arm64"]
  interruptible = true
  allow_failure = true
  disable_retry = true
  disable_manual_trigger = true
  enabled = false
  retry_on_worker_loss = true
  public = true
  retention {{ builds = 5 days = 30 succeeded = 1 }}
  input "env" {{ type = string, description = "where", default = "dev", options = ["dev", "prod"] }}
  input "count" {{ type = number }}
  approve "ship it" {{ approvals = 2 timeout = "1h" }}
  {TASK}
}}
job "plain" {{
  {TASK}
}}
"#
    ));
    let job = pipeline.job("full").unwrap();
    assert_eq!((job.concurrency, job.timeout), (2, Some(Duration::from_secs(5400))));
    assert_eq!(job.tags, ["gpu", "linux-arm64"]);
    assert_eq!(job.serial_groups, ["db"]);
    assert!(job.interruptible && job.allow_failure && job.disable_retry && job.public);
    assert!(job.disable_manual_trigger && job.retry_on_worker_loss && !job.enabled);
    assert_eq!(job.retention.unwrap().days, Some(30));
    assert_eq!(job.inputs[0].default, Some(Value::from("dev")));
    assert_eq!((job.approvals[0].approvals, job.approvals[0].label.as_str()), (2, "ship it"));
    let plain = pipeline.job("plain").unwrap();
    assert!(plain.enabled && plain.retention.is_none() && plain.concurrency == 0);
    assert_eq!(plain.location.to_string(), "pipeline.hcl:20:1");
}

#[test]
fn steps_stand_in_order_with_ids_of_their_places() {
    let pipeline = good(&format!(
        r#"
resource "fs" "src" {{
  params {{ path = "." }}
}}
notification "slack" "team" {{
  params {{ url = "u" }}
  on      = ["broken", "fixed"]
  message = "a\\nb"
}}
job "a" {{
  get "fs" "src" {{ trigger = true version = {{ sha256 = "abc" }} }}
  service "postgresql" {{ version = "16" timeout = "1m" }}
  in_parallel {{
    limit = 2
    {TASK}
    do {{
      {TASK}
      try {{
        {TASK}
      }}
    }}
  }}
  if "$BUILD_NUMBER == 1" {{
    {TASK}
  }} else_if "$BUILD_NUMBER == 2" {{
    {TASK}
  }} else {{
    {TASK}
    {TASK}
  }}
  put "fs" "src" {{ from = "out" attempts = 2 }}
  notify "slack" "team" {{ message = "done" }}
  on_failure "exec" {{ path = "echo" fail_build = true }}
  on_failure {{
    notify "slack" "team" {{ message = "no" }}
  }}
  ensure {{
    {TASK}
  }}
}}
"#
    ));
    let job = &pipeline.jobs[0];
    let mut seen = Vec::new();
    job.visit(&mut |step| seen.push(format!("{} {}", step.id, step.title())));
    assert_eq!(
        seen,
        [
            "0 get src",
            "1 service postgresql",
            "2 in_parallel",
            "2.0 task t",
            "2.1 do",
            "2.1.0 task t",
            "2.1.1 try",
            "2.1.1.0 task t",
            "3 if",
            "3.0.0 task t",
            "3.1.0 task t",
            "3.2.0 task t",
            "3.2.1 task t",
            "4 put src",
            "5 notify team",
            "on_failure_1.0 notify team",
            "ensure.0 task t",
        ]
    );
    assert!(matches!(&job.steps[0].kind, StepKind::Get(get)
        if get.trigger && matches!(&get.version, VersionChoice::Pinned(pin) if pin["sha256"] == "abc".into())));
    assert!(matches!(&job.steps[1].kind, StepKind::Service(service)
        if service.params.len() == 1 && job.steps[1].timeout == Some(Duration::from_secs(60))));
    assert!(matches!(&job.steps[4].kind, StepKind::Put(put)
        if put.params.len() == 1 && job.steps[4].attempts == 2));
    assert!(job.hooks.on_failure[0].fail_build);
    assert!(matches!(&job.hooks.on_failure[0].body, HookBody::Run(run)
        if run.runner == "exec" && run.params.len() == 1));
    assert_eq!(pipeline.notifications[0].on, [NotifyOn::Broken, NotifyOn::Fixed]);
    assert_eq!(pipeline.notifications[0].message, Some("a\nb".into()));
}

#[test]
fn for_each_and_matrix_make_instances_and_passed_finds_them() {
    let pipeline = good(
        r#"
resource "fs" "src" {
  params { path = "." }
}
job "test" {
  for_each = { "Linux x64" = "ubuntu", mac = "macos" }
  get "fs" "src" {}
  task "t" {
    run "exec" { path = each.value args = ["${each.key}-$BUILD_NUMBER"] }
  }
}
job "grid" {
  matrix {
    os  = ["linux", "mac"]
    ver = [1, 2]
  }
  task "t" {
    run "exec" { path = each.value.os args = [each.value.ver] }
  }
}
job "all" {
  get "fs" "src" { passed = ["test"] }
}
job "one" {
  get "fs" "src" { passed = ["test--mac"] }
}
"#,
    );
    let names: Vec<&str> = pipeline.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "test--linux-x64",
            "test--mac",
            "grid--linux-1",
            "grid--linux-2",
            "grid--mac-1",
            "grid--mac-2",
            "all",
            "one"
        ]
    );
    assert_eq!(pipeline.job("all").unwrap().gets()[0].1.passed, ["test--linux-x64", "test--mac"]);
    assert_eq!(pipeline.job("one").unwrap().gets()[0].1.passed, ["test--mac"]);
    let StepKind::Task(task) = &pipeline.job("test--linux-x64").unwrap().steps[1].kind else {
        panic!()
    };
    assert_eq!(task.run.params["path"], "ubuntu".into());
    assert_eq!(task.run.params["args"], Value::List(vec!["Linux x64-$BUILD_NUMBER".into()]));
    // The same mistake in every instance is told once.
    assert_eq!(
        wrong("job \"a\" {\n  for_each = toset([\"x\", \"y\"])\n  timout = 1\n}\n")
            .iter()
            .filter(|it| it.contains("unknown-attribute"))
            .count(),
        1
    );
}

#[test]
fn the_three_kinds_of_dollar_live_side_by_side() {
    let pipeline = good(
        r#"
variable "x" { default = "hcl" }
job "a" {
  task "t" {
    run "shell" {
      cmd = "${var.x} ${BUILD_NUMBER} ${WORKDIR}/y $plain $${shell:-default} ${param_version} ${upper("f")}"
    }
  }
}
"#,
    );
    let StepKind::Task(task) = &pipeline.jobs[0].steps[0].kind else { panic!() };
    assert_eq!(
        task.run.params["cmd"].as_str().unwrap(),
        "hcl ${BUILD_NUMBER} ${WORKDIR}/y $plain ${shell:-default} ${param_version} F"
    );
}

#[test]
fn secrets_stay_placeholders_and_spread() {
    let pipeline = good(
        r#"
variable "user" { default = "joe" }
variable "password" {
  secret "vault" {
    path = "secret/${var.user}"
    key  = "password"
  }
}
secret_type "vault" {
  source  = "pikoci://vault"
  address = "https://vault.example.com"
}
job "a" {
  task "t" {
    run "shell" { cmd = "true" }
    env = { BASIC = base64encode("${var.user}:${var.password}"), PLAIN = var.password }
  }
}
"#,
    );
    assert_eq!(pipeline.variables["user"].value, Some("joe".into()));
    let secret = pipeline.variables["password"].secret.as_ref().unwrap();
    assert_eq!(secret.params["path"], "secret/joe".into());
    assert_eq!(secret.key, Some("password".into()));
    assert_eq!(
        pipeline.secret_types["vault"].attributes["address"],
        "https://vault.example.com".into()
    );
    let StepKind::Task(task) = &pipeline.jobs[0].steps[0].kind else { panic!() };
    assert!(matches!(&task.env["BASIC"], Value::Deferred(it)
        if matches!(&**it, Deferred::Call { function, .. } if function == "base64encode")));
    assert!(matches!(&task.env["PLAIN"], Value::Deferred(it)
        if matches!(&**it, Deferred::Secret { variable } if variable == "password")));
    // And the whole survives being stored.
    let json = serde_json::to_string(&pipeline).unwrap();
    assert_eq!(serde_json::from_str::<Pipeline>(&json).unwrap(), pipeline);
}

#[test]
fn a_secret_type_whose_command_needs_its_own_secret_is_a_circle() {
    let text = r#"
variable "token" {
  secret "own" { path = "x" }
}
secret_type "own" {
  get "shell" { cmd = "curl -H 'Authorization: ${var.token}' example.com" }
}
job "a" {
  task "t" {
    run "shell" { cmd = "true" }
    env = { TOKEN = var.token }
  }
}
"#;
    let outcome = common::read_text(text);
    let codes: Vec<_> = outcome.diagnostics.iter().map(|it| it.code).collect();
    assert_eq!(codes, ["secret-cycle"], "{:?}", outcome.diagnostics);
}

fn with_vars(text: &str, vars: &[(&str, &str)]) -> Result<Pipeline, Vec<String>> {
    let catalog = common::catalog();
    let options = ReadOptions {
        vars: vars.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        file_vars: BTreeMap::from([("file".to_owned(), Value::from("from the file"))]),
        env: BTreeMap::from([
            ("PIKOCI_VAR_file".to_owned(), "from the environment".to_owned()),
            ("PIKOCI_VAR_env".to_owned(), "from the environment".to_owned()),
        ]),
        ..ReadOptions::new("app", &catalog)
    };
    let outcome = read(vec![("p.hcl".into(), text.into())], &options);
    outcome
        .pipeline
        .ok_or_else(|| outcome.diagnostics.iter().map(|it| it.message.clone()).collect())
}

#[test]
fn variables_have_types_and_an_order_of_precedence() {
    let text = "
variable \"flag\" {
  default = false
}
variable \"count\" {
  type    = number
  default = 1
}
variable \"list\" {
  default = [\"a\"]
}
variable \"file\" {
  default = \"x\"
}
variable \"env\" {
  default = \"x\"
}
";
    let pipeline =
        with_vars(text, &[("flag", "true"), ("count", "2.5"), ("list", "[1, 2]")]).unwrap();
    let value = |name: &str| pipeline.variables[name].value.clone().unwrap().to_json();
    assert_eq!(value("flag"), true);
    assert_eq!(value("count"), 2.5);
    assert_eq!(value("list"), serde_json::json!([1, 2]));
    assert_eq!(value("file"), "from the file");
    assert_eq!(value("env"), "from the environment");
    assert_eq!(
        with_vars(text, &[("count", "many")]).unwrap_err(),
        ["the variable `count` is a number, and --var gives `many`"]
    );
}

struct OneFile(&'static str);

impl SourceLoader for OneFile {
    fn load(&self, url: &str) -> Result<String, String> {
        if url == "https://example.com/types.hcl" { Ok(self.0.into()) } else { Err("404".into()) }
    }
}

#[test]
fn types_come_from_the_network_with_their_digest() {
    let definition =
        "service_type \"db\" {\n  params = [\"version\"]\n  start \"exec\" { path = \"db\" }\n}\n";
    let read_source = |source: &str| {
        let catalog = common::catalog();
        let loader = OneFile(definition);
        let options = ReadOptions { loader: &loader, ..ReadOptions::new("app", &catalog) };
        let text = format!("service_type \"postgres\" {{\n  source = \"{source}\"\n}}\n");
        let outcome = read(vec![("p.hcl".into(), text)], &options);
        outcome.pipeline.ok_or_else(|| {
            outcome.diagnostics.iter().map(|it| it.message.clone()).collect::<Vec<_>>()
        })
    };
    let pipeline = read_source("https://example.com/types.hcl").unwrap();
    let decl = &pipeline.service_types["postgres"];
    assert_eq!(decl.params.as_deref(), Some(&["version".to_owned()][..]));
    assert_eq!(decl.start.as_ref().unwrap().runner, "exec");
    let digest = decl.origin.sha256.clone().unwrap();
    assert_eq!(digest.len(), 64);
    assert!(read_source(&format!("https://example.com/types.hcl#sha256={digest}")).is_ok());
    let changed = format!("https://example.com/types.hcl#sha256={}", "0".repeat(64));
    assert!(read_source(&changed).unwrap_err()[0].contains("another content"));
    assert!(read_source("https://example.com/none.hcl").unwrap_err()[0].contains("404"));
}

#[test]
fn types_come_from_files_beside_the_pipeline_and_from_nowhere_else() {
    let outer = std::env::temp_dir().join(format!("pikoci-rules-{}", std::process::id()));
    let dir = outer.join("pipeline");
    std::fs::create_dir_all(&dir).unwrap();
    let definition = "runner_type \"r\" {\n  run { path = \"$tool\" args = [\"$args\"] }\n}\n";
    std::fs::write(dir.join("types.hcl"), definition).unwrap();
    std::fs::write(outer.join("outside.hcl"), definition).unwrap();
    let read_source = |source: &str| {
        let catalog = common::catalog();
        let options =
            ReadOptions { directory: Some(dir.clone()), ..ReadOptions::new("app", &catalog) };
        let text = format!("runner_type \"mine\" {{\n  source = \"{source}\"\n}}\n");
        read(vec![("p.hcl".into(), text)], &options)
    };
    let pipeline = read_source("file:./types.hcl").pipeline.unwrap();
    assert_eq!(pipeline.runner_types["mine"].path, "$tool".into());
    for outside in ["file:../outside.hcl", "file:./none.hcl", "file:/etc/passwd"] {
        assert!(read_source(outside).pipeline.is_none(), "{outside}");
    }
    std::fs::remove_dir_all(&outer).unwrap();
}

#[test]
fn a_built_in_type_in_the_language_is_there_when_it_is_used_and_not_before() {
    let used = good(&format!(
        "resource \"git\" \"app\" {{\n  params {{ url = \"u\" }}\n}}\njob \"a\" {{\n  {TASK}\n}}\n"
    ));
    assert_eq!(used.resource_types["git"].origin.source.as_deref(), Some("pikoci://git"));
    assert!(used.resource_types["git"].check.is_some());
    let unused = good(&format!("job \"a\" {{\n  {TASK}\n}}\n"));
    assert!(unused.resource_types.is_empty());
    // One that is declared goes before one that is built in.
    let own = good(
        "resource_type \"git\" {\n  check \"exec\" { path = \"mine\" }\n}\nresource \"git\" \"x\" {\n  params { anything = 1 }\n}\n",
    );
    assert_eq!(own.resource_types["git"].origin.source, None);
    // One in code keeps its name.
    let cron = good(
        "resource_type \"tick\" {\n  source = \"pikoci://cron\"\n}\nresource \"tick\" \"t\" {\n  params { expression = \"@daily\" }\n}\n",
    );
    assert_eq!(cron.resource_types["tick"].origin.built_in.as_deref(), Some("cron"));
}

#[test]
fn everything_wrong_is_told_at_once_and_a_broken_block_hides_nothing_else() {
    assert_eq!(
        wrong(
            "job \"broken\" {\n  timeout = = \"5m\"\n}\n\
             resource \"fs\" \"src\" {\n  params { path = \".\" }\n}\n\
             job \"b\" {\n  timout = \"5m\"\n  get \"fs\" \"src\" { passed = [\"broken\"] }\n  task \"t\" { run \"exce\" {} }\n}\n"
        ),
        ["2:13 missing-value", "8:3 unknown-attribute", "10:18 unknown-type"]
    );
}

#[test]
fn several_files_are_one_pipeline() {
    let catalog = common::catalog();
    let options = ReadOptions::new("app", &catalog);
    let outcome = read(
        vec![
            ("a.hcl".into(), "job \"a\" {\n  get \"fs\" \"src\" {}\n}\n".into()),
            (
                "b.hcl".into(),
                "resource \"fs\" \"src\" {\n  params { path = \".\" }\n}\njob \"a\" {}\n".into(),
            ),
        ],
        &options,
    );
    let places: Vec<String> = outcome
        .diagnostics
        .iter()
        .map(|it| format!("{} {}", outcome.sources.location(it.span), it.code))
        .collect();
    assert_eq!(places, ["b.hcl:4:1 empty-job", "b.hcl:4:5 duplicate-job"]);
}

#[test]
fn a_value_in_a_condition_is_one_text_and_never_part_of_it() {
    let condition = |env: &str, label: &str| {
        let text = format!(
            "variable \"env\" {{\n  default = \"prod\"\n}}\njob \"a\" {{\n  if \"{label}\" {{\n    {TASK}\n  }}\n}}\n"
        );
        let pipeline = with_vars(&text, &[("env", env)]).unwrap();
        let StepKind::If { branches, .. } = &pipeline.jobs[0].steps[0].kind else { panic!() };
        let lookup = |name: &str| (name == "BUILD_NUMBER").then(|| "3".to_owned());
        branches[0].condition.evaluate(&lookup).unwrap()
    };
    let label = "${var.env} == prod && ${BUILD_NUMBER} > 2";
    assert!(condition("prod", label));
    assert!(!condition("dev", label));
    assert!(!condition("x || true", label));
    assert!(!condition("x\" || \"1\" == \"1", label));
    assert!(!condition("$BUILD_NUMBER", "${var.env} == 3"));
    assert!(condition("3", "${var.env} == $BUILD_NUMBER"));
}
