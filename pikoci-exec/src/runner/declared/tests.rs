//! A row for each rule of expansion in a declared runner.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use pikoci_core::context::{BuildContext, Environment};
use pikoci_core::name::{BuildId, BuildName, StepId};
use pikoci_core::pipeline::Location;
use pikoci_core::value::Deferred;

use super::*;

fn context() -> StepContext {
    let env = [("BUILD_NUMBER", "7"), ("GET_APP_REF", "$(rm)"), ("WORKDIR", "/w")];
    StepContext {
        build: Arc::new(BuildContext {
            id: BuildId(uuid::Uuid::nil()),
            name: BuildName {
                team: "main".into(),
                pipeline: "p".into(),
                job: "j".into(),
                number: "7".into(),
            },
            url: None,
        }),
        step: StepId::root(0),
        name: "task t".into(),
        workdir: "/w".into(),
        cache_dir: None,
        env: Environment(env.map(|(name, value)| (name.into(), value.into())).into()),
        grace: Duration::from_secs(1),
        detached: false,
        location: Location::default(),
    }
}

fn command(decl: RunnerTypeDecl, params: &Params) -> Result<ProcessSpec, TypeError> {
    let context = context();
    let scope = Scope::new(&decl, params, &context);
    DeclaredRunner::new(decl.clone()).command(&scope, &Params::default())
}

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| Value::from(*item)).collect())
}

fn args(accepted: Option<&[&str]>, args: &[&str], params: &[(&str, Value)]) -> Vec<String> {
    let decl = RunnerTypeDecl {
        params: accepted.map(|names| names.iter().map(|name| (*name).into()).collect()),
        path: "prog".into(),
        args: args.iter().map(|arg| Value::from(*arg)).collect(),
        ..RunnerTypeDecl::default()
    };
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let spec = command(decl, &params).unwrap();
    assert_eq!(spec.program, "prog");
    spec.args.into_iter().map(|arg| arg.into_string().unwrap()).collect()
}

#[test]
fn each_rule_holds_in_args() {
    let params = [
        ("image", Value::from("busybox:1")),
        ("args", list(&["-v", "a b", "$image", ""])),
        ("empty", Value::from("")),
        ("none", Value::from("none")),
        ("number", Value::from(3)),
        ("told", Value::from("b$BUILD_NUMBER ${BUILD_NUMBER} $GET_APP_REF $WORKDIR $image")),
    ];
    let known = ["image", "args", "empty", "none", "number", "told", "unset", "cmd"];
    for (item, expected) in [
        ("plain", &["plain"][..]),
        ("$WORKDIR:/workdir", &["/w:/workdir"]),
        ("${WORKDIR}/x", &["/w/x"]),
        ("$image", &["busybox:1"]),
        ("<$image|${image}>", &["<busybox:1|busybox:1>"]),
        ("$images", &["$images"]),
        ("$number", &["3"]),
        // A lone list splices, and its items are neither split nor expanded.
        ("$args", &["-v", "a b", "$image", ""]),
        ("${args}", &["-v", "a b", "$image", ""]),
        ("x$args", &[r#"x["-v","a b","$image",""]"#]),
        // Nothing is given: nothing is left of the item.
        ("$unset", &[]),
        ("${unset}$cmd", &[]),
        ("--flag=$unset", &["--flag="]),
        // Given but empty is an argument, and so is an empty item.
        ("$empty", &[""]),
        ("", &[""]),
        // Only the engine's own names are expanded in what was passed.
        ("$told", &["b7 7 $GET_APP_REF $WORKDIR $image"]),
        // Everything else is for a shell to see.
        ("$HOME $x $$image $1 $(id)", &["$HOME $x $$image $1 $(id)"]),
        ("$BUILD_NUMBER", &["$BUILD_NUMBER"]),
        ("$env", &["-e", "BUILD_NUMBER", "-e", "GET_APP_REF", "-e", "WORKDIR"]),
        ("x$env", &["x$env"]),
    ] {
        assert_eq!(args(Some(&known), &[item], &params), expected, "{item}");
    }
}

#[test]
fn without_a_list_of_parameters_only_given_and_lone_names_count() {
    for (item, params, expected) in [
        ("$args", &[][..], &[][..]),
        ("$cmd", &[("cmd", Value::from("echo $f"))], &["echo $f"]),
        ("for f in *; do echo $f; done", &[], &["for f in *; do echo $f; done"]),
        ("$HOME", &[], &["$HOME"]),
        ("$x-$y", &[("x", Value::from("1"))], &["1-$y"]),
        ("$n", &[("n", Value::Null)], &[]),
    ] {
        assert_eq!(args(None, &[item], params), expected, "{item}");
    }
}

#[test]
fn the_docker_type_of_the_articles_makes_the_command_it_shows() {
    let items = [
        "run",
        "--rm",
        "-v",
        "$WORKDIR:/workdir",
        "-w",
        "/workdir",
        "$image",
        "/bin/sh",
        "-ec",
        "$cmd",
    ];
    let params = [
        ("image", Value::from("golang:1.22")),
        ("cmd", Value::from("cd $WORKDIR && go test ./...")),
    ];
    assert_eq!(
        args(None, &items, &params),
        [
            "run",
            "--rm",
            "-v",
            "/w:/workdir",
            "-w",
            "/workdir",
            "golang:1.22",
            "/bin/sh",
            "-ec",
            "cd $WORKDIR && go test ./...",
        ]
    );
}

#[test]
fn path_and_environment_expand_by_the_same_rules() {
    let decl = RunnerTypeDecl {
        path: "$WORKDIR/bin/$tool".into(),
        env: BTreeMap::from([
            ("TOOL".to_owned(), Value::from("<$tool>")),
            ("GONE".to_owned(), Value::from("$absent")),
        ]),
        ..RunnerTypeDecl::default()
    };
    let params = [("tool".to_owned(), Value::from("t"))].into_iter().collect();
    let spec = command(decl, &params).unwrap();
    assert_eq!(spec.program, "/w/bin/t");
    assert_eq!(spec.env.get(OsStr::new("TOOL")).unwrap(), "<t>");
    assert_eq!(spec.env.get(OsStr::new("GONE")), None);
    assert_eq!(spec.env.get(OsStr::new("BUILD_NUMBER")).unwrap(), "7");
}

#[test]
fn an_empty_path_is_told() {
    let decl = RunnerTypeDecl { path: "$tool".into(), ..RunnerTypeDecl::default() };
    let error = command(decl, &Params::default()).unwrap_err();
    assert!(error.message.contains("`path` is empty"), "{error}");
}

#[test]
fn names_are_expanded_before_secrets_are_put_in() {
    let secret = || Value::Deferred(Box::new(Deferred::Secret { variable: "token".into() }));
    let template =
        |before: &str| Value::Deferred(Box::new(Deferred::Template(vec![before.into(), secret()])));
    let decl = RunnerTypeDecl {
        path: template("$WORKDIR/"),
        args: vec!["$WORKDIR".into(), template("--$tool="), secret()],
        env: BTreeMap::from([("TOKEN".to_owned(), template("$WORKDIR:"))]),
        ..RunnerTypeDecl::default()
    };
    let params = [("tool".to_owned(), Value::from("t"))].into_iter().collect();
    let context = context();
    let scope = Scope::new(&decl, &params, &context);
    let runner = DeclaredRunner::new(decl.clone());
    // As the engine does, with a secret that looks like a name.
    let secrets = runner.deferred(&scope).into_iter().map(|(key, value)| {
        let Value::Deferred(deferred) = value else { panic!("{key} is not deferred") };
        let text = match *deferred {
            Deferred::Template(parts) => format!("{}$WORKDIR", parts[0].to_text().unwrap()),
            _ => "$WORKDIR".into(),
        };
        (key, text.into())
    });
    let spec = runner.command(&scope, &secrets.collect()).unwrap();
    assert_eq!(spec.program, "/w/$WORKDIR");
    assert_eq!(spec.args, ["/w", "--t=$WORKDIR", "$WORKDIR"]);
    assert_eq!(spec.env.get(OsStr::new("TOKEN")).unwrap(), "/w:$WORKDIR");
}
