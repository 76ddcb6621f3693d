//! What builds do: cancelled, at the same time, panicking, gone on with.

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::clock::{Clock, SystemClock};
use pikoci_core::context::StepRun;
use pikoci_core::dispatch::Signal;
use pikoci_core::testkit::dispatch::{Fault, Method};
use pikoci_core::{Exit, Params, Runner, Status, TypeError};

use super::*;

#[tokio::test]
async fn a_cancel_ends_the_processes_soon_and_tells_why() {
    let bench = Bench::new();
    let file = bench.path("pid");
    let claim = claim(&script(&sleeper(&file)));
    bench.dispatcher.give_build(claim.clone());
    let worker = bench.start();
    until("the script runs", || file.exists()).await;
    let asked = Instant::now();
    let (build, epoch) = (claim.context.id, claim.epoch);
    let reason = "cancelled by alice".to_owned();
    bench.dispatcher.signal(&Signal::Cancel { build, epoch: 2, reason: "not this one".into() });
    bench.dispatcher.signal(&Signal::Cancel { build, epoch, reason });
    let result = bench.dispatcher.result_of(build).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(
        (result.status, &*result.reason.unwrap()),
        (Status::Cancelled, "cancelled by alice")
    );
    assert!(!lives(&file));
    bench.drain(worker).await;
}

#[tokio::test]
async fn a_cancel_that_comes_before_the_build_counts() {
    let bench = Bench::new();
    let worker = bench.start();
    let listening = |it: &Told| it.calls.contains_key(&Method::Signals).then_some(());
    bench.dispatcher.until("it listens", listening).await;
    let claim = claim(&script("sleep 300"));
    let (build, epoch) = (claim.context.id, claim.epoch);
    bench.dispatcher.signal(&Signal::Cancel { build, epoch, reason: "too late".into() });
    bench.dispatcher.give_build(claim.clone());
    let result = bench.dispatcher.result_of(build).await;
    assert_eq!((result.status, &*result.reason.unwrap()), (Status::Cancelled, "too late"));
    bench.drain(worker).await;
}

#[tokio::test]
async fn two_slots_are_busy_at_once_and_no_third() {
    let bench = Bench::new();
    // Each waits for the other.
    let meet = |own: &str, other: &str| {
        let (own, other) = (bench.path(own), bench.path(other));
        script(&format!(
            "touch {}; while [ ! -e {} ]; do sleep 0.01; done",
            own.display(),
            other.display()
        ))
    };
    let claims = [claim(&meet("a", "b")), claim(&meet("b", "a")), claim(&script("true"))];
    for claim in &claims {
        bench.dispatcher.give_build(claim.clone());
    }
    let worker = bench.start();
    for claim in &claims {
        let result = bench.dispatcher.result_of(claim.context.id).await;
        assert_eq!(result.status, Status::Succeeded);
    }
    bench.drain(worker).await;
}

#[tokio::test]
async fn a_slot_goes_on_while_the_last_report_of_its_build_is_on_its_way() {
    let mut bench = Bench::new();
    bench.options.build_slots = 1;
    let empty = Arc::new(pipeline(r#"job "j" {}"#));
    let (first, second) = (claim(&empty), claim(&empty));
    bench.dispatcher.fail(Method::Report, vec![Fault::Unavailable; 1000]);
    bench.dispatcher.give_build(first.clone());
    bench.dispatcher.give_build(second.clone());
    let worker = bench.start();
    let claimed = |it: &Told| (it.calls.get(&Method::Claim) >= Some(&3)).then_some(());
    bench.dispatcher.until("it claims a third one", claimed).await;
    assert!(bench.dispatcher.told().results.is_empty());
    bench.dispatcher.heal(Method::Report);
    bench.dispatcher.result_of(first.context.id).await;
    bench.dispatcher.result_of(second.context.id).await;
    bench.drain(worker).await;
}

/// A runner with a bug.
#[derive(Debug)]
struct Panics;

#[async_trait]
impl Runner for Panics {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn run(&self, _step: &mut StepRun<'_>, _params: &Params) -> Result<Exit, TypeError> {
        panic!("a bug")
    }
}

/// A clock that has a bug when it is asked for the time once too often.
#[derive(Debug)]
struct BrokenClock(SystemClock, std::sync::atomic::AtomicUsize);

impl Clock for BrokenClock {
    fn now(&self) -> jiff::Timestamp {
        let asked = self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        assert!(asked != 1, "a bug");
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn id(&self) -> Uuid {
        self.0.id()
    }
}

#[tokio::test]
async fn a_panic_is_told_as_an_error() {
    for in_the_clock in [false, true] {
        let mut bench = Bench::new();
        if in_the_clock {
            bench.options.clock = Arc::new(BrokenClock(SystemClock::new(), 0.into()));
        } else {
            bench.types = bench.types.runner("shell", Panics);
        }
        let claim = claim(&script("true"));
        bench.dispatcher.give_build(claim.clone());
        let worker = bench.start();
        let result = bench.dispatcher.result_of(claim.context.id).await;
        assert_eq!(result.status, Status::Errored);
        assert!(result.reason.unwrap().contains("panicked"));
        let log = bench.dispatcher.told().logs[&claim.context.id].clone();
        assert!(matches!(log.last().unwrap().kind, EventKind::BuildFinished { .. }));
        bench.stop.cancel();
        ended(worker).await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_begin_is_told_as_an_error() {
    let mut bench = Bench::new();
    bench.options.workspaces = Some(bench.path("file"));
    std::fs::write(bench.path("file"), "").unwrap();
    let claim = claim(&script("true"));
    bench.dispatcher.give_build(claim.clone());
    let worker = bench.start();
    let result = bench.dispatcher.result_of(claim.context.id).await;
    assert_eq!(result.status, Status::Errored);
    let reason = result.reason.unwrap();
    assert!(reason.starts_with("its workspace cannot be made: `"), "{reason}");
    bench.drain(worker).await;
}

/// A plan whose second task fails until a file is there.
fn fails_until(file: &Path) -> Arc<Pipeline> {
    let text = format!(
        r#"job "j" {{
          task "a" {{ run "shell" {{ cmd = "echo made > made; echo tag=v7 >> $PIKOCI_OUTPUT" }} }}
          task "b" {{ run "shell" {{ cmd = "cat made; echo $TASK_A_TAG; test -e {}" }} }}
        }}"#,
        file.display()
    );
    Arc::new(pipeline(&text))
}

#[tokio::test]
async fn a_failed_build_is_gone_on_with_where_it_failed() {
    let bench = Bench::new();
    let first = claim(&fails_until(&bench.path("now")));
    let worker = bench.start();
    bench.dispatcher.give_build(first.clone());
    let result = bench.dispatcher.result_of(first.context.id).await;
    assert_eq!((result.status, result.failed_at), (Status::Failed, None));
    assert!(bench.dispatcher.told().results[&first.context.id].1, "its workspace was kept");

    let again = resumed(&first);
    bench.dispatcher.give_build(again.clone());
    bench.dispatcher.result_of(again.context.id).await;
    std::fs::write(bench.path("now"), "").unwrap();
    let third = resumed(&again);
    bench.dispatcher.give_build(third.clone());
    let result = bench.dispatcher.result_of(third.context.id).await;
    assert_eq!(result.status, Status::Succeeded);
    {
        let told = bench.dispatcher.told();
        assert_eq!(steps(&told, third.context.id), ["task a skipped", "task b succeeded"]);
        assert_eq!(printed(&told, third.context.id), "made\nv7\n");
    }
    let fourth = resumed(&first);
    bench.dispatcher.give_build(fourth.clone());
    let result = bench.dispatcher.result_of(fourth.context.id).await;
    assert_eq!(
        (result.status, &*result.reason.unwrap()),
        (
            Status::Errored,
            "the workspace of the build that it was to go on with is not here any more"
        )
    );
    bench.drain(worker).await;
}

#[tokio::test]
async fn no_more_workspaces_are_kept_than_may_be() {
    for at_most in [0, 1] {
        let mut bench = Bench::new();
        let longest = Duration::from_secs(3600);
        bench.options.keep_failed = Some(KeepFailed { at_most, longest });
        bench.options.build_slots = 1;
        let worker = bench.start();
        let failing = script("exit 3");
        for _ in 0..3 {
            let claim = claim(&failing);
            bench.dispatcher.give_build(claim.clone());
            bench.dispatcher.result_of(claim.context.id).await;
            let kept = bench.dispatcher.told().results[&claim.context.id].1;
            assert_eq!(kept, at_most > 0);
        }
        let workspaces = bench.path("workspaces");
        until("the others are removed", || {
            std::fs::read_dir(&workspaces).unwrap().count() == at_most
        })
        .await;
        bench.drain(worker).await;
    }
}

#[tokio::test]
async fn workspaces_are_kept_no_longer_than_they_may_be() {
    let mut bench = Bench::with_ttl(Duration::from_millis(300));
    let longest = Duration::from_millis(1);
    bench.options.keep_failed = Some(KeepFailed { at_most: 5, longest });
    let worker = bench.start();
    let claim = claim(&script("exit 3"));
    bench.dispatcher.give_build(claim.clone());
    bench.dispatcher.result_of(claim.context.id).await;
    until("it is removed", || std::fs::read_dir(bench.path("workspaces")).unwrap().count() == 0)
        .await;
    bench.drain(worker).await;
}
