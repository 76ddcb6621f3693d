//! Builds whose log has a beginning, builds that go on where another failed,
//! builds that are given up, and checks without a build.

use std::time::Duration;

use serde_json::json;

use super::check_invariants;
use crate::event::EventKind;
use crate::name::BuildId;
use crate::plan::{Begun, Cancellation, ResourceCheck, ResumeAt, check_resource};
use crate::status::Status;
use crate::testkit::plan::{
    World, add_hook, get, in_parallel, job, number_hooks, put, run, sequence, service, task,
};
use crate::testkit::{End, MemoryEvents, Script};
use crate::value::Value;
use crate::version::Version;

const SECOND: Duration = Duration::from_secs(1);

fn kinds(world: &World) -> Vec<String> {
    let told = world.events.all();
    told.iter()
        .map(|event| serde_json::to_value(event).unwrap()["type"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_log_that_has_begun_goes_on_with_the_number_told() {
    let mut world = World::new().resource("app", &[]);
    world.begun = Some(Begun { next_event: 4 });
    world.check_missing = true;
    world.inputs.clear();
    let result = world.run(job("j", vec![get("app")])).await;
    assert_eq!(kinds(&world), ["step_started", "step_finished", "build_finished"]);
    let numbers: Vec<u64> = world.events.all().iter().map(|event| event.number).collect();
    assert_eq!(numbers, [4, 5, 6]);
    assert_eq!(result.status, Status::Errored, "nothing is checked any more");
}

fn plan() -> Vec<crate::pipeline::Step> {
    vec![
        get("app"),
        service("db"),
        sequence(vec![task("a"), service("queue")]),
        put("out"),
        in_parallel(0, false, vec![task("b"), task("c")]),
        task("d"),
    ]
}

fn failing_once() -> World {
    World::new()
        .resource("app", &[])
        .resource("out", &[])
        .runner(|it| {
            it.on("a", [Script::ok().exports("k=v\n")])
                .on("b", [Script::ok().exports("k=early\n"), Script::ok()])
                .on("c", [Script::exit(1), Script::ok()])
        })
        .resource_type(|mut it| {
            it.made = Some(Version::from_pairs([("ref", "made")]));
            it
        })
        .service_type("db", |it| it)
        .service_type("queue", |it| it)
}

#[tokio::test(start_paused = true)]
async fn a_build_goes_on_at_the_step_that_failed_with_what_was_exported_before() {
    let mut world = failing_once();
    let failed = world.run(job("j", plan())).await;
    assert_eq!(failed.status, Status::Failed);
    let at = failed.failed_at.clone().expect("a step failed");
    assert_eq!(at.step.as_str(), "4");
    let names: Vec<&String> = at.variables.0.keys().collect();
    assert_eq!(names, ["GET_APP_REF", "TASK_A_K"], "what the failing step exported is not there");
    assert!(!format!("{failed:?}").contains("\"v\""), "no value is shown");

    world.resume = ResumeAt::after(&failed);
    world.events = MemoryEvents::new();
    let before = world.calls.all().len();
    let result = world.run(job("j", plan())).await;
    check_invariants(&world);
    assert_eq!(result.status, Status::Succeeded);
    assert_eq!(
        world.steps(),
        [
            "get app skipped",
            "db:start succeeded",
            "db:ready succeeded",
            "do skipped",
            "task a skipped",
            "queue:start succeeded",
            "queue:ready succeeded",
            "put out skipped",
            "in_parallel succeeded",
            "task b succeeded",
            "task c succeeded",
            "task d succeeded",
            "queue:stop succeeded",
            "db:stop succeeded",
        ]
    );
    assert_eq!(world.view().steps[0].reason.as_deref(), Some("it succeeded in build 7"));
    let calls = world.calls.all();
    let d = calls[before..].iter().find(|call| call.name == "task d").expect("it ran");
    assert_eq!((&*d.env["TASK_A_K"], &*d.env["GET_APP_REF"]), ("v", "v1"));
    assert_eq!(result.inputs, failed.inputs);
    assert_eq!(result.outputs, failed.outputs);
    assert_eq!(result.failed_at, None);
}

#[tokio::test(start_paused = true)]
async fn going_on_says_what_is_in_the_way() {
    let mut world = failing_once();
    let failed = world.run(job("j", plan())).await;
    world.resume = ResumeAt::after(&failed);
    world.events = MemoryEvents::new();
    let result = world.run(job("j", vec![task("a")])).await;
    assert_eq!(
        result.reason.as_deref(),
        Some("build main/app/j#7 failed in a step that the job does not have")
    );
    assert_eq!(world.steps(), ["task a skipped"]);

    let mut world = world.service_type("db", |it| it.on("start", [Script::exit(1)]));
    world.events = MemoryEvents::new();
    let result = world.run(job("j", plan())).await;
    assert_eq!(result.status, Status::Errored);
    let at = result.failed_at.expect("it can be tried again");
    assert_eq!((at.step.as_str(), at.variables.0.len()), ("4", 2));
    assert!(world.view().steps.iter().all(|step| step.status.is_some()));
}

#[tokio::test(start_paused = true)]
async fn what_was_masked_stays_masked_in_the_build_that_goes_on() {
    let mut world = World::new().runner(|it| {
        it.on("a", [Script::ok().exports("token=hunter2!\n")])
            .on("b", [Script::exit(1), Script::ok().says("it is hunter2!")])
    });
    let failed = world.run(job("j", vec![task("a"), task("b")])).await;
    failed.failed_at.as_ref().unwrap().masker.register("hunter2!");
    world.resume = ResumeAt::after(&failed);
    world.events = MemoryEvents::new();
    world.run(job("j", vec![task("a"), task("b")])).await;
    assert_eq!(world.output("1"), "it is ***");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_tells_its_reason_and_an_abandoned_build_runs_no_hooks() {
    for abandoned in [false, true] {
        let world = World::new()
            .runner(|it| it.on("a", [Script::new(End::Hang)]).on("h", [Script::new(End::Hang)]))
            .service_type("db", |it| it)
            .notification("n", |it| it.on = vec![crate::pipeline::NotifyOn::All]);
        let mut job = job("j", vec![service("db"), task("a").hooked("on_cancel", run("c"))]);
        add_hook(&mut job.hooks, "ensure", run("e"), false);
        number_hooks(&mut job.hooks, None);
        let cancel = world.cancel.clone();
        let (result, ()) = tokio::join!(world.run(job), async move {
            tokio::time::sleep(SECOND).await;
            if abandoned {
                cancel.abandon("the worker lost it");
            } else {
                cancel.cancel("cancelled by alice");
                cancel.cancel("cancelled by bob");
            }
        });
        check_invariants(&world);
        assert_eq!(result.status, Status::Cancelled);
        let reason = if abandoned { "the worker lost it" } else { "cancelled by alice" };
        assert_eq!(result.reason.as_deref(), Some(reason));
        let asked = EventKind::CancelRequested { reason: reason.into() };
        assert!(world.events.all().iter().any(|event| event.kind == asked));
        let calls = world.calls.short();
        assert!(calls.contains(&"stop 0.stop".to_owned()), "{calls:?}");
        let after = calls.iter().filter(|it| it.contains("on_cancel") || it.contains("ensure"));
        assert_eq!(after.count(), if abandoned { 0 } else { 2 }, "{calls:?}");
        assert_eq!(calls.iter().any(|it| it.starts_with("notify")), !abandoned);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_runs_ends_when_its_build_is_given_up() {
    let world =
        World::new().runner(|it| it.on("a", [Script::exit(1)]).on("h", [Script::new(End::Hang)]));
    let cancel = world.cancel.clone();
    let job = job("j", vec![task("a").hooked("on_failure", run("h"))]);
    let work = async { tokio::time::timeout(10 * SECOND, world.run(job)).await.expect("it ends") };
    tokio::join!(work, async move {
        tokio::time::sleep(SECOND).await;
        cancel.abandon("the worker lost it");
    });
    check_invariants(&world);
}

fn check(world: &World) -> ResourceCheck {
    ResourceCheck {
        id: BuildId(uuid::Uuid::from_u128(7)),
        team: "main".into(),
        pipeline: std::sync::Arc::new(world.pipeline.clone()),
        kind: "scripted".into(),
        name: "app".into(),
        from: None,
        timeout: Some(SECOND),
    }
}

async fn found(says: Script, versions: &[serde_json::Value]) -> Result<Vec<Version>, String> {
    let versions: Vec<Version> =
        versions.iter().map(|it| serde_json::from_value(it.clone()).unwrap()).collect();
    let from = versions.first().cloned();
    let world = World::new().resource("app", &[]).resource_type(|mut it| {
        it.versions = versions;
        it.on("check", [says])
    });
    let mut check = check(&world);
    check.from = from;
    check_resource(&check, &world.host(), &world.cancel).await
}

#[tokio::test(start_paused = true)]
async fn a_check_without_a_build_finds_each_version_once_and_nothing_empty() {
    let version = |sha: &str| json!({ "ref": sha });
    let twice = [version("a"), version("b"), version("a")];
    let once = ["a", "b"].map(|sha| Version::from_pairs([("ref", sha)]));
    assert_eq!(found(Script::ok(), &twice).await, Ok(once.to_vec()));
    for (versions, problem) in [
        ([version("a"), json!({})], "without any field"),
        ([version("a"), version("")], "an empty `ref`"),
        ([version("a"), json!({ "ref": null, "x": "y" })], "an empty `ref`"),
    ] {
        let error = found(Script::ok(), &versions).await.unwrap_err();
        assert!(error.contains(problem), "{versions:?}: {error}");
    }
    for (end, problem) in [
        (End::Hang, "timed out after 1s"),
        (End::Panic("oh"), "the implementation panicked: oh"),
        (End::Error("no such host".into()), "no such host"),
    ] {
        let error = found(Script::new(end), &[]).await.unwrap_err();
        assert_eq!(error, problem);
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_can_be_cancelled_and_sees_no_build() {
    let world = World::new()
        .resource("app", &[("uri", Value::string("x"))])
        .resource_type(|it| it.on("check", [Script::new(End::Hang)]));
    let cancel = Cancellation::new();
    let mut check = check(&world);
    check.timeout = None;
    let host = world.host();
    let (result, ()) = tokio::join!(check_resource(&check, &host, &cancel), async {
        tokio::time::sleep(SECOND).await;
        cancel.cancel("the session was lost");
    });
    assert_eq!(result, Err("the session was lost".into()));
    let call = &world.calls.all()[0];
    assert_eq!(call.params["uri"], "x");
    assert_eq!(call.env["BUILD_PIPELINE_NAME"], "app");
    assert!(!call.env.contains_key("BUILD_ID"));
    check.name = "nothing".into();
    let error = check_resource(&check, &host, &Cancellation::new()).await.unwrap_err();
    assert_eq!(error, "no resource `nothing` of type `scripted` is declared");
}
