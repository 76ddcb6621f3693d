//! Tests of printing a pipeline: what is printed reads back as the same.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::*;
use crate::catalog::{Catalog, CatalogEntry, CatalogKind};
use crate::language::{NoSources, ReadOptions, read};
use crate::value::Deferred;

fn catalog() -> Catalog {
    let mut catalog = Catalog::new();
    for (kind, name) in [
        (CatalogKind::RunnerType, "exec"),
        (CatalogKind::RunnerType, "shell"),
        (CatalogKind::ResourceType, "git"),
        (CatalogKind::SecretType, "env"),
        (CatalogKind::ServiceType, "redis"),
        (CatalogKind::NotificationType, "slack"),
    ] {
        let entry = CatalogEntry { available: true, ..CatalogEntry::default() };
        catalog.insert(kind, name, entry);
    }
    catalog
}

fn pipeline(text: &str) -> Pipeline {
    let catalog = catalog();
    let options = ReadOptions {
        name: "app".into(),
        directory: None,
        catalog: &catalog,
        loader: &NoSources,
        vars: BTreeMap::new(),
        file_vars: BTreeMap::new(),
        env: BTreeMap::new(),
        now: Timestamp::UNIX_EPOCH,
    };
    let outcome = read(vec![("app.hcl".into(), text.into())], &options);
    assert!(outcome.pipeline.is_some(), "{:#?}\n{text}", outcome.diagnostics);
    outcome.pipeline.unwrap()
}

/// The pipeline as data, without places in the text.
fn placeless(pipeline: &Pipeline) -> serde_json::Value {
    fn strip(json: &mut serde_json::Value) {
        match json {
            serde_json::Value::Object(map) => {
                map.remove("location");
                // Instances are jobs of their own once they are written out.
                map.remove("instance");
                map.values_mut().for_each(strip);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut json = serde_json::to_value(pipeline).unwrap();
    strip(&mut json);
    json
}

const EVERYTHING: &str = r#"
variable "version" { default = "1.2" }
variable "token" {
  type = string
  secret "env" { key = "TOKEN" }
}
runner_type "box" {
  params = ["image"]
  run {
    path = "box"
    args = ["--dir", "$WORKDIR", "$image", "a \"quoted\" $${literal} %%{if}"]
    env  = { A = "b", "b.c" = 1 }
  }
}
resource_type "tar" {
  cache = true
  check "shell" { cmd = "echo '[]'" }
  pull "exec" {
    path = "tar"
    args = ["xf", "$param_path"]
  }
}
service_type "db" {
  start "shell" { cmd = "db start" }
  ready_check "shell" {
    cmd = "db ping"
    interval = "250ms"
    timeout = "1m"
  }
  stop "shell" { cmd = "db stop" }
}
resource "git" "app" {
  check_interval = "@every 5m"
  tags = ["linux"]
  params {
    url = "https://x:${var.token}@host/"
    branch = "main"
  }
}
resource "tar" "src" {
  params { path = "a.tar" }
}
notification "slack" "team" {
  message = "${BUILD_STATUS} of $BUILD_NAME\n"
  on = ["broken", "fixed"]
}
job "test" {
  for_each = { a = 1, "b c" = 2 }
  timeout = "1h30m"
  concurrency = 2
  retention { builds = 10 }
  input "level" {
    default = "info"
    options = ["info", "debug"]
  }
  approve "go" {
    approvals = 2
    timeout = "1h"
  }
  get "git" "app" {
    trigger = true
    version = { ref = "abc" }
    params { depth = 1 }
  }
  service "redis" { port = "0" }
  in_parallel {
    limit = 2
    fail_fast = true
    task "one" {
      attempts = 3
      timeout = "30s"
      inputs = ["app"]
      env = { KEY = each.key, NUMBER = "${BUILD_NUMBER}" }
      dir = "app"
      run "shell" {
        cmd = <<-EOT
          set -e
            echo "${BUILD_ID}" $HOME $${not_hcl}

          echo done
        EOT
      }
      on_failure "exec" {
        path = "say"
        fail_build = true
      }
    }
    do {
      task "two" { run "exec" { path = "true" args = ["${var.version}"] } }
    }
  }
  if "$GET_APP_REF == \"abc\"" {
    task "three" { run "exec" { path = "true" } }
  } else_if "$BUILD_NUMBER > 3" {
    try {
      task "four" { run "exec" { path = "false" } }
    }
  } else {
    notify "slack" "team" { message = "else" }
  }
  ensure {
    notify "slack" "team" {}
  }
}
"#;

#[test]
fn what_is_printed_reads_back_as_the_same_pipeline() {
    let before = pipeline(EVERYTHING);
    let text = expand(&before);
    let after = pipeline(&text);
    pretty_compare(&placeless(&before), &placeless(&after), &text);
    assert_eq!(expand(&after), text);
}

fn pretty_compare(a: &serde_json::Value, b: &serde_json::Value, text: &str) {
    let lines = |json| serde_json::to_string_pretty(json).unwrap_or_default();
    let (a, b) = (lines(a), lines(b));
    for (left, right) in a.lines().zip(b.lines()) {
        assert_eq!(left, right, "in\n{text}");
    }
}

#[test]
fn everything_is_written_out() {
    insta::assert_snapshot!(expand(&pipeline(EVERYTHING)));
}

#[test]
fn what_is_known_at_run_time_only_is_printed_as_it_was_written() {
    let secret = || Value::Deferred(Box::new(Deferred::Secret { variable: "pw".into() }));
    let call = Value::Deferred(Box::new(Deferred::Call {
        function: "join".into(),
        arguments: vec![Value::from("-"), Value::List(vec![Value::from("a\nb"), secret()])],
    }));
    let template =
        Value::Deferred(Box::new(Deferred::Template(vec!["${BUILD_ID} ${x} ".into(), call])));
    assert_eq!(
        value::expression(&template, 0),
        r#""${BUILD_ID} $${x} ${join("-", ["a\nb", var.pw])}""#
    );
}

#[test]
fn scripts_are_printed_as_people_write_them() {
    for (script, printed) in [
        ("set -e\n\tmake\n", "<<-EOT\n    set -e\n    \tmake\n  EOT"),
        ("\tone\n two\n", "<<EOT\n\tone\n two\n  EOT"),
        ("one\nEOT\n", "<<-EOF\n    one\n    EOT\n  EOF"),
        ("one\ntwo", "chomp(<<-EOT\n    one\n    two\n  EOT\n  )"),
        ("one\r\ntwo\r\n", "\"one\\r\\ntwo\\r\\n\""),
        ("one\n", "\"one\\n\""),
    ] {
        assert_eq!(value::expression(&Value::from(script), 1), printed);
    }
    let list = Value::List(vec![Value::from("-c"), Value::from("one\ntwo\n"), Value::from("x")]);
    assert_eq!(
        value::expression(&list, 0),
        "[\n  \"-c\",\n  <<-EOT\n    one\n    two\n  EOT\n  ,\n  \"x\",\n]"
    );
}

#[test]
fn scripts_with_secrets_and_in_lists_read_back_as_the_same() {
    let text = r#"
variable "token" {
  type = string
  secret "env" { key = "TOKEN" }
}
job "a" {
  task "t" {
    run "shell" {
      cmd = "curl ${var.token}\n  ${join("-", ["a\nb", var.token])}\n${var.token}\n"
    }
  }
  task "u" {
    env = { A = "one\ntwo\n", B = "one\n${var.token}" }
    run "exec" {
      path = "sh"
      args = ["-c", "set -e\n\tmake\n", "one\ntwo", "a", "  b\n  c\n"]
    }
  }
}
"#;
    let before = pipeline(text);
    let printed = expand(&before);
    let after = pipeline(&printed);
    pretty_compare(&placeless(&before), &placeless(&after), &printed);
    assert!(
        !printed.contains("set -e\\n") && printed.contains("  curl ${var.token}\n"),
        "{printed}"
    );
    let laid_out =
        crate::language::format::format(Default::default(), &printed).expect("it can be read");
    pretty_compare(&placeless(&before), &placeless(&pipeline(&laid_out)), &laid_out);
}

#[test]
fn texts_of_every_kind_survive() {
    for text in [
        "",
        "plain",
        "quote \" backslash \\ tab \t",
        "${BUILD_NUMBER} and $BUILD_NUMBER",
        "${param_x} ${version_ref} ${put_a} ${notify_b}",
        "${not_run_time} ${} ${ %{if} $${x}",
        "line\nline\n",
        "line\n  indented\n\nline\n",
        "  all\n  indented\n",
        "no end\nof line",
        "\n",
        "a\n\n",
        "EOT\nEOT\n",
        "carriage\r\nreturn\r\n",
        "bell \u{7} and é 日本 🦀",
        "${BUILD_ID\n}\n",
        "ends with $",
        "$${",
        "dollar $\n%{x}\n",
        "  all\n  indented",
        "\n\n",
        "a\n\nb",
        " \n a\n",
        "a\n \n\tb\n",
        "EOT\nEOF\n  END\n",
        "ends ${\nx",
        "a \\ \"b\" \\n\nb\n",
    ] {
        let before = Pipeline {
            variables: BTreeMap::from([(
                "x".to_owned(),
                Variable {
                    kind: VariableType::String,
                    description: None,
                    value: Some(Value::from(text)),
                    secret: None,
                    location: Default::default(),
                },
            )]),
            ..Pipeline::default()
        };
        let printed = format!("{}\njob \"a\" {{}}\n", expand(&before));
        let after = pipeline(&printed);
        assert_eq!(after.variables["x"].value, Some(Value::from(text)), "{printed}");
    }
}
