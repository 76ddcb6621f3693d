//! What steps see, export and hide: variables, parameters, secrets, files.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::check_invariants;
use crate::catalog::ParamSpec;
use crate::context::StepRun;
use crate::event::{EventKind, OutputStream};
use crate::params::{Attributes, Params};
use crate::pipeline::{SecretRef, SecretTypeDecl, Step, StepKind, Task, Variable, VariableType};
use crate::secret::SecretFields;
use crate::status::Status;
use crate::testkit::plan::{World, get, job, put, service, task};
use crate::testkit::{End, Script};
use crate::traits::{Exit, Runner, SecretType, TypeError};
use crate::value::{Deferred, Value};
use crate::version::Version;

fn with(mut step: Step, change: impl FnOnce(&mut Task)) -> Step {
    if let StepKind::Task(task) = &mut step.kind {
        change(task);
    }
    step
}

fn secret(variable: &str) -> Value {
    Value::Deferred(Box::new(Deferred::Secret { variable: variable.into() }))
}

fn template(parts: Vec<Value>) -> Value {
    Value::Deferred(Box::new(Deferred::Template(parts)))
}

/// Declares a variable that the field `key` of the secret at `path` backs.
fn declare(world: &mut World, name: &str, path: Value, key: Option<&str>) {
    world.pipeline.variables.insert(
        name.into(),
        Variable {
            kind: VariableType::String,
            description: None,
            value: None,
            secret: Some(SecretRef {
                secret_type: "scripted".into(),
                params: Attributes::from([("path".into(), path)]),
                key: key.map(Into::into),
            }),
            location: Default::default(),
        },
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_sees_the_variables_of_its_build() {
    let mut world = World::new().resource("my-app", &[]);
    world.inputs.insert(
        "my-app".into(),
        Version(BTreeMap::from([
            ("ref".to_owned(), serde_json::json!("v1")),
            ("tags".to_owned(), serde_json::json!(["a", {"b": 2}])),
        ])),
    );
    world.run(job("unit", vec![get("my-app"), task("a")])).await;
    let env = &world.calls.all()[1].env;
    for (name, value) in [
        ("CI", "true"),
        ("PIKOCI", "true"),
        ("BUILD_NUMBER", "7"),
        ("BUILD_JOB_NAME", "unit"),
        ("BUILD_PIPELINE_NAME", "app"),
        ("BUILD_TEAM_NAME", "main"),
        ("BUILD_ATTEMPT", "1"),
        ("BUILD_ID", "00000000-0000-0000-0000-000000000001"),
        ("WORKDIR", "/memory/work"),
        ("GET_MY_APP_REF", "v1"),
        ("GET_MY_APP_TAGS_0", "a"),
        ("GET_MY_APP_TAGS_1_B", "2"),
    ] {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(env.contains_key("PIKOCI_OUTPUT"));
    assert!(!env.contains_key("BUILD_URL") && !env.contains_key("CACHE_DIR"));
}

#[tokio::test(start_paused = true)]
async fn a_task_has_its_own_variables_and_directory() {
    let world = World::new();
    world.workspace.put("src/app/main.rs", "");
    let step = with(task("a"), |task| {
        task.env.insert("WHO".into(), "$BUILD_JOB_NAME ${BUILD_NUMBER} $NOPE".into());
        task.dir = Some("src/${WHAT}app".into());
    });
    let result = world.run(job("j", vec![step])).await;
    assert_eq!(
        result.reason.as_deref(),
        Some(
            "`task a` errored: the task cannot run in `src/${WHAT}app`: there is no directory `src/${WHAT}app`"
        )
    );
    let world = World::new();
    world.workspace.put("src/7/main.rs", "");
    let step = with(task("a"), |task| {
        task.env.insert("WHO".into(), "$BUILD_JOB_NAME ${BUILD_NUMBER} $NOPE".into());
        task.dir = Some("src/${BUILD_NUMBER}".into());
    });
    assert_eq!(world.run(job("j", vec![step])).await.status, Status::Succeeded);
    let call = &world.calls.all()[0];
    assert_eq!(call.env["WHO"], "j 7 $NOPE");
    assert_eq!(call.workdir.to_str(), Some("/memory/work/src/7"));
    check_invariants(&world);
}

#[tokio::test(start_paused = true)]
async fn inputs_must_be_there_before_and_outputs_after() {
    for (input, output, status, reason) in [
        ("there", "made", Status::Succeeded, None),
        (
            "nope",
            "made",
            Status::Errored,
            Some("`task a` errored: the declared input `nope` does not exist"),
        ),
        (
            "there",
            "nope",
            Status::Failed,
            Some("`task a` failed: the declared output `nope` does not exist"),
        ),
        (
            "../x",
            "made",
            Status::Errored,
            Some("`task a` errored: `../x` cannot be looked at: `../x` leads out of the workspace"),
        ),
    ] {
        let world =
            World::new().runner(|it| it.on("a", [Script::ok().creates("made").exports("k=v")]));
        world.workspace.put("there/file", "");
        let step = with(task("a"), |task| {
            task.inputs = vec![input.into()];
            task.outputs = vec![output.into()];
        });
        let result = world.run(job("j", vec![step])).await;
        check_invariants(&world);
        assert_eq!((result.status, result.reason.as_deref()), (status, reason));
        let exported = world
            .events
            .all()
            .iter()
            .any(|it| matches!(it.kind, EventKind::VariableExported { .. }));
        assert_eq!(exported, status == Status::Succeeded);
    }
}

#[tokio::test(start_paused = true)]
async fn exports_are_read_on_success_only_and_must_be_right() {
    let world = World::new().runner(|it| {
        it.on(
            "a",
            [
                Script::exit(1).exports("k=bad\n"),
                Script::ok().exports("my-key=1\nlong<<E\nx\ny\nE\n"),
            ],
        )
    });
    let result = world.run(job("j", vec![task("a").tried(2), task("b")])).await;
    check_invariants(&world);
    assert_eq!(result.status, Status::Succeeded);
    let env = world.calls.all()[2].env.clone();
    assert_eq!((env["TASK_A_MY_KEY"].as_str(), env["TASK_A_LONG"].as_str()), ("1", "x\ny"));
    assert!(!env.contains_key("TASK_A_K"));

    for (text, reason) in [
        (
            b"k=1\noops\n".to_vec(),
            "`task a` errored: line 2 of `$PIKOCI_OUTPUT` is neither `KEY=VALUE` nor `KEY<<END`",
        ),
        (
            vec![b'x'; (1 << 20) + 7],
            "`task a` errored: more than 1 MiB was written to `$PIKOCI_OUTPUT`",
        ),
    ] {
        let world = World::new().runner(|it| it.on("a", [Script::ok().exports(text)]));
        let result = world.run(job("j", vec![task("a")])).await;
        check_invariants(&world);
        assert_eq!(result.reason.as_deref(), Some(reason));
    }
}

#[tokio::test(start_paused = true)]
async fn names_are_expanded_where_the_engine_expands_them() {
    let world = World::new()
        .resource("app", &[("uri", "x/$BUILD_NUMBER".into()), ("over", "a".into())])
        .service_type("db", |it| it);
    let mut put = put("app");
    if let StepKind::Put(put) = &mut put.kind {
        put.params.insert("text".into(), "${GET_APP_REF}-$BUILD_ID$".into());
    }
    let mut get = get("app");
    if let StepKind::Get(get) = &mut get.kind {
        get.params.insert("over".into(), Value::List(vec!["$BUILD_JOB_NAME".into(), 3.into()]));
    }
    let mut db = service("db");
    if let StepKind::Service(service) = &mut db.kind {
        service.params.insert("name".into(), "db-$BUILD_NUMBER".into());
    }
    let run = with(task("a"), |task| {
        task.run.params.insert("args".into(), "$BUILD_NUMBER".into());
    });
    world.run(job("j", vec![get, put, db, run])).await;
    let calls = world.calls.all();
    assert_eq!(
        (calls[0].params["uri"].as_str(), calls[0].params["over"].as_str()),
        ("x/7", "[\"j\",3]")
    );
    assert_eq!(calls[1].params["text"], "v1-00000000-0000-0000-0000-000000000001$");
    assert_eq!(calls[2].params["name"], "db-7");
    let task = calls.iter().find(|it| it.what == "run").unwrap();
    assert_eq!(task.params["args"], "$BUILD_NUMBER", "a runner expands for itself");
}

#[tokio::test(start_paused = true)]
async fn what_a_version_holds_is_not_expanded_again() {
    let mut world =
        World::new().resource("app", &[("uri", "$GET_EVIL_REF".into())]).resource("evil", &[]);
    world.inputs.insert("evil".into(), Version::from_pairs([("ref", "$BUILD_NUMBER ${CI}")]));
    world.run(job("j", vec![get("evil"), put("app")])).await;
    assert_eq!(world.calls.all()[1].params["uri"], "$BUILD_NUMBER ${CI}");
}

#[tokio::test(start_paused = true)]
async fn a_cache_is_one_directory_for_each_resource() {
    let mut world = World::new().resource("app", &[]);
    world.pipeline.resources[0].cache = true;
    world.run(job("j", vec![get("app"), task("a")])).await;
    let calls = world.calls.all();
    assert_eq!(calls[0].env["CACHE_DIR"], "/memory/cache/main.app.scripted.app");
    assert!(!calls[1].env.contains_key("CACHE_DIR"));
}

#[tokio::test(start_paused = true)]
async fn secrets_are_put_in_at_every_use_and_shown_nowhere() {
    let mut world = World::new()
        .secret_type(|it| {
            it.holds("ci/pw", "value", "sup3r-s3cret").holds("ci/pw", "user", "bob-the-user")
        })
        .runner(|it| {
            it.on(
                "a",
                [Script::ok()
                    .says("the password is sup3r")
                    .says("-s3cret, base64 c3VwM3ItczNjcmV0")
                    .exports("pw=sup3r-s3cret\n")],
            )
            .on("b", [Script::new(End::Error("cannot log in with sup3r-s3cret".into()))])
        })
        .resource("app", &[("password", template(vec!["pw:$BUILD_NUMBER:".into(), secret("pw")]))])
        .resource_type(|mut it| {
            it.metadata.insert("auth".into(), "sup3r-s3cret".into());
            it.made = Some(Version::from_pairs([("token", "sup3r-s3cret")]));
            it
        });
    declare(&mut world, "pw", "ci/pw".into(), Some("value"));
    let step = with(task("a"), |task| {
        task.env.insert("PW".into(), secret("pw"));
        task.run.params.insert("arg".into(), secret("pw"));
    });
    let result = world.run(job("j", vec![get("app"), step, put("app"), task("b")])).await;
    check_invariants(&world);
    assert_eq!(result.reason.as_deref(), Some("`task b` errored: cannot log in with ***"));
    let calls = world.calls.all();
    assert_eq!(calls[1].params["password"], "pw:7:sup3r-s3cret");
    let run = calls.iter().find(|it| it.what == "run").unwrap();
    assert_eq!(
        (run.env["PW"].as_str(), run.params["arg"].as_str()),
        ("sup3r-s3cret", "sup3r-s3cret")
    );
    assert_eq!(world.output("1"), "the password is ***, base64 ***");
    let all = serde_json::to_string(&world.events.all()).unwrap();
    assert!(!all.contains("s3cret"), "{all}");
    let exported: Vec<String> = world
        .events
        .all()
        .into_iter()
        .filter_map(|it| match it.kind {
            EventKind::VariableExported { name, value, .. } => Some(format!("{name}={value}")),
            _ => None,
        })
        .collect();
    assert_eq!(exported, ["TASK_A_PW=***"]);
    let fetched = calls.iter().filter(|it| it.what == "get").count();
    assert_eq!(fetched, 4, "once for each use in a step's parts, nothing is kept between steps");
}

#[tokio::test(start_paused = true)]
async fn the_journal_holds_no_secret() {
    let mut world = World::new()
        .secret_type(|it| it.holds("ci/pw", "value", "sup3r-s3cret"))
        .runner(|it| it.on("a", [Script::ok().exports("pw=sup3r-s3cret\nx=plain\n")]))
        .service_type("db", |it| it);
    declare(&mut world, "pw", "ci/pw".into(), None);
    let first = with(task("a"), |task| {
        task.env.insert("PW".into(), secret("pw"));
    });
    let mut db = service("db");
    if let StepKind::Service(service) = &mut db.kind {
        service.params.insert("password".into(), secret("pw"));
    }
    world.run(job("j", vec![first, db])).await;
    check_invariants(&world);
    let stop = world.calls.all().into_iter().find(|it| it.what == "stop").unwrap();
    assert_eq!(stop.params["password"], "sup3r-s3cret");
    let record = &world.journal.records()[0];
    assert_eq!(record.env["TASK_A_X"], "plain");
    assert!(!record.env.contains_key("TASK_A_PW"));
    assert!(!serde_json::to_string(record).unwrap().contains("s3cret"));
}

#[tokio::test(start_paused = true)]
async fn the_attributes_of_a_secret_type_go_with_every_request() {
    let mut world = World::new().secret_type(|it| it.holds("x", "value", "one-secret"));
    declare(&mut world, "pw", "x".into(), None);
    world.pipeline.secret_types.insert(
        "scripted".into(),
        SecretTypeDecl {
            attributes: Attributes::from([
                ("address".into(), "there".into()),
                ("path".into(), "default".into()),
            ]),
            ..SecretTypeDecl::default()
        },
    );
    let step = with(task("a"), |task| {
        task.env.insert("PW".into(), secret("pw"));
    });
    assert_eq!(world.run(job("j", vec![step])).await.status, Status::Succeeded);
    let get = &world.calls.all()[0];
    assert_eq!((get.params["address"].as_str(), get.params["path"].as_str()), ("there", "x"));
}

#[tokio::test(start_paused = true)]
async fn secrets_may_stand_behind_each_other_but_not_in_a_circle() {
    let use_of = |name: &str| {
        let value = secret(name);
        with(task("a"), move |task| {
            task.env.insert("PW".into(), value);
        })
    };
    for (count, works) in [(10, true), (11, false)] {
        let mut world = World::new().secret_type(|mut it| {
            for n in 0..count {
                it = it.holds(&format!("path-{n}"), "value", &format!("path-{}", n + 1));
            }
            it
        });
        declare(&mut world, "v0", "path-0".into(), None);
        for n in 1..count {
            declare(&mut world, &format!("v{n}"), secret(&format!("v{}", n - 1)), None);
        }
        let result = world.run(job("j", vec![use_of(&format!("v{}", count - 1))])).await;
        assert_eq!(result.status == Status::Succeeded, works, "{count}: {:?}", result.reason);
        if works {
            let run = world.calls.all().pop().unwrap();
            assert_eq!(run.env["PW"], "path-10");
        } else {
            assert!(result.reason.unwrap().contains("more than 10 secrets"));
        }
    }
    let mut world = World::new();
    declare(&mut world, "a", secret("b"), None);
    declare(&mut world, "b", secret("a"), None);
    let result = world.run(job("j", vec![use_of("a")])).await;
    assert_eq!(
        result.reason.as_deref(),
        Some("`task a` errored: variable `a`: its secret needs itself: a -> b -> a")
    );
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_missing_errs_and_says_what_there_is() {
    for (path, key, reason) in [
        ("none", Some("value"), "there is no secret at `none`"),
        ("two", Some("c"), "its secret has no field `c`; it has `a`, `b`"),
        ("two", None, "its secret has several fields; set `key` to one of `a`, `b`"),
    ] {
        let mut world =
            World::new().secret_type(|it| it.holds("two", "a", "1").holds("two", "b", "2"));
        declare(&mut world, "pw", path.into(), key);
        let step = with(task("a"), |task| {
            task.env.insert("PW".into(), secret("pw"));
        });
        let result = world.run(job("j", vec![step])).await;
        check_invariants(&world);
        assert_eq!(result.reason, Some(format!("`task a` errored: variable `pw`: {reason}")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_input_value_errs_before_the_first_step() {
    let mut world = World::new();
    world.input_values.insert("nope".into(), "1".into());
    let result = world.run(job("j", vec![task("a")])).await;
    check_invariants(&world);
    assert_eq!(result.reason.as_deref(), Some("job `j` takes no input, but `nope` was given"));
    assert_eq!(world.steps(), ["task a skipped"]);
}

#[tokio::test(start_paused = true)]
async fn gets_without_a_version_take_what_a_check_finds() {
    let refs = |refs: &[&str]| refs.iter().map(|it| Version::from_pairs([("ref", *it)])).collect();
    let mut world = World::new()
        .resource("app", &[("uri", "$BUILD_JOB_NAME".into())])
        .resource("lib", &[])
        .resource_type(|mut it| {
            it.versions = refs(&["v1", "v2"]);
            it
        });
    world.inputs.remove("app");
    world.check_missing = true;
    let result = world.run(job("j", vec![get("app"), get("lib"), task("a")])).await;
    check_invariants(&world);
    assert_eq!(result.status, Status::Succeeded);
    assert_eq!(world.steps()[0], "check app succeeded");
    let calls = world.calls.all();
    assert_eq!((calls[0].what, calls[0].params["uri"].as_str()), ("check", "j"));
    assert_eq!(
        (calls[3].env["GET_APP_REF"].as_str(), calls[3].env["GET_LIB_REF"].as_str()),
        ("v2", "v1")
    );
    let resolved = world.events.all().into_iter().find_map(|it| match it.kind {
        EventKind::InputsResolved { inputs } => Some(inputs.len()),
        _ => None,
    });
    assert_eq!(resolved, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_or_finds_nothing_errs_the_build() {
    for (script, reason) in [
        (Script::exit(1), "`check app` errored: exit code 1"),
        (Script::ok(), "resource `scripted.app` has no version yet"),
        (Script::new(End::Panic("p")), "`check app` errored: the implementation panicked: p"),
    ] {
        let mut world =
            World::new().resource("app", &[]).resource_type(|it| it.on("check", [script]));
        world.inputs.clear();
        world.check_missing = true;
        let result = world.run(job("j", vec![get("app"), task("a")])).await;
        check_invariants(&world);
        assert_eq!((result.status, result.reason.as_deref()), (Status::Errored, Some(reason)));
        assert_eq!(world.steps()[1..], ["get app skipped", "task a skipped"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_function_makes_of_a_secret_is_masked_too() {
    let mut world = World::new()
        .secret_type(|it| it.holds("x", "value", "abc-s3cret"))
        .runner(|it| it.on("a", [Script::ok().says("it is ABC-S3CRET")]));
    declare(&mut world, "pw", "x".into(), None);
    let upper = Value::Deferred(Box::new(Deferred::Call {
        function: "upper".into(),
        arguments: vec![template(vec![secret("pw"), "$BUILD_NUMBER".into()])],
    }));
    let upper_only = Value::Deferred(Box::new(Deferred::Call {
        function: "upper".into(),
        arguments: vec![secret("pw")],
    }));
    let step = with(task("a"), |task| {
        task.env.insert("UP".into(), upper);
        task.run.params.insert("arg".into(), upper_only);
    });
    let result = world.run(job("j", vec![step])).await;
    assert_eq!(result.status, Status::Succeeded, "{:?}", result.reason);
    let call = world.calls.all().pop().unwrap();
    assert_eq!(call.env["UP"], "ABC-S3CRET7");
    assert_eq!(world.output("0"), "it is ***");
}

/// Has attributes of its own, as a declared type has, and prints them with the
/// secrets put in; as a secret type it answers the first one.
#[derive(Debug, Clone)]
struct Own(Attributes);

impl Own {
    fn of(value: Value) -> Self {
        Self(Attributes::from([("own".into(), value)]))
    }
}

#[async_trait]
impl Runner for Own {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn run(&self, step: &mut StepRun<'_>, _params: &Params) -> Result<Exit, TypeError> {
        let own = step.resolve(&self.0).await?.text("own").unwrap_or_default();
        assert!(own.contains("sup3r"), "{own}");
        step.io.output(OutputStream::Stdout, own.into()).await;
        Ok(Exit::Code(0))
    }
}

#[async_trait]
impl SecretType for Own {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn get(
        &self,
        step: &mut StepRun<'_>,
        _params: &Params,
    ) -> Result<SecretFields, TypeError> {
        let own = step.resolve(&self.0).await?.text("own").unwrap_or_default();
        Ok(SecretFields::from([("value".to_owned(), own.into())]))
    }
}

#[tokio::test(start_paused = true)]
async fn a_type_has_the_secrets_of_its_own_declaration_put_in_and_masked() {
    let own = Own::of(template(vec!["$WORKDIR <".into(), secret("pw"), ">".into()]));
    let on_own = |name: &str| {
        with(task(name), |task| {
            task.run.runner = "own".into();
        })
    };
    let mut world = World::new().secret_type(|it| it.holds("x", "value", "sup3r-$WORKDIR"));
    world.types = world.types.runner("own", own.clone());
    declare(&mut world, "pw", "x".into(), None);
    let result = world.run(job("j", vec![on_own("a")])).await;
    check_invariants(&world);
    assert_eq!(result.status, Status::Succeeded, "{:?}", result.reason);
    assert_eq!(world.output("0"), "$WORKDIR <***>");

    let mut world = World::new();
    world.types = world.types.runner("own", own);
    declare(&mut world, "pw", "gone".into(), None);
    let result = world.run(job("j", vec![on_own("a")])).await;
    assert_eq!(result.status, Status::Errored);
    assert_eq!(
        result.reason.as_deref(),
        Some("`task a` errored: variable `pw`: there is no secret at `gone`")
    );
}

#[tokio::test(start_paused = true)]
async fn a_secret_type_may_need_another_secret_but_not_its_own() {
    let step = || {
        with(task("a"), |task| {
            task.env.insert("PW".into(), secret("pw"));
        })
    };
    for (needs, reason) in [
        ("other", None),
        (
            "pw",
            Some(
                "`task a` errored: variable `pw`: variable `pw`: its secret needs itself: pw -> pw",
            ),
        ),
    ] {
        let mut world = World::new().secret_type(|it| it.holds("x", "value", "sup3r"));
        world.types = world.types.secret_type("own", Own::of(secret(needs)));
        declare(&mut world, "other", "x".into(), None);
        declare(&mut world, "pw", "y".into(), None);
        if let Some(it) = world.pipeline.variables.get_mut("pw").and_then(|it| it.secret.as_mut()) {
            it.secret_type = "own".into();
        }
        let result = world.run(job("j", vec![step()])).await;
        check_invariants(&world);
        assert_eq!(result.reason.as_deref(), reason);
        if reason.is_none() {
            assert_eq!(world.calls.all().pop().unwrap().env["PW"], "sup3r");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_holds_the_true_versions_that_were_fetched() {
    let version = Version::from_pairs([("ref", "sup3r-s3cret")]);
    let mut world = World::new()
        .secret_type(|it| it.holds("x", "value", "sup3r-s3cret"))
        .resource("app", &[("password", secret("pw"))])
        .resource("late", &[]);
    declare(&mut world, "pw", "x".into(), None);
    world.inputs.insert("app".into(), version.clone());
    let failing = with(task("no"), |task| {
        task.inputs.push("nothing".into());
    });
    let result = world.run(job("j", vec![get("app"), failing, get("late")])).await;
    assert_eq!(result.inputs, BTreeMap::from([("app".to_owned(), version)]));
    let all = serde_json::to_string(&world.events.all()).unwrap();
    let fetched = all.split("version_fetched").nth(1).unwrap();
    assert!(!fetched.contains("s3cret"), "{fetched}");
}
