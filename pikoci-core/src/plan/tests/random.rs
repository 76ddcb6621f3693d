//! Random plans in which random things go wrong at random times.

use std::time::Duration;

use proptest::prelude::*;

use super::check_invariants;
use super::matrix::{foretell, world};
use crate::pipeline::{HookBody, Step, StepKind};
use crate::testkit::End;
use crate::testkit::plan::{
    attempt, get, in_parallel, job, notify, put, run, sequence, service, task, when,
};

const NAMES: [&str; 9] = ["a", "b", "c", "pull", "push", "start", "ready", "stop", "notify"];

fn leaf() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::sample::select(vec!["a", "b", "c"]).prop_map(task),
        1 => Just(get("app")),
        1 => Just(put("app")),
        1 => Just(service("db")),
        1 => Just(notify("team")),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    leaf().prop_recursive(3, 20, 4, |inner| {
        let steps = || proptest::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            (0_u32..3, any::<bool>(), steps()).prop_map(|(limit, fast, steps)| {
                // Services may not stand in it, as the language says.
                let steps =
                    steps
                        .into_iter()
                        .map(|step| {
                            if matches!(step.kind, StepKind::Service(_)) { task("a") } else { step }
                        })
                        .collect();
                in_parallel(limit, fast, steps)
            }),
            steps().prop_map(sequence),
            steps().prop_map(attempt),
            (steps(), steps()).prop_map(|(a, b)| when(vec![("true", a)], b)),
            (inner.clone(), 1_u32..3, steps()).prop_map(|(step, attempts, hook)| {
                step.tried(attempts)
                    .hooked("on_failure", run("c"))
                    .hooked("ensure", HookBody::Steps(hook))
            }),
        ]
    })
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Exit(0)),
        1 => Just(End::Exit(1)),
        1 => Just(End::Error("x".into())),
        1 => Just(End::Hang),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_plan_comes_to_one_end(
        steps in proptest::collection::vec(step(), 0..5),
        ends in proptest::collection::vec(end(), NAMES.len()),
        cancel_after in proptest::option::of(0_u64..120),
        timeout in proptest::option::of(1_u64..120),
    ) {
        let hits: Vec<(&str, End)> = NAMES.into_iter().zip(ends).collect();
        let hangs = hits.iter().any(|(name, end)| *end == End::Hang && *name != "stop");
        // Something has to end what hangs for ever.
        let cancel_after = cancel_after.or((hangs && timeout.is_none()).then_some(60));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime can be made");
        let world = world(&hits);
        let mut plan = job("j", steps);
        plan.timeout = timeout.map(Duration::from_secs);
        let expected = foretell(&plan.steps, &|name| {
            hits.iter().find(|(it, _)| *it == name).map(|(_, end)| end.clone())
        });
        let result = runtime.block_on(async {
            let work = world.run(plan);
            let cancel = async {
                match cancel_after {
                    Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                    None => std::future::pending().await,
                }
                world.cancel.cancel("the build was cancelled");
                std::future::pending::<()>().await;
            };
            tokio::select! {
                result = work => result,
                () = cancel => unreachable!("it never ends"),
            }
        });
        check_invariants(&world);
        if cancel_after.is_none() && timeout.is_none() {
            prop_assert_eq!(result.status, expected);
        }
    }
}
