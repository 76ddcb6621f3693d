//! Ten plan shapes; in each, everything that can go wrong goes wrong in turn,
//! and the end is the one that a naive model foretells.

use std::time::Duration;

use super::check_invariants;
use crate::pipeline::{HookBody, Step, StepKind};
use crate::status::Status;
use crate::testkit::plan::{
    World, attempt, get, in_parallel, job, notify, put, run, sequence, service, task, when,
};
use crate::testkit::{End, Script};

/// How a step that is hit ends, and the status that this gives the build as
/// far as the steps around it let it through. `CANCEL` stands for a step that
/// hangs in a build that is cancelled.
type Hit<'a> = &'a dyn Fn(&str) -> Option<End>;

/// The naive model: what becomes of `steps`, one after the other.
pub(super) fn foretell(steps: &[Step], hit: Hit<'_>) -> Status {
    for step in steps {
        let status = foretell_step(step, hit);
        if !status.is_ok() {
            return status;
        }
    }
    Status::Succeeded
}

fn foretell_step(step: &Step, hit: Hit<'_>) -> Status {
    let one = |name: &str, refusal: Status| match hit(name) {
        None | Some(End::Exit(0)) => Status::Succeeded,
        Some(End::Hang) => Status::Cancelled,
        Some(End::Exit(_) | End::Signal(_) | End::Refuse(_)) => refusal,
        Some(End::Error(_) | End::Panic(_) | End::Stuck) => Status::Errored,
    };
    match &step.kind {
        StepKind::Get(_) => one("pull", Status::Errored),
        StepKind::Task(task) => one(&task.name, Status::Failed),
        StepKind::Put(_) => one("push", Status::Failed),
        StepKind::Service(_) => match one("start", Status::Errored) {
            // An exit of the ready check means "not yet", for ever.
            Status::Succeeded => one("ready", Status::Errored),
            status => status,
        },
        StepKind::Notify(_) => match one("notify", Status::Failed) {
            Status::Cancelled => Status::Cancelled,
            _ => Status::Succeeded,
        },
        StepKind::InParallel { steps, .. } => steps
            .iter()
            .map(|step| foretell_step(step, hit))
            .filter(|status| !status.is_ok())
            .fold(Status::Succeeded, Status::worst),
        StepKind::Do { steps } => foretell(steps, hit),
        StepKind::Try { steps } => {
            let cancelled = steps.iter().any(|step| foretell_step(step, hit) == Status::Cancelled);
            if cancelled { Status::Cancelled } else { Status::Succeeded }
        }
        // In these plans the first branch is taken.
        StepKind::If { branches, .. } => foretell(&branches[0].steps, hit),
    }
}

/// A world in which what `hit` names ends as it says.
pub(super) fn world(hits: &[(&str, End)]) -> World {
    let script = |end: &End| [Script::new(end.clone())];
    World::new()
        .resource("app", &[])
        .notification("team", |_| {})
        .runner(|it| hits.iter().fold(it, |it, (name, end)| it.on(name, script(end))))
        .resource_type(|it| hits.iter().fold(it, |it, (name, end)| it.on(name, script(end))))
        .service_type("db", |it| hits.iter().fold(it, |it, (name, end)| it.on(name, script(end))))
        .notification_type(|it| hits.iter().fold(it, |it, (name, end)| it.on(name, script(end))))
}

fn shapes() -> Vec<(&'static str, Vec<Step>)> {
    let yes = "true";
    vec![
        ("flat", vec![get("app"), task("a"), task("b"), put("app")]),
        ("services", vec![service("db"), service("db"), task("a"), service("db"), task("b")]),
        (
            "parallel",
            vec![in_parallel(0, false, vec![get("app"), task("a"), put("app")]), task("b")],
        ),
        ("parallel, limited", vec![in_parallel(1, false, vec![task("a"), task("b")]), task("c")]),
        (
            "parallel, failing fast",
            vec![service("db"), in_parallel(0, true, vec![task("a"), task("b")]), put("app")],
        ),
        (
            "do",
            vec![sequence(vec![task("a"), sequence(vec![service("db"), task("b")])]), task("c")],
        ),
        ("try", vec![attempt(vec![task("a"), put("app"), task("b")]), task("c")]),
        ("if", vec![when(vec![(yes, vec![task("a"), service("db")])], vec![task("x")]), task("b")]),
        (
            "mixed",
            vec![
                get("app"),
                in_parallel(
                    2,
                    false,
                    vec![
                        sequence(vec![task("a"), notify("team")]),
                        attempt(vec![task("b")]),
                        when(vec![(yes, vec![task("c")])], vec![]),
                    ],
                ),
                put("app"),
            ],
        ),
        (
            "hooks",
            vec![
                service("db").hooked("on_success", run("hook")),
                task("a")
                    .tried(2)
                    .hooked("on_failure", HookBody::Steps(vec![notify("team"), task("hook")]))
                    .hooked("ensure", run("hook")),
                notify("team"),
                task("b"),
            ],
        ),
    ]
}

const NAMES: [&str; 11] =
    ["a", "b", "c", "x", "hook", "pull", "push", "start", "ready", "stop", "notify"];

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_there_is_one_end_and_the_foretold_one() {
    let ends = [End::Exit(3), End::Signal(9), End::Error("x".into()), End::Panic("p"), End::Hang];
    for (shape, steps) in shapes() {
        for name in NAMES {
            for end in &ends {
                let world = world(&[(name, end.clone())]);
                let plan = job("j", steps.clone());
                let hit = |it: &str| (it == name).then(|| end.clone());
                let mut expected = foretell(&plan.steps, &hit);
                let cancel = world.cancel.clone();
                let done = tokio_util::sync::CancellationToken::new();
                let watch = done.clone();
                let (result, ()) = tokio::join!(
                    async {
                        let result = world.run(plan).await;
                        done.cancel();
                        result
                    },
                    async {
                        // A stop has a limit of its own; all else hangs until the cancel.
                        let hangs = *end == End::Hang && name != "stop";
                        if hangs {
                            tokio::select! {
                                () = tokio::time::sleep(Duration::from_secs(3)) => cancel.cancel("the build was cancelled"),
                                () = watch.cancelled() => {}
                            }
                        }
                    }
                );
                // The model knows nothing of hooks; one that hangs is reached or not.
                if *end == End::Hang && name == "hook" {
                    let reached = world.cancel.is_cancelled();
                    expected = if reached { Status::Cancelled } else { Status::Succeeded };
                }
                check_invariants(&world);
                assert_eq!(result.status, expected, "{shape}: {name} ends as {end:?}");
                let skipped = world.view().steps.iter().all(|step| step.status.is_some());
                assert!(skipped, "{shape}: {name}: every step is told");
            }
        }
    }
}
