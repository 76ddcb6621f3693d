//! Declared types over a real shell.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::{Resolve, StepRun};
use pikoci_core::params::{Attributes, Params};
use pikoci_core::pipeline::{
    CommandBlock, Location, NotificationTypeDecl, ReadyCheck, ResourceTypeDecl, SecretTypeDecl,
    ServiceTypeDecl, TypeOrigin,
};
use pikoci_core::secret::ExposeSecret;
use pikoci_core::traits::{Readiness, TypeErrorKind};
use pikoci_core::value::Deferred;
use pikoci_core::{
    Exit, NotificationType, Pipeline, ResourceType, Runner, SecretType, ServiceType, TypeError,
    Value, Version,
};

use super::*;
use crate::test_support::{Bench, params, shell};

fn runners() -> Runners {
    Arc::new(crate::defaults().runners)
}

fn resource(check: &str, pull: &str, push: &str) -> DeclaredResource {
    let decl = ResourceTypeDecl {
        check: Some(shell(check)),
        pull: Some(shell(pull)),
        push: Some(shell(push)),
        ..ResourceTypeDecl::default()
    };
    DeclaredResource::new("x", decl, runners())
}

fn refs(refs: &[&str]) -> Vec<Version> {
    refs.iter().map(|it| Version::from_pairs([("ref", *it)])).collect()
}

#[tokio::test]
async fn a_check_is_read_from_all_of_stdout_or_its_last_array() {
    let table: &[(&str, &[&str])] = &[
        (r#"echo '[{"ref":"a"},{"ref":"b"}]'"#, &["a", "b"]),
        (r#"printf ' \n [{"ref":"a"}\n,\n{"ref":"b"}] \n\n'"#, &["a", "b"]),
        (r#"echo fetching; echo '[{"ref":"a"}]'"#, &["a"]),
        (r#"echo '[{"ref":"a"}]'; echo done"#, &["a"]),
        (r#"echo warning >&2; echo '[{"ref":"a"}]'"#, &["a"]),
        ("echo '[]'", &[]),
    ];
    for (script, expected) in table {
        let mut bench = Bench::new("check x");
        let found = resource(script, "", "").check(&mut bench.step(), &params(&[]), None).await;
        assert_eq!(found, Ok(refs(expected)), "{script}");
    }
}

#[tokio::test]
async fn a_check_that_says_nothing_useful_is_an_error_that_shows_it() {
    let table = [
        ("true", "printed nothing"),
        ("echo '{\"ref\":\"a\"}'", "printed `{\"ref\":\"a\"}`"),
        ("echo hello; echo world", "printed `hello\\nworld`"),
        ("echo '[{\"ref\":\"\"}]'", "`{\"ref\":\"\"}` where a version was expected"),
        ("echo '[{\"a\":null,\"b\":{\"c\":\" \"}}]'", "where a version was expected"),
        ("echo '[{}]'", "`{}` where a version was expected"),
        ("echo '[\"a\"]'", "`\"a\"` where a version was expected"),
        ("echo no such branch >&2; exit 3", "`check` exited with code 3: `no such branch`"),
        (
            "echo 'fatal: no repository' >&2; echo 'and it exists.' >&2; exit 128",
            "`check` exited with code 128: `fatal: no repository`",
        ),
        ("kill -9 $$", "`check` was ended by signal 9"),
        ("head -c 5000000 /dev/zero", "printed more than 4 MiB"),
    ];
    for (script, expected) in table {
        let mut bench = Bench::new("check x");
        let error = resource(script, "", "").check(&mut bench.step(), &params(&[]), None).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind, TypeErrorKind::Errored, "{script}");
        assert!(error.message.contains(expected), "{script}: {}", error.message);
    }
}

#[tokio::test]
async fn commands_see_what_the_method_was_called_with_as_variables() {
    let show = "env | grep -E '^(param|version|put|notify)_' | sort";
    let it = resource("", show, &format!("{show}; echo '{{\"ref\":\"new\"}}'"));
    let version: Version = serde_json::from_str(r#"{"ref":"a","by":{"na-me":["x"]}}"#).unwrap();
    let mut bench = Bench::new("get x");
    let given = params(&[("url", "a b;$(id)")]);
    it.pull(&mut bench.step(), &given, &version).await.unwrap();
    assert_eq!(bench.io.text(), "param_url=a b;$(id)\nversion_by_na_me_0=x\nversion_ref=a\n");
    let mut bench = Bench::new("put x");
    let made = it.push(&mut bench.step(), &given, &params(&[("file", "f")])).await.unwrap();
    assert_eq!(made, Some(Version::from_pairs([("ref", "new")])));
    assert!(
        bench.io.text().starts_with("param_url=a b;$(id)\nput_file=f\n"),
        "{:?}",
        bench.io.text()
    );

    let mut bench = Bench::new("notify x");
    let decl = NotificationTypeDecl { notify: Some(shell(show)), ..Default::default() };
    let it = DeclaredNotification::new("x", decl, runners());
    it.notify(&mut bench.step(), &given, &params(&[("message", "m")])).await.unwrap();
    assert_eq!(bench.io.text(), "notify_message=m\nparam_url=a b;$(id)\n");
}

#[tokio::test]
async fn a_refused_push_failed_and_a_broken_pull_errored() {
    let it = resource("", "exit 4", "exit 4");
    let mut bench = Bench::new("x");
    let version = &refs(&["a"])[0];
    let error = it.pull(&mut bench.step(), &params(&[]), version).await.unwrap_err();
    assert_eq!((error.kind, error.exit_code), (TypeErrorKind::Errored, Some(4)));
    let error = it.push(&mut bench.step(), &params(&[]), &params(&[])).await.unwrap_err();
    assert_eq!((error.kind, error.exit_code), (TypeErrorKind::Failed, Some(4)));
}

#[tokio::test]
async fn a_push_may_tell_its_version_or_not() {
    let table = [
        ("true", None),
        ("echo pushed", None),
        ("echo x; echo '{\"ref\":\"a\"}'", Some("a")),
        ("echo '[{\"ref\":\"a\"},{\"ref\":\"b\"}]'", Some("b")),
        ("echo '{\"ref\":\"\"}'", None),
    ];
    for (script, expected) in table {
        let mut bench = Bench::new("put x");
        let it = resource("", "", script);
        let made = it.push(&mut bench.step(), &params(&[]), &params(&[])).await;
        assert_eq!(made, Ok(expected.map(|it| refs(&[it]).remove(0))), "{script}");
    }
}

#[tokio::test]
async fn a_secret_is_read_and_its_output_never_shown() {
    let secret = |script: &str| {
        let decl = SecretTypeDecl {
            get: Some(shell(script)),
            attributes: [("address".to_owned(), Value::from("here"))].into(),
            ..SecretTypeDecl::default()
        };
        DeclaredSecret::new("x", decl, runners())
    };
    let mut bench = Bench::new("task x");
    let it = secret(
        r#"echo hunter0; echo hunter1 >&2; echo "{\"a\":\"$param_path@$param_address\",\"n\":1}""#,
    );
    let fields = it.get(&mut bench.step(), &params(&[("path", "p")])).await.unwrap();
    let plain: Vec<_> =
        fields.iter().map(|(key, value)| (key.as_str(), value.expose_secret())).collect();
    assert_eq!(plain, [("a", "p@here"), ("n", "1")]);
    assert_eq!(bench.io.text(), "");

    let it = secret("echo hunter2");
    let error = it.get(&mut bench.step(), &params(&[])).await.unwrap_err();
    assert!(!error.message.contains("hunter2"), "{}", error.message);
    let it = secret("echo hunter2; echo denied >&2; exit 1");
    let error = it.get(&mut bench.step(), &params(&[])).await.unwrap_err();
    assert_eq!(error.message, "`get` exited with code 1");
    assert_eq!(bench.io.text(), "denied\n");
}

#[tokio::test]
async fn a_service_is_ready_when_its_check_exits_with_zero() {
    let decl = ServiceTypeDecl {
        start: Some(shell("exit $param_start")),
        ready_check: Some(ReadyCheck {
            command: shell("echo almost; exit $param_ready"),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
        }),
        stop: Some(shell("exit $param_stop")),
        ..ServiceTypeDecl::default()
    };
    let it = DeclaredService::new("x", decl, runners());
    assert_eq!(it.ready_policy().unwrap().timeout, Duration::from_secs(2));
    let mut bench = Bench::new("x:start");
    let fine = params(&[("start", "0"), ("ready", "0"), ("stop", "0")]);
    let broken = params(&[("start", "1"), ("ready", "1"), ("stop", "1")]);
    it.start(&mut bench.step(), &fine).await.unwrap();
    assert_eq!(it.ready(&mut bench.step(), &fine).await, Ok(Readiness::Ready));
    it.stop(&mut bench.step(), &fine).await.unwrap();
    let error = it.start(&mut bench.step(), &broken).await.unwrap_err();
    assert_eq!(error, TypeError::errored("`start` exited with code 1").with_exit_code(1));
    let ready = it.ready(&mut bench.step(), &broken).await;
    assert_eq!(ready, Ok(Readiness::NotYet("exited with code 1: `almost`".into())));
    assert!(it.stop(&mut bench.step(), &broken).await.is_err());
}

#[tokio::test]
async fn a_cancelled_command_is_told_as_cancelled() {
    let mut bench = Bench::new("check x");
    bench.cancel.cancel();
    let error = resource("sleep 60", "", "").check(&mut bench.step(), &params(&[]), None).await;
    assert_eq!(error, Err(TypeError::cancelled()));
}

/// A runner that takes `cmd` and `flavour` and shows what it got.
#[derive(Debug)]
struct CmdRunner;

#[async_trait]
impl Runner for CmdRunner {
    fn params(&self) -> ParamSpec {
        ParamSpec::only(["cmd!", "flavour"])
    }

    async fn run(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Exit, TypeError> {
        let extra = step.context.env.0.get("EXTRA").map_or("", String::as_str);
        let flavour = params.text("flavour").unwrap();
        let shown = format!("{flavour}|{extra}|{}", params.text("cmd").unwrap());
        step.io.output(pikoci_core::event::OutputStream::Stdout, shown.into()).await;
        Ok(Exit::Code(0))
    }
}

#[tokio::test]
async fn another_runner_gets_a_program_and_its_arguments_as_one_command() {
    let args = ["a b", "$WORKDIR/x", "$A", "$param_p", "-c", "$WORKDIR"];
    let args = args.into_iter().map(Value::from).collect();
    let exec = CommandBlock {
        runner: "exec".into(),
        params: [
            ("path".to_owned(), Value::from("make")),
            ("env".to_owned(), Value::Object([("EXTRA".to_owned(), "e".into())].into())),
            ("args".to_owned(), Value::List(args)),
        ]
        .into(),
        location: Location::default(),
    };
    let instead = CommandBlock {
        runner: "cmd".into(),
        params: [("flavour".to_owned(), Value::from("sweet"))].into(),
        location: Location::default(),
    };
    let decl = ResourceTypeDecl {
        pull: Some(exec),
        push: Some(shell("true")),
        runner: Some(instead),
        ..ResourceTypeDecl::default()
    };
    let mut runners = crate::defaults().runners;
    runners.insert("cmd".into(), Arc::new(CmdRunner));
    let it = DeclaredResource::new("x", decl, Arc::new(runners));
    let mut bench = Bench::new("get x");
    it.pull(&mut bench.step(), &params(&[("p", "v")]), &refs(&["a"])[0]).await.unwrap();
    assert_eq!(
        bench.io.text(),
        r#"sweet|e|'make' 'a b' "${WORKDIR}"'/x' '$A' "${param_p}" '-c' '$WORKDIR'"#
    );
    // What was a `cmd` stays one.
    let mut bench = Bench::new("put x");
    it.push(&mut bench.step(), &params(&[]), &params(&[])).await.unwrap();
    assert_eq!(bench.io.text(), "sweet||true");
}

#[tokio::test]
async fn a_missing_runner_or_command_is_named() {
    let mut block = shell("true");
    block.runner = "nomad".into();
    let decl = ResourceTypeDecl { check: Some(block), ..ResourceTypeDecl::default() };
    let it = DeclaredResource::new("x", decl, runners());
    let mut bench = Bench::new("check x");
    let error = it.check(&mut bench.step(), &params(&[]), None).await.unwrap_err();
    assert_eq!(error.message, "resource type `x` runs on `nomad`, which is no known runner");
    let error = it.push(&mut bench.step(), &params(&[]), &params(&[])).await.unwrap_err();
    assert_eq!(error.message, "resource type `x` has no `push` command");
}

/// `before`, the secret of the variable `token`, `after`.
fn with_token(before: &str, after: &str) -> Value {
    let secret = Value::Deferred(Box::new(Deferred::Secret { variable: "token".into() }));
    Value::Deferred(Box::new(Deferred::Template(vec![before.into(), secret, after.into()])))
}

/// Knows the secret of the variable `token`.
#[derive(Debug)]
struct Token(&'static str);

#[async_trait]
impl Resolve for Token {
    async fn resolve(
        &self,
        attributes: &Attributes,
        _step: &mut StepRun<'_>,
    ) -> Result<Params, TypeError> {
        fn put_in(value: &Value, token: &str) -> Value {
            let text = |it: &Value| put_in(it, token).to_text().unwrap();
            match value {
                Value::List(items) => {
                    Value::List(items.iter().map(|it| put_in(it, token)).collect())
                }
                Value::Deferred(deferred) => match deferred.as_ref() {
                    Deferred::Template(parts) => parts.iter().map(text).collect::<String>().into(),
                    _ => token.into(),
                },
                other => other.clone(),
            }
        }
        Ok(attributes.iter().map(|(name, it)| (name.clone(), put_in(it, self.0))).collect())
    }
}

#[tokio::test]
async fn a_secret_in_a_command_is_put_in_when_it_runs() {
    let mut block = shell("");
    block.params.insert("cmd".into(), with_token("printf '[{\"ref\":\"%s\"}]' '", "'"));
    let decl = ResourceTypeDecl { check: Some(block), ..ResourceTypeDecl::default() };
    let it = DeclaredResource::new("x", decl, runners());
    let mut bench = Bench::new("check x");
    let error = it.check(&mut bench.step(), &params(&[]), None).await.unwrap_err();
    assert!(
        error.message.starts_with("resource type `x`: variable `token` is a secret"),
        "{}",
        error.message
    );
    // What looks like a name in a secret is none.
    let token = Token("$HOME s3cret");
    let mut step = bench.step().with_secrets(&token);
    let found = it.check(&mut step, &params(&[]), None).await;
    assert_eq!(found, Ok(refs(&["$HOME s3cret"])));
}

#[tokio::test]
async fn a_script_with_a_secret_never_becomes_an_argument() {
    let script = "printf '%s|%s|%s|' \"$#\" \"${PIKOCI_SCRIPT-unset}\" \"$X\"\n\
                  cat /proc/$$/cmdline | tr '\\0' ' '; false; echo not reached # ";
    let mut block = shell("");
    block.params.insert("cmd".into(), with_token(script, ""));
    let instead = CommandBlock {
        runner: "exec".into(),
        params: [("env".to_owned(), Value::Object([("X".to_owned(), "x".into())].into()))].into(),
        location: Location::default(),
    };
    let decl = ResourceTypeDecl { pull: Some(block), runner: Some(instead), ..Default::default() };
    let it = DeclaredResource::new("x", decl, runners());
    let mut bench = Bench::new("get x");
    let token = Token("s3cret");
    let mut step = bench.step().with_secrets(&token);
    let error = it.pull(&mut step, &params(&[]), &refs(&["a"])[0]).await.unwrap_err();
    assert_eq!(error.exit_code, Some(1), "{error}: it runs with -e");
    let shown = bench.io.text();
    assert!(shown.starts_with("0|unset|x|/bin/sh -ec "), "{shown}");
    assert!(!shown.contains("s3cret") && !shown.contains("not reached"), "{shown}");
}

#[tokio::test]
async fn an_unavailable_type_says_so_and_stops_in_silence() {
    let types = crate::defaults();
    let mut bench = Bench::new("postgres:start");
    let service = &types.service_types["postgresql"];
    let error = service.start(&mut bench.step(), &params(&[])).await.unwrap_err();
    assert_eq!(
        error.message,
        "`pikoci://postgresql` is not in this version of pikoci yet; declare a `service_type` \
         with `start` and `stop` commands"
    );
    service.stop(&mut bench.step(), &params(&[])).await.unwrap();
}

#[test]
fn declared_types_go_over_built_in_ones_and_may_stand_for_them() {
    let built_in = |name: &str| TypeOrigin { built_in: Some(name.into()), ..Default::default() };
    let decl = |origin| ResourceTypeDecl { origin, ..Default::default() };
    let pipeline = Pipeline {
        resource_types: BTreeMap::from([
            ("fs".to_owned(), decl(TypeOrigin::default())),
            ("clock".to_owned(), decl(built_in("cron"))),
        ]),
        ..Pipeline::default()
    };
    let base = crate::defaults();
    let types = types_for(&pipeline, &base).unwrap();
    assert!(Arc::ptr_eq(&types.resource_types["clock"], &base.resource_types["cron"]));
    assert!(!Arc::ptr_eq(&types.resource_types["fs"], &base.resource_types["fs"]));
    let pipeline = Pipeline {
        resource_types: BTreeMap::from([("x".to_owned(), decl(built_in("x")))]),
        ..Pipeline::default()
    };
    let error = types_for(&pipeline, &base).unwrap_err();
    assert!(error.to_string().ends_with("`pikoci://x` is not in this program"), "{error}");
}

#[test]
fn a_type_of_the_language_that_the_pipeline_does_not_hold_is_told() {
    let text = "resource \"git\" \"app\" { params { url = \"x\" } }";
    let mut pipeline = crate::test_support::pipeline(text);
    let base = crate::defaults();
    assert!(types_for(&pipeline, &base).unwrap().resource_types.contains_key("git"));
    pipeline.resource_types.clear();
    let error = types_for(&pipeline, &base).unwrap_err().to_string();
    assert!(error.starts_with("pipeline.hcl:1:1: resource type `git` is defined in"), "{error}");
}

#[tokio::test]
async fn a_declared_runner_sees_what_the_base_lets_commands_see() {
    let text = r#"runner_type "own" { run { path = "/usr/bin/env" } }"#;
    let pipeline = crate::test_support::pipeline(text);
    for (policy, sees_path) in
        [(EnvironmentPolicy::default(), true), (EnvironmentPolicy::nothing(), false)]
    {
        let clock = Arc::new(pikoci_core::clock::SystemClock::new());
        let base = crate::defaults_with(clock, Arc::new(policy));
        let types = types_for(&pipeline, &base).unwrap();
        let mut bench = Bench::new("task t");
        types.runners["own"].run(&mut bench.step(), &params(&[])).await.unwrap();
        let shown = bench.io.text();
        assert_eq!(shown.lines().any(|it| it.starts_with("PATH=")), sees_path, "{shown}");
    }
}
