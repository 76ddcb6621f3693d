//! What is built in, and what a pipeline declares, keeps the engine's
//! contracts: on this machine, over a real shell and a real `git`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use pikoci_core::language::{ReadOptions, read};
use pikoci_core::testkit::conformance::notification::{self, NotificationCase};
use pikoci_core::testkit::conformance::resource::{self, Push, ResourceCase};
use pikoci_core::testkit::conformance::runner::{self, RunnerCase};
use pikoci_core::testkit::conformance::secret::{self, SecretCase};
use pikoci_core::testkit::conformance::service::{self, ServiceCase};
use pikoci_core::testkit::script::params;
use pikoci_core::{Params, Types, Value};
use pikoci_exec::builtin::EnvSecret;
use pikoci_exec::{defaults, types_for};
use tempfile::TempDir;

/// The built-in types with those that `text` declares over them.
fn declared(text: &str) -> Types {
    let catalog = pikoci_exec::catalog();
    let files = vec![("types.hcl".to_owned(), text.to_owned())];
    let outcome = read(files, &ReadOptions::new("types", &catalog));
    let diagnostics = outcome.diagnostics;
    let pipeline = outcome.pipeline.unwrap_or_else(|| panic!("{diagnostics:#?}"));
    types_for(&pipeline, &defaults()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn arguments(path: &str, args: &[&str]) -> Params {
    let mut out = params([("path", path)]);
    out.insert("args", Value::List(args.iter().map(|it| Value::from(*it)).collect()));
    out
}

#[tokio::test]
async fn the_exec_runner_conforms() {
    runner::run_all(&RunnerCase::posix(
        Arc::clone(&defaults().runners["exec"]),
        |script| arguments("/bin/sh", &["-c", script]),
        vec![params([]), arguments("no-such-program", &[]), arguments("/etc", &[])],
    ))
    .await;
}

#[tokio::test]
async fn the_shell_runner_conforms() {
    runner::run_all(&RunnerCase::posix(
        Arc::clone(&defaults().runners["shell"]),
        |script| params([("cmd", script)]),
        vec![
            params([]),
            params([("file", "absent")]),
            params([("cmd", "true"), ("shell", "no-such-shell")]),
        ],
    ))
    .await;
}

#[tokio::test]
async fn a_declared_runner_conforms() {
    let types = declared(
        r#"
        runner_type "sh" {
          params = ["script", "program"]
          run {
            path = "$program"
            args = ["-c", "$script"]
          }
        }
        "#,
    );
    runner::run_all(&RunnerCase::posix(
        Arc::clone(&types.runners["sh"]),
        |script| params([("program", "/bin/sh"), ("script", script)]),
        vec![params([]), params([("program", "no-such-program"), ("script", "true")])],
    ))
    .await;
}

#[tokio::test]
async fn a_declared_resource_type_conforms() {
    let types = declared(
        r#"
        resource_type "lines" {
          params = ["file"]
          check "shell" {
            cmd = <<-EOT
              last=$(wc -l < "$param_file")
              if [ -n "$version_line" ]; then first=$version_line; else first=$last; fi
              printf '['
              comma=
              while [ "$first" -le "$last" ]; do
                printf '%s{"line":"%d"}' "$comma" "$first"
                comma=,
                first=$((first + 1))
              done
              printf ']'
            EOT
          }
          pull "shell" { cmd = "sed -n \"$version_line\"p \"$param_file\" > line" }
          push "shell" {
            cmd = <<-EOT
              cat "$put_from" >> "$param_file"
              printf '{"line":"%d"}\n' "$(wc -l < "$param_file")"
            EOT
          }
        }
        "#,
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines");
    fs::write(&file, "one\ntwo\n").unwrap();
    let changed = file.clone();
    resource::run_all(&ResourceCase {
        resource: Arc::clone(&types.resource_types["lines"]),
        params: params([("file", text(&file))]),
        broken: vec![params([("file", "/nonexistent/lines")])],
        change: Some(Box::new(move || fs::write(&changed, "one\ntwo\nthree\n").unwrap())),
        pulled: Box::new(|dir| assert_eq!(fs::read_to_string(dir.join("line")).unwrap(), "two\n")),
        push: Some(Push {
            params: params([("from", "new")]),
            prepare: Box::new(|dir| fs::write(dir.join("new"), "more\n").unwrap()),
        }),
    })
    .await;
}

#[tokio::test]
async fn the_fs_resource_type_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("conf");
    fs::write(&file, "old").unwrap();
    let changed = file.clone();
    resource::run_all(&ResourceCase {
        resource: Arc::clone(&defaults().resource_types["fs"]),
        params: params([("path", text(&file))]),
        broken: vec![params([]), params([("path", "/nonexistent/file")])],
        change: Some(Box::new(move || fs::write(&changed, "new").unwrap())),
        pulled: Box::new(|dir| assert_eq!(fs::read_to_string(dir.join("conf")).unwrap(), "old")),
        push: Some(Push {
            params: params([("from", "made")]),
            prepare: Box::new(|dir| fs::write(dir.join("made"), "made").unwrap()),
        }),
    })
    .await;
}

fn git(directory: &Path, args: &[&str]) {
    let out = Command::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.org"])
        .args(args)
        .current_dir(directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A repository with a bare one behind it.
fn repository() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let bare = dir.path().join("bare.git");
    let copy = dir.path().join("copy");
    fs::create_dir_all(&bare).unwrap();
    fs::create_dir_all(&copy).unwrap();
    git(&bare, &["init", "-q", "--bare"]);
    git(&copy, &["init", "-q"]);
    git(&copy, &["remote", "add", "origin", text(&bare)]);
    commit(&copy, "old");
    (dir, bare, copy)
}

fn commit(copy: &Path, content: &str) {
    fs::write(copy.join("file"), content).unwrap();
    git(copy, &["add", "."]);
    git(copy, &["commit", "-q", "-m", content]);
    git(copy, &["push", "-q", "origin", "HEAD:main"]);
}

#[tokio::test]
async fn the_git_resource_type_conforms() {
    let (_dir, bare, copy) = repository();
    let (source, changed) = (bare.clone(), copy);
    let types = declared("resource_type \"git\" {\n  source = \"pikoci://git\"\n}\n");
    resource::run_all(&ResourceCase {
        resource: Arc::clone(&types.resource_types["git"]),
        params: params([("url", text(&bare)), ("branch", "main"), ("name", "app")]),
        broken: vec![params([]), params([("url", "/nonexistent/repository")])],
        change: Some(Box::new(move || commit(&changed, "new"))),
        pulled: Box::new(|dir| {
            assert_eq!(fs::read_to_string(dir.join("app/file")).unwrap(), "old");
        }),
        push: Some(Push {
            params: params([("repository", "app")]),
            prepare: Box::new(move |dir| {
                git(dir, &["clone", "-q", "-b", "main", text(&source), "app"]);
                fs::write(dir.join("app/file"), "pushed").unwrap();
                git(&dir.join("app"), &["commit", "-q", "-a", "-m", "pushed"]);
            }),
        }),
    })
    .await;
}

#[tokio::test]
async fn a_declared_service_type_conforms() {
    let types = declared(
        r#"
        service_type "sleeper" {
          params = ["program"]
          start "shell" {
            cmd = <<-EOT
              command -v "$param_program" > /dev/null || { echo "no $param_program" >&2; exit 1; }
              "$param_program" 1000000 > /dev/null 2>&1 &
              echo $! > pid
            EOT
          }
          ready_check "exec" {
            path     = "/bin/sh"
            args     = ["-c", "kill -0 $(cat pid)"]
            interval = "10ms"
            timeout  = "20s"
          }
          stop "shell" {
            cmd = <<-EOT
              if [ -f pid ]; then
                kill "$(cat pid)" 2> /dev/null || :
                rm pid
              fi
            EOT
          }
        }
        "#,
    );
    service::run_all(&ServiceCase {
        service: Arc::clone(&types.service_types["sleeper"]),
        params: params([("program", "sleep")]),
        broken: vec![params([("program", "no-such-program")])],
        running: Some(Box::new(|dir| dir.join("pid").exists())),
    })
    .await;
}

#[tokio::test]
async fn the_env_secret_type_conforms() {
    let it = EnvSecret::with_lookup(|name| (name == "TOKEN").then(|| "hunter2".into()));
    secret::run_all(&SecretCase {
        secret: Arc::new(it),
        params: params([("key", "TOKEN")]),
        fields: [("value".into(), "hunter2".into()), ("TOKEN".into(), "hunter2".into())].into(),
        missing: params([("key", "MISSING")]),
    })
    .await;
}

#[tokio::test]
async fn the_file_secret_type_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secrets.json");
    fs::write(&file, r#"{"password":"hunter2"}"#).unwrap();
    let broken = dir.path().join("broken.json");
    fs::write(&broken, r#"{"password":"hunter2""#).unwrap();
    for missing in [dir.path().join("missing.json"), broken] {
        secret::run_all(&SecretCase {
            secret: Arc::clone(&defaults().secret_types["file"]),
            params: params([("path", text(&file))]),
            fields: [("password".into(), "hunter2".into())].into(),
            missing: params([("path", text(&missing))]),
        })
        .await;
    }
}

#[tokio::test]
async fn a_declared_secret_type_conforms() {
    let types = declared(
        r#"
        secret_type "store" {
          get "shell" {
            cmd = <<-EOT
              [ "$param_path" = db ] || { echo "nothing at $param_path" >&2; exit 1; }
              echo '{"password":"hunter2"}'
            EOT
          }
        }
        "#,
    );
    secret::run_all(&SecretCase {
        secret: Arc::clone(&types.secret_types["store"]),
        params: params([("path", "db")]),
        fields: [("password".into(), "hunter2".into())].into(),
        missing: params([("path", "nothing")]),
    })
    .await;
}

#[tokio::test]
async fn a_declared_notification_type_conforms() {
    let types = declared(
        r#"
        notification_type "log" {
          params = ["file"]
          notify "shell" { cmd = "echo \"$notify_message\" >> \"$param_file\"" }
        }
        "#,
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    let log = file.clone();
    notification::run_all(&NotificationCase {
        notification: Arc::clone(&types.notification_types["log"]),
        params: params([("file", text(&file))]),
        notify: params([("message", "it is done")]),
        arrived: Box::new(move || {
            let lines = fs::read_to_string(&log).unwrap_or_default();
            lines.lines().filter(|line| *line == "it is done").count()
        }),
        broken: vec![params([("file", "/nonexistent/log")])],
    })
    .await;
}
