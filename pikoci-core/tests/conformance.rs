//! The scripted doubles keep the contracts that they stand in for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pikoci_core::Version;
use pikoci_core::event::OutputStream;
use pikoci_core::testkit::conformance::notification::{self, NotificationCase};
use pikoci_core::testkit::conformance::resource::{self, Push, ResourceCase};
use pikoci_core::testkit::conformance::runner::{self, Command, RunnerCase};
use pikoci_core::testkit::conformance::secret::{self, SecretCase};
use pikoci_core::testkit::conformance::service::{self, ServiceCase};
use pikoci_core::testkit::script::params;
use pikoci_core::testkit::{
    Calls, End, Script, ScriptedNotification, ScriptedResource, ScriptedRunner, ScriptedSecret,
    ScriptedService,
};

fn name(command: Command) -> String {
    format!("{command:?}")
}

fn flood() -> Script {
    let mut script = Script::ok();
    for stream in [OutputStream::Stdout, OutputStream::Stderr] {
        let lines: String = (0..runner::LINES).map(runner::line).collect();
        script.output.extend([(stream, Bytes::from(lines)), (stream, Bytes::from("end"))]);
    }
    script
}

fn scripted_runner() -> ScriptedRunner {
    let hang = Script::new(End::Hang).says("ready\n");
    [0_u8, 1, 3, 9, 127, 255]
        .into_iter()
        .fold(ScriptedRunner::new(&Calls::new()), |it, code| {
            it.on(&name(Command::Exit(code)), [Script::exit(code.into())])
        })
        .on(&name(Command::ShowVariable), [Script::ok().shows_variable(runner::VARIABLE)])
        .on(&name(Command::ShowFile), [Script::ok().shows_file(runner::FILE)])
        .on(&name(Command::Flood), [flood()])
        .on(&name(Command::Hang), [hang.clone()])
        .on(&name(Command::HangStubbornly), [hang])
        .on("broken", [Script::new(End::Error("no such program".into()))])
}

fn case(runner: ScriptedRunner) -> RunnerCase {
    RunnerCase {
        runner: Arc::new(runner),
        express: Box::new(|command| params([("cmd", name(command).as_str())])),
        broken: vec![params([("cmd", "broken")])],
    }
}

#[tokio::test(start_paused = true)]
async fn the_scripted_runner_conforms() {
    runner::run_all(&case(scripted_runner())).await;
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_breaks_a_promise_does_not_pass() {
    let exit = |code| name(Command::Exit(code));
    let broken = [
        scripted_runner().on(&exit(3), [Script::ok()]),
        scripted_runner().on(&exit(3), [Script::new(End::Panic("p"))]),
        scripted_runner().on(&name(Command::ShowVariable), [Script::ok().says("guess")]),
        scripted_runner().on(&name(Command::ShowFile), [Script::ok()]),
        scripted_runner().on(&name(Command::Flood), [Script::ok().says("end")]),
        scripted_runner().on(&name(Command::Hang), [Script::new(End::Stuck).says("ready")]),
        scripted_runner().on(&name(Command::Hang), [Script::exit(143).says("ready")]),
        scripted_runner().on("broken", [Script::exit(127)]),
    ];
    for (index, runner) in broken.into_iter().enumerate() {
        let passed = tokio::spawn(async move { runner::run_all(&case(runner)).await }).await;
        assert!(passed.is_err_and(|error| error.is_panic()), "runner {index} passed");
    }
}

#[tokio::test]
async fn the_scripted_resource_type_conforms() {
    let mut scripted = ScriptedResource::new(&Calls::new());
    scripted.versions = ["a", "b"].map(|it| Version::from_pairs([("ref", it)])).into();
    scripted.made = scripted.versions.last().cloned();
    resource::run_all(&ResourceCase {
        resource: Arc::new(scripted),
        params: params([]),
        broken: Vec::new(),
        change: None,
        pulled: Box::new(|_| {}),
        push: Some(Push { params: params([]), prepare: Box::new(|_| {}) }),
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_scripted_service_type_conforms() {
    let late = Script::exit(1).takes(Duration::from_secs(2));
    let scripted =
        ScriptedService::new(&Calls::new()).on("ready", [late.clone(), late, Script::ok()]);
    service::run_all(&ServiceCase {
        service: Arc::new(scripted),
        params: params([]),
        broken: Vec::new(),
        running: None,
    })
    .await;
    let failing = ScriptedService::new(&Calls::new()).on("start", [Script::exit(1)]);
    service::a_start_that_fails_is_an_error_and_can_be_stopped(&ServiceCase {
        service: Arc::new(failing),
        params: params([]),
        broken: vec![params([])],
        running: None,
    })
    .await;
}

#[tokio::test]
async fn the_scripted_secret_type_conforms() {
    let scripted = ScriptedSecret::new(&Calls::new()).holds("db", "password", "hunter2");
    secret::run_all(&SecretCase {
        secret: Arc::new(scripted),
        params: params([("path", "db")]),
        fields: [("password".into(), "hunter2".into())].into(),
        missing: params([("path", "nothing")]),
    })
    .await;
}

#[tokio::test]
async fn the_scripted_notification_type_conforms() {
    let calls = Calls::new();
    notification::run_all(&NotificationCase {
        notification: Arc::new(ScriptedNotification::new(&calls)),
        params: params([]),
        notify: params([("message", "done")]),
        arrived: Box::new(move || calls.all().len()),
        broken: Vec::new(),
    })
    .await;
}
