//! A test for each rule of the language about steps, hooks and results.

use std::time::Duration;

use super::check_invariants;
use crate::event::EventKind;
use crate::pipeline::{HookBody, Job, NotifyOn, StepKind};
use crate::plan::BuildResult;
use crate::status::Status;
use crate::testkit::plan::{
    World, add_hook, attempt, get, in_parallel, job, notify, number_hooks, put, run, sequence,
    service, task, when,
};
use crate::testkit::{End, Script};
use crate::value::Value;
use crate::version::Version;

const SECOND: Duration = Duration::from_secs(1);

async fn run_job(world: &World, job: Job) -> BuildResult {
    let result = world.run(job).await;
    check_invariants(world);
    let view = world.view();
    assert_eq!((view.status, &view.reason), (Some(result.status), &result.reason));
    result
}

fn runs(world: &World) -> Vec<String> {
    world
        .calls
        .short()
        .into_iter()
        .filter_map(|it| it.strip_prefix("run ").map(Into::into))
        .collect()
}

fn failing(names: &[&str]) -> World {
    World::new().runner(|runner| {
        names.iter().fold(runner, |runner, name| runner.on(name, [Script::exit(2)]))
    })
}

fn ended(result: &BuildResult) -> (Status, &str) {
    (result.status, result.reason.as_deref().unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn steps_run_in_order_and_a_failure_skips_the_rest() {
    let world = failing(&["b"]);
    let result =
        run_job(&world, job("j", vec![task("a"), task("b"), task("c"), sequence(vec![task("d")])]))
            .await;
    assert_eq!(ended(&result), (Status::Failed, "`task b` failed: exit code 2"));
    assert_eq!(
        world.steps(),
        ["task a succeeded", "task b failed", "task c skipped", "do skipped", "task d skipped"]
    );
    assert_eq!(world.view().steps[2].reason.as_deref(), Some("`task b` failed"));
    assert_eq!(world.journal.lines(), ["build", "end"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_events_tell_the_build() {
    let world = World::new();
    run_job(&world, job("j", vec![])).await;
    let kinds: Vec<String> = world
        .events
        .all()
        .iter()
        .map(|event| serde_json::to_value(event).unwrap()["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["build_created", "inputs_resolved", "build_started", "build_finished"]);
}

#[tokio::test(start_paused = true)]
async fn each_end_of_a_command_has_its_status() {
    for (end, status, reason) in [
        (End::Exit(0), Status::Succeeded, ""),
        (End::Exit(3), Status::Failed, "`task a` failed: exit code 3"),
        (End::Signal(9), Status::Failed, "`task a` failed: ended by signal 9"),
        (End::Error("no program `x`".into()), Status::Errored, "`task a` errored: no program `x`"),
        (End::Refuse("no".into()), Status::Errored, "`task a` errored: no"),
        (
            End::Panic("boom"),
            Status::Errored,
            "`task a` errored: the implementation panicked: boom",
        ),
    ] {
        let world = World::new().runner(|it| it.on("a", [Script::new(end.clone())]));
        let mut step = task("a");
        let panics = matches!(end, End::Panic(_));
        if !panics {
            step = step.tried(1);
        }
        let result = world.run(job("j", vec![step, task("b")])).await;
        assert_eq!(ended(&result), (status, reason), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_or_runner_or_type_that_is_not_there_errs() {
    let world = World::new();
    let mut lost = task("a");
    if let StepKind::Task(task) = &mut lost.kind {
        task.run.runner = "nowhere".into();
    }
    let result = run_job(&world, job("j", vec![lost])).await;
    assert_eq!(
        ended(&result),
        (Status::Errored, "`task a` errored: there is no runner `nowhere` here")
    );

    let world = World::new();
    let result = run_job(&world, job("j", vec![service("nosuch")])).await;
    assert_eq!(
        ended(&result),
        (Status::Errored, "`nosuch:start` errored: there is no service type `nosuch` here")
    );
    let world = World::new();
    let result = run_job(&world, job("j", vec![get("app")])).await;
    assert_eq!(
        ended(&result),
        (Status::Errored, "`get app` errored: no resource `app` of type `scripted` is declared")
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_follows_a_failure_and_stops_at_success() {
    let world = World::new().runner(|it| {
        it.on("a", [Script::exit(1), Script::new(End::Error("x".into())), Script::ok()])
    });
    let result =
        run_job(&world, job("j", vec![task("a").tried(5).hooked("on_failure", run("h"))])).await;
    assert_eq!(result.status, Status::Succeeded);
    assert_eq!(runs(&world), ["0", "0", "0"], "the hook is for the last attempt only");
    let told: Vec<(Status, bool)> = world
        .events
        .all()
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::StepFinished { status, will_retry, .. } => Some((status, will_retry)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(Status::Failed, true), (Status::Errored, true), (Status::Succeeded, false)]);
    assert_eq!(world.view().steps[0].attempt, 3);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_for_one_attempt_and_fails_it() {
    let world = World::new()
        .runner(|it| it.on("a", [Script::new(End::Hang), Script::ok().takes(3 * SECOND)]));
    let result = run_job(&world, job("j", vec![task("a").within(5 * SECOND).tried(2)])).await;
    assert_eq!(result.status, Status::Succeeded);
    let world = World::new().runner(|it| it.on("a", [Script::new(End::Hang)]));
    let result = run_job(&world, job("j", vec![task("a").within(5 * SECOND)])).await;
    assert_eq!(ended(&result), (Status::Failed, "`task a` failed: timed out after 5s"));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_a_group_ends_what_is_in_it() {
    let world = World::new().runner(|it| it.on("a", [Script::new(End::Hang)]));
    let group = sequence(vec![task("a"), task("b")]).within(5 * SECOND);
    let result = run_job(&world, job("j", vec![group, task("c")])).await;
    assert_eq!(ended(&result), (Status::Failed, "`do` failed: timed out after 5s"));
    let view = world.view();
    assert_eq!(
        world.steps(),
        ["do failed", "task a cancelled", "task b skipped", "task c skipped"]
    );
    assert_eq!(view.steps[1].reason.as_deref(), Some("`do` timed out after 5s"));
}

#[tokio::test(start_paused = true)]
async fn an_implementation_that_never_comes_back_does_not_hold_the_build() {
    let world = World::new().runner(|it| it.on("a", [Script::new(End::Stuck)]));
    let started = tokio::time::Instant::now();
    let result = world.run(job("j", vec![task("a").within(SECOND)])).await;
    assert_eq!(ended(&result), (Status::Failed, "`task a` failed: timed out after 1s"));
    assert!(started.elapsed() < 100 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_a_job_fails_it_and_hooks_run() {
    let world = World::new().runner(|it| it.on("a", [Script::new(End::Hang)]));
    let mut job = job("j", vec![task("a"), task("b")]);
    job.timeout = Some(90 * 60 * SECOND);
    add_hook(&mut job.hooks, "on_failure", run("f"), false);
    add_hook(&mut job.hooks, "on_cancel", run("c"), false);
    add_hook(&mut job.hooks, "ensure", run("e"), false);
    number_hooks(&mut job.hooks, None);
    let result = run_job(&world, job).await;
    assert_eq!(ended(&result), (Status::Failed, "job timed out after 1h30m"));
    assert_eq!(runs(&world), ["0", "on_failure", "ensure"]);
    assert_eq!(world.view().steps[0].reason.as_deref(), Some("job timed out after 1h30m"));
}

#[tokio::test(start_paused = true)]
async fn a_hook_runs_for_its_status_and_sees_it() {
    for (end, hook, word) in [
        (End::Exit(0), "on_success", "succeeded"),
        (End::Exit(1), "on_failure", "failed"),
        (End::Error("x".into()), "on_error", "errored"),
        (End::Hang, "on_cancel", "cancelled"),
    ] {
        for on_job in [false, true] {
            let world = World::new().runner(|it| it.on("a", [Script::new(end.clone())]));
            let mut step = task("a");
            let mut hooks = crate::pipeline::Hooks::default();
            for kind in ["on_success", "on_failure", "on_cancel", "on_error", "ensure"] {
                add_hook(&mut hooks, kind, run(kind), false);
            }
            let job = if on_job {
                let mut job = job("j", vec![step]);
                number_hooks(&mut hooks, None);
                job.hooks = hooks;
                job
            } else {
                step.hooks = hooks;
                job("j", vec![step])
            };
            let result = if end == End::Hang {
                let cancel = world.cancel.clone();
                let (result, ()) = tokio::join!(world.run(job), async move {
                    tokio::time::sleep(SECOND).await;
                    cancel.cancel("the build was cancelled");
                });
                result
            } else {
                world.run(job).await
            };
            check_invariants(&world);
            assert_eq!(result.status.as_str(), word);
            let prefix = if on_job { "" } else { "0." };
            assert_eq!(
                runs(&world),
                ["0".to_owned(), format!("{prefix}{hook}"), format!("{prefix}ensure")]
            );
            for call in &world.calls.all()[1..] {
                assert_eq!(call.env["BUILD_STATUS"], word);
            }
            assert!(!world.calls.all()[0].env.contains_key("BUILD_STATUS"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_marks_itself_and_only_with_fail_build_the_build() {
    for fail_build in [false, true] {
        let world = failing(&["h"]);
        let mut step = task("a");
        add_hook(&mut step.hooks, "on_success", run("h"), fail_build);
        let result = run_job(&world, job("j", vec![step, task("b")])).await;
        if fail_build {
            assert_eq!(ended(&result), (Status::Failed, "`on_success` failed: exit code 2"));
            assert_eq!(world.steps(), ["task a succeeded", "on_success failed", "task b skipped"]);
        } else {
            assert_eq!(result.status, Status::Succeeded);
            assert_eq!(
                world.steps(),
                ["task a succeeded", "on_success failed", "task b succeeded"]
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_may_hold_steps_whose_exports_stay_there() {
    let world = World::new()
        .runner(|it| it.on("x", [Script::ok().exports("k=v\n")]))
        .resource("out", &[])
        .resource_type(|mut it| {
            it.made = Some(Version::from_pairs([("n", "1")]));
            it
        });
    let hook = HookBody::Steps(vec![task("x"), put("out")]);
    let result =
        run_job(&world, job("j", vec![task("a").hooked("on_success", hook), task("b")])).await;
    assert_eq!(result.outputs, [("scripted.out".to_owned(), Version::from_pairs([("n", "1")]))]);
    let calls = world.calls.all();
    assert_eq!(
        world.calls.short(),
        ["run 0", "run 0.on_success.0", "push 0.on_success.1", "run 1"]
    );
    assert_eq!(calls[2].env["TASK_X_K"], "v");
    assert!(!calls[3].env.contains_key("TASK_X_K"));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_hangs_after_a_cancel_is_ended() {
    let world = World::new()
        .runner(|it| it.on("a", [Script::new(End::Hang)]).on("h", [Script::new(End::Hang)]));
    let cancel = world.cancel.clone();
    let (result, ()) = tokio::join!(
        world.run(job(
            "j",
            vec![task("a").hooked("ensure", run("h")).hooked("on_cancel", run("c"))]
        )),
        async move {
            tokio::time::sleep(SECOND).await;
            cancel.cancel("the build was cancelled");
        }
    );
    check_invariants(&world);
    assert_eq!(ended(&result), (Status::Cancelled, "the build was cancelled"));
    assert_eq!(world.steps(), ["task a cancelled", "on_cancel succeeded", "ensure failed"]);
}

#[tokio::test(start_paused = true)]
async fn allow_failure_makes_a_failure_a_warning_and_no_error() {
    for (end, status) in
        [(End::Exit(1), Status::Warning), (End::Error("x".into()), Status::Errored)]
    {
        let world = World::new().runner(|it| it.on("a", [Script::new(end)]));
        let mut job = job("j", vec![task("a")]);
        job.allow_failure = true;
        add_hook(&mut job.hooks, "on_failure", run("f"), false);
        number_hooks(&mut job.hooks, None);
        let result = run_job(&world, job).await;
        assert_eq!(result.status, status);
        assert_eq!(runs(&world).contains(&"on_failure".to_owned()), status == Status::Warning);
    }
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_what_runs_and_skips_the_rest() {
    let world =
        World::new().runner(|it| it.on("a", [Script::new(End::Hang)])).service_type("db", |it| it);
    let cancel = world.cancel.clone();
    let plan = vec![service("db"), in_parallel(0, false, vec![task("a"), task("b")]), task("c")];
    let (result, ()) = tokio::join!(world.run(job("j", plan)), async move {
        tokio::time::sleep(SECOND).await;
        cancel.cancel("the build was cancelled");
    });
    check_invariants(&world);
    assert_eq!(ended(&result), (Status::Cancelled, "the build was cancelled"));
    assert_eq!(
        world.steps(),
        [
            "db:start succeeded",
            "db:ready succeeded",
            "in_parallel cancelled",
            "task a cancelled",
            "task b succeeded",
            "task c skipped",
            "db:stop succeeded",
        ]
    );
    let asked = world
        .events
        .all()
        .iter()
        .filter(|it| matches!(it.kind, EventKind::CancelRequested { .. }))
        .count();
    assert_eq!(asked, 1);
}

#[tokio::test(start_paused = true)]
async fn a_build_that_is_cancelled_before_it_begins_runs_nothing() {
    let world = World::new();
    world.cancel.cancel("the build was cancelled");
    let result = run_job(&world, job("j", vec![task("a"), service("db")])).await;
    assert_eq!(result.status, Status::Cancelled);
    assert_eq!(world.steps(), ["task a skipped", "db:start skipped"]);
    assert!(world.calls.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn try_goes_on_after_a_failure() {
    let world = failing(&["a", "x"]);
    let result =
        run_job(&world, job("j", vec![attempt(vec![task("a"), task("b")]), task("c")])).await;
    assert_eq!(ended(&result), (Status::Succeeded, ""));
    assert_eq!(
        world.steps(),
        ["try warning", "task a failed", "task b succeeded", "task c succeeded"]
    );
    assert_eq!(world.view().steps[0].reason.as_deref(), Some("`task a` failed: exit code 2"));
}

#[tokio::test(start_paused = true)]
async fn the_first_branch_that_holds_is_taken_and_the_others_are_told_as_skipped() {
    for (version, taken) in [("v1", "a"), ("v2", "b"), ("v3", "c")] {
        let mut world = World::new().resource("app", &[]);
        world.inputs.insert("app".into(), Version::from_pairs([("ref", version)]));
        let branches = vec![
            ("$GET_APP_REF == v1", vec![task("a")]),
            ("$GET_APP_REF == v2", vec![task("b"), task("b2")]),
        ];
        let result =
            run_job(&world, job("j", vec![get("app"), when(branches, vec![task("c")])])).await;
        assert_eq!(result.status, Status::Succeeded);
        let names = ["a", "b", "b2", "c"];
        let expected: Vec<String> = ["get app succeeded".to_owned(), "if succeeded".to_owned()]
            .into_iter()
            .chain(names.iter().map(|name| {
                let status = if name.starts_with(taken) { "succeeded" } else { "skipped" };
                format!("task {name} {status}")
            }))
            .collect();
        assert_eq!(world.steps(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_cannot_be_decided_errs() {
    let world = World::new();
    let result =
        run_job(&world, job("j", vec![when(vec![("$NO > 3", vec![task("a")])], vec![task("b")])]))
            .await;
    assert_eq!(
        ended(&result),
        (
            Status::Errored,
            "`if` errored: `$NO > 3` cannot be decided: `>` compares numbers, and an empty value is none"
        )
    );
    assert_eq!(world.steps(), ["if errored", "task a skipped", "task b skipped"]);
}

#[tokio::test(start_paused = true)]
async fn parallel_steps_run_together_up_to_the_limit() {
    for (limit, seconds) in [(0, 2), (2, 4), (1, 8)] {
        let names = ["a", "b", "c", "d"];
        let world = World::new().runner(|runner| {
            names.iter().fold(runner, |it, name| it.on(name, [Script::ok().takes(2 * SECOND)]))
        });
        let started = tokio::time::Instant::now();
        run_job(&world, job("j", vec![in_parallel(limit, false, names.map(task).into())])).await;
        assert_eq!(started.elapsed().as_secs(), seconds, "limit {limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn fail_fast_ends_the_siblings_and_does_not_blame_them() {
    let world = World::new()
        .runner(|it| it.on("a", [Script::new(End::Hang)]).on("b", [Script::exit(1).takes(SECOND)]));
    let steps = vec![task("a"), task("b"), task("c")];
    let result = run_job(&world, job("j", vec![in_parallel(2, true, steps)])).await;
    assert_eq!(ended(&result), (Status::Failed, "`task b` failed: exit code 1"));
    let view = world.view();
    let told: Vec<_> = view
        .steps
        .iter()
        .map(|it| (it.name.as_str(), it.status.unwrap(), it.reason.clone().unwrap_or_default()))
        .collect();
    let swept = "`task b` failed".to_owned();
    assert_eq!(told[1], ("task a", Status::Cancelled, swept.clone()));
    assert_eq!(told[3], ("task c", Status::Skipped, swept));
}

#[tokio::test(start_paused = true)]
async fn without_fail_fast_all_run_and_the_worst_counts() {
    let world = World::new()
        .runner(|it| it.on("a", [Script::exit(1)]).on("b", [Script::new(End::Error("x".into()))]));
    let steps = vec![task("a"), task("b"), task("c")];
    let result = run_job(&world, job("j", vec![in_parallel(1, false, steps)])).await;
    assert_eq!(ended(&result), (Status::Errored, "`task b` errored: x"));
    assert_eq!(runs(&world), ["0.0", "0.1", "0.2"]);
}

#[tokio::test(start_paused = true)]
async fn siblings_do_not_see_each_other_and_are_merged_in_order() {
    let world = World::new().runner(|it| {
        it.on("a", [Script::ok().takes(3 * SECOND).exports("k=first\n")])
            .on("b", [Script::ok().takes(SECOND).exports("k=second\n")])
            .on("c", [Script::ok().exports("k=other\n")])
    });
    let one = |name: &str| {
        let mut step = task(name);
        if let StepKind::Task(task) = &mut step.kind {
            task.name = "same".into();
        }
        step
    };
    let steps = vec![one("a"), sequence(vec![one("b"), one("d")])];
    run_job(&world, job("j", vec![in_parallel(0, false, steps), one("e")])).await;
    let calls = world.calls.all();
    let seen = |step: &str| {
        calls.iter().find(|it| it.step.as_str() == step).unwrap().env.get("TASK_SAME_K").cloned()
    };
    assert_eq!(seen("0.0"), None);
    assert_eq!(seen("0.1.0"), None);
    assert_eq!(seen("0.1.1").as_deref(), Some("second"));
    assert_eq!(seen("1").as_deref(), Some("second"), "in the order written, not the one ended in");
}

#[tokio::test(start_paused = true)]
async fn services_start_in_order_get_ready_together_and_stop_in_reverse() {
    let policy = |it: crate::testkit::ScriptedService| {
        it.on("ready", [Script::exit(1), Script::exit(1), Script::ok()])
    };
    let world = World::new().service_type("db", policy).service_type("web", policy);
    let started = tokio::time::Instant::now();
    let mut job = job("j", vec![service("db"), service("web"), task("a")]);
    add_hook(&mut job.hooks, "ensure", run("e"), false);
    number_hooks(&mut job.hooks, None);
    let result = run_job(&world, job).await;
    assert_eq!(result.status, Status::Succeeded);
    assert_eq!(started.elapsed().as_secs(), 2, "both wait at the same time");
    assert_eq!(
        world.calls.short(),
        [
            "start 0.start",
            "start 1.start",
            "ready 0.ready",
            "ready 1.ready",
            "ready 0.ready",
            "ready 1.ready",
            "ready 0.ready",
            "ready 1.ready",
            "run 2",
            "run ensure",
            "stop 1.stop",
            "stop 0.stop",
        ]
    );
    assert_eq!(
        world.steps(),
        [
            "db:start succeeded",
            "web:start succeeded",
            "db:ready succeeded",
            "web:ready succeeded",
            "task a succeeded",
            "ensure succeeded",
            "web:stop succeeded",
            "db:stop succeeded",
        ]
    );
    assert_eq!(world.journal.lines(), ["build", "start 0", "start 1", "stop 1", "stop 0", "end"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_get_ready_errs_with_what_it_said() {
    let world = World::new()
        .service_type("db", |it| it.on("ready", [Script::exit(3)]))
        .service_type("slow", |it| it.on("ready", [Script::new(End::Hang)]));
    let result = run_job(&world, job("j", vec![service("db"), service("slow"), task("a")])).await;
    assert_eq!(
        ended(&result),
        (Status::Errored, "`db:ready` errored: not ready after 1m: exit code 3")
    );
    assert_eq!(world.steps()[4..], ["task a skipped", "slow:stop succeeded", "db:stop succeeded"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_start_is_stopped_all_the_same() {
    for end in [End::Error("x".into()), End::Exit(1), End::Panic("p"), End::Hang] {
        let world = World::new()
            .service_type("db", |it| it.on("start", [Script::new(end.clone())]))
            .service_type("web", |it| it);
        let plan = vec![service("web"), service("db").within(SECOND), service("web"), task("a")];
        let result = world.run(job("j", plan)).await;
        let hung = end == End::Hang;
        assert_eq!(result.status, if hung { Status::Failed } else { Status::Errored }, "{end:?}");
        assert_eq!(
            world.calls.short(),
            ["start 0.start", "start 1.start", "stop 1.stop", "stop 0.stop"]
        );
        assert_eq!(
            world.steps()[2..6],
            ["web:start skipped", "web:ready skipped", "db:ready skipped", "task a skipped"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_when_asked_for_its_policy_is_not_started() {
    let world = World::new()
        .service_type("db", |it| it.on("ready_policy", [Script::new(End::Panic("p"))]))
        .service_type("web", |it| it);
    let result = run_job(&world, job("j", vec![service("web"), service("db"), task("a")])).await;
    let reason = "`db:start` errored: the implementation panicked: p";
    assert_eq!(ended(&result), (Status::Errored, reason));
    assert_eq!(world.calls.short(), ["start 0.start", "stop 0.stop"]);
    let view = world.view();
    let skipped: Vec<_> =
        view.steps.iter().filter(|it| it.status == Some(Status::Skipped)).collect();
    assert_eq!(skipped.len(), 2);
    assert!(skipped.iter().all(|it| it.reason.as_deref() == Some("`db:start` errored")));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_tried_again_is_stopped_in_between() {
    let world =
        World::new().service_type("db", |it| it.on("start", [Script::exit(1), Script::ok()]));
    let result = run_job(&world, job("j", vec![service("db").tried(2)])).await;
    assert_eq!(result.status, Status::Succeeded);
    assert_eq!(
        world.calls.short(),
        ["start 0.start", "stop 0.stop", "start 0.start", "ready 0.ready", "stop 0.stop"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_fails_changes_nothing() {
    for end in [End::Exit(1), End::Hang, End::Stuck, End::Panic("p")] {
        let world = World::new().service_type("db", |it| it.on("stop", [Script::new(end.clone())]));
        let result = world.run(job("j", vec![service("db"), task("a")])).await;
        assert_eq!(result.status, Status::Succeeded, "{end:?}");
        assert!(!world.view().steps.last().unwrap().status.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_hears_a_cancel_while_it_gets_ready() {
    for script in [Script::exit(1), Script::new(End::Hang)] {
        let world = World::new().service_type("db", |it| it.on("ready", [script]));
        let cancel = world.cancel.clone();
        let started = tokio::time::Instant::now();
        let (result, ()) =
            tokio::join!(world.run(job("j", vec![service("db"), task("a")])), async move {
                tokio::time::sleep(2 * SECOND + SECOND / 2).await;
                cancel.cancel("the build was cancelled");
            });
        check_invariants(&world);
        assert_eq!(result.status, Status::Cancelled);
        assert!(started.elapsed() < 3 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_service_tells_is_seen_by_later_steps() {
    let world = World::new().service_type("post-gres", |mut it| {
        it.exports.insert("PORT".into(), "5432".into());
        it.on("start", [Script::ok().exports("host=here\n")])
    });
    run_job(&world, job("j", vec![service("post-gres"), task("a")])).await;
    for call in world.calls.all().iter().filter(|it| it.what != "start") {
        assert_eq!(call.env["SERVICE_POST_GRES_PORT"], "5432", "{call:?}");
        assert_eq!(call.env["SERVICE_POST_GRES_HOST"], "here", "{call:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_journal_nothing_starts() {
    let world = World::new().service_type("db", |it| it);
    world.journal.refuse("start");
    let result = run_job(&world, job("j", vec![service("db")])).await;
    assert_eq!(result.status, Status::Errored);
    assert!(world.calls.all().is_empty());

    let world = World::new();
    world.journal.refuse("build");
    let result = run_job(&world, job("j", vec![task("a")])).await;
    assert_eq!(
        ended(&result),
        (Status::Errored, "the build cannot be written to the journal: the journal refuses")
    );
    assert_eq!(world.steps(), ["task a skipped"]);
}

#[tokio::test(start_paused = true)]
async fn a_get_that_does_not_pull_errs_and_a_put_that_is_refused_fails() {
    for (end, get_status, put_status) in [
        (End::Exit(1), Status::Errored, Status::Failed),
        (End::Refuse("no".into()), Status::Errored, Status::Failed),
        (End::Error("x".into()), Status::Errored, Status::Errored),
        (End::Hang, Status::Failed, Status::Failed),
    ] {
        for (step, status) in [(get("app"), get_status), (put("app"), put_status)] {
            let world = World::new().resource("app", &[]).resource_type(|it| {
                it.on("pull", [Script::new(end.clone())]).on("push", [Script::new(end.clone())])
            });
            let result = run_job(&world, job("j", vec![step.within(SECOND)])).await;
            assert_eq!(result.status, status, "{end:?}");
            assert!(result.outputs.is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_without_a_version_errs() {
    let mut world = World::new().resource("app", &[]);
    world.inputs.clear();
    let result = run_job(&world, job("j", vec![get("app")])).await;
    assert_eq!(
        ended(&result),
        (Status::Errored, "`get app` errored: no version of `app` was chosen for this build")
    );
}

#[tokio::test(start_paused = true)]
async fn a_notify_never_changes_the_result() {
    for end in [End::Exit(1), End::Error("x".into()), End::Panic("p")] {
        let world = World::new()
            .notification("team", |_| {})
            .notification_type(|it| it.on("notify", [Script::new(end)]));
        let result = run_job(&world, job("j", vec![notify("team"), task("a")])).await;
        assert_eq!(result.status, Status::Succeeded);
        assert_eq!(world.steps()[1], "task a succeeded");
        assert!(!world.view().steps[0].status.unwrap().is_ok(), "the step itself tells the truth");
    }
}

#[tokio::test(start_paused = true)]
async fn notifications_are_sent_for_the_ends_they_name() {
    use NotifyOn::{All, Broken, Cancel, Error, Failure, Fixed, Success};
    let ok = Some(Status::Succeeded);
    let bad = Some(Status::Failed);
    for (on, end, previous, sent) in [
        (vec![Success], End::Exit(0), None, true),
        (vec![Success], End::Exit(1), None, false),
        (vec![Failure], End::Exit(1), None, true),
        (vec![Failure, Error], End::Error("x".into()), None, true),
        (vec![Failure], End::Error("x".into()), None, false),
        (vec![Cancel], End::Exit(1), None, false),
        (vec![Broken], End::Exit(1), ok, true),
        (vec![Broken], End::Exit(1), bad, false),
        (vec![Broken], End::Exit(1), None, false),
        (vec![Fixed], End::Exit(0), bad, true),
        (vec![Fixed], End::Exit(0), ok, false),
        (vec![All], End::Exit(1), None, true),
        (vec![], End::Exit(1), None, false),
    ] {
        let mut world = World::new()
            .runner(|it| it.on("a", [Script::new(end.clone())]))
            .notification("team", |it| it.on.clone_from(&on))
            .notification("other", |it| {
                it.on.clone_from(&on);
                it.jobs = vec!["k".into()];
            })
            .notification("not-this", |it| {
                it.on.clone_from(&on);
                it.exclude = vec!["j".into()];
            });
        world.previous = previous;
        run_job(&world, job("j", vec![task("a")])).await;
        let expected = if sent { vec!["notify notification.scripted.team"] } else { vec![] };
        assert_eq!(world.calls.short()[1..], expected, "{on:?} {end:?} {previous:?}");
        if sent {
            let call = &world.calls.all()[1];
            assert_eq!(call.params["status"], call.env["BUILD_STATUS"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_has_its_newlines_and_names() {
    let world = World::new().notification("team", |it| {
        it.message = Some(Value::from("$BUILD_JOB_NAME\\n${BUILD_NUMBER} $NOPE"))
    });
    run_job(&world, job("j", vec![notify("team")])).await;
    assert_eq!(world.calls.all()[0].params["message"], "j\n7 $NOPE");
}
