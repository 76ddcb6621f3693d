//! Sessions: begun, renewed, lost, ended, and what a dead worker left.

use pikoci_core::dispatch::{SessionId, Signal};
use pikoci_core::testkit::dispatch::{Fault, Method};
use pikoci_core::{Journal as _, Status};

use super::*;
use crate::journal::FileJournal;

#[tokio::test]
async fn a_lost_session_ends_what_runs_and_another_one_begins() {
    let bench = Bench::new();
    let file = bench.path("pid");
    let lost = claim(&script(&sleeper(&file)));
    bench.dispatcher.give_build(lost.clone());
    let worker = bench.start();
    until("the script runs", || file.exists()).await;
    bench.dispatcher.until("the first events", |it| it.reports.first().map(drop)).await;
    let reports = bench.dispatcher.told().reports.len();
    bench.dispatcher.signal(&Signal::Lost);
    bench.dispatcher.until("it registers again", |it| it.registrations.get(1).map(drop)).await;
    assert!(!lives(&file), "all has ended before the next session");
    {
        let told = bench.dispatcher.told();
        assert!(told.registrations[1].replaces.is_some());
        assert_eq!(told.reports.len(), reports, "nothing more is told");
    }
    let next = claim(&script("true"));
    bench.dispatcher.give_build(next.clone());
    assert_eq!(bench.dispatcher.result_of(next.context.id).await.status, Status::Succeeded);
    bench.drain(worker).await;
}

#[tokio::test]
async fn a_session_that_cannot_be_renewed_is_lost_when_its_time_is_over() {
    let bench = Bench::with_ttl(Duration::from_millis(400));
    let file = bench.path("pid");
    bench.dispatcher.give_build(claim(&script(&sleeper(&file))));
    let worker = bench.start();
    until("the script runs", || file.exists()).await;
    bench.dispatcher.fail(Method::Renew, vec![Fault::Unavailable; 1000]);
    bench.dispatcher.until("it registers again", |it| it.registrations.get(1).map(drop)).await;
    assert!(!lives(&file));
    bench.dispatcher.heal(Method::Renew);
    bench.drain(worker).await;
}

#[tokio::test]
async fn renewals_name_what_runs_and_end_what_is_lost() {
    let bench = Bench::with_ttl(Duration::from_millis(900));
    let (stays, goes) = (bench.path("stays"), bench.path("goes"));
    let (first, second) = (claim(&script(&sleeper(&stays))), claim(&script(&sleeper(&goes))));
    bench.dispatcher.give_build(first.clone());
    bench.dispatcher.give_build(second.clone());
    let worker = bench.start();
    until("the scripts run", || stays.exists() && goes.exists()).await;
    let both = |it: &Told| it.renewals.last().filter(|it| it.len() == 2).map(drop);
    bench.dispatcher.until("both are named", both).await;
    bench.dispatcher.lose_build(running(&second));
    until("it is ended", || !lives(&goes)).await;
    assert!(lives(&stays));
    let one = |it: &Told| it.renewals.last().filter(|it| **it == [running(&first)]).map(drop);
    bench.dispatcher.until("the other is named", one).await;
    let (build, epoch) = (first.context.id, first.epoch);
    bench.dispatcher.signal(&Signal::Cancel { build, epoch, reason: "enough".into() });
    bench.dispatcher.result_of(build).await;
    bench.drain(worker).await;
    assert!(!bench.dispatcher.told().results.contains_key(&second.context.id));
}

#[tokio::test]
async fn a_build_that_comes_back_waits_for_the_end_of_what_was_lost() {
    let bench = Bench::new();
    let (file, all) = (bench.path("pid"), bench.path("all"));
    let text = format!("echo $BUILD_ATTEMPT >> {}; {}", all.display(), sleeper(&file));
    let mut first = claim(&script(&text));
    bench.dispatcher.fail(Method::Report, [Fault::BuildLost]);
    bench.dispatcher.give_build(first.clone());
    let worker = bench.start();
    first.epoch = 2;
    first.attempt = 2;
    first.pipeline = script(&format!("echo $BUILD_ATTEMPT >> {}", all.display()));
    let build = first.context.id;
    bench.dispatcher.give_build(first);
    let result = bench.dispatcher.result_of(build).await;
    assert_eq!((result.status, result.reason), (Status::Succeeded, None));
    let attempts = std::fs::read_to_string(&all).unwrap();
    assert!(attempts.ends_with("2\n"), "{attempts}");
    bench.drain(worker).await;
}

#[tokio::test]
async fn draining_lets_builds_end_and_takes_no_more() {
    for asked in [true, false] {
        let bench = Bench::new();
        let (file, go) = (bench.path("running"), bench.path("go"));
        let claim = claim(&script(&format!(
            "touch {}; while [ ! -e {} ]; do sleep 0.01; done; echo done",
            file.display(),
            go.display()
        )));
        bench.dispatcher.give_build(claim.clone());
        let worker = bench.start();
        until("the script runs", || file.exists()).await;
        if asked {
            bench.stop.cancel();
        } else {
            bench.dispatcher.signal(&Signal::Drain);
        }
        bench.dispatcher.until("it claims no more", |it| (it.claiming == 0).then_some(())).await;
        bench.dispatcher.give_build(self::claim(&claim.pipeline));
        std::fs::write(go, "").unwrap();
        let end = ended(worker).await.unwrap();
        assert_eq!(end, if asked { WorkerEnd::Stopped } else { WorkerEnd::Drained });
        let told = bench.dispatcher.told();
        assert_eq!(printed(&told, claim.context.id), "done\n");
        assert_eq!((told.results.len(), told.left.len()), (1, 1));
        drop(told);
        assert_eq!(bench.left_over(), [""; 0]);
    }
}

#[tokio::test]
async fn killing_cancels_what_runs_and_tells_it() {
    let bench = Bench::new();
    let file = bench.path("pid");
    let claim = claim(&script(&sleeper(&file)));
    bench.dispatcher.give_build(claim.clone());
    let worker = bench.start();
    until("the script runs", || file.exists()).await;
    bench.options.kill.cancel();
    ended(worker).await.unwrap();
    assert!(!lives(&file));
    let told = bench.dispatcher.told();
    let (result, kept) = &told.results[&claim.context.id];
    let reason = Some("worker `w1` was stopped".to_owned());
    assert_eq!((result.status, &result.reason, *kept), (Status::Cancelled, &reason, false));
}

#[tokio::test]
async fn one_directory_serves_one_live_worker() {
    let bench = Bench::new();
    let worker = bench.start();
    bench.dispatcher.until("it registers", |it| it.registrations.first().map(drop)).await;
    let error = ended(bench.start()).await.unwrap_err().to_string();
    let holder = format!("is in use by worker `w1` (process {})", std::process::id());
    assert!(error.ends_with(&holder), "{error}");
    bench.drain(worker).await;
    // The next one finds a directory that was left as it should be.
    let mut bench = bench;
    bench.stop = CancellationToken::new();
    let worker = bench.start();
    bench.dispatcher.until("it registers", |it| it.registrations.get(1).map(drop)).await;
    assert_eq!(bench.dispatcher.told().registrations[1].replaces, None);
    bench.drain(worker).await;
}

#[tokio::test]
async fn what_a_dead_worker_left_is_ended_before_the_next_one_registers() {
    let bench = Bench::new();
    let session = SessionId(Uuid::now_v7());
    let dead = claim(&script("true"));
    let root = bench.path("workspaces");
    let workspace = DirWorkspace::create(&root, dead.context.id, None).unwrap();
    {
        // Its locks end with it, as they do with a process.
        let home = Home::open(&bench.path("journal"), "w0").unwrap();
        home.remember(session).unwrap();
        let journal = FileJournal::new(bench.path("journal"), Some(root));
        journal.build_started(dead.context.id, &dead.pipeline).unwrap();
    }
    let worker = bench.start();
    bench.dispatcher.until("it registers", |it| it.registrations.first().map(drop)).await;
    assert!(!workspace.path().exists());
    assert_eq!(bench.dispatcher.told().registrations[0].replaces, Some(session));
    bench.drain(worker).await;
}

#[tokio::test]
async fn a_worker_that_is_refused_says_so() {
    let bench = Bench::new();
    bench.dispatcher.fail(Method::Register, [Fault::Unavailable, Fault::Invalid]);
    let error = ended(bench.start()).await.unwrap_err();
    assert!(matches!(error, WorkerError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_worker_that_is_dropped_leaves_no_process_and_tells_nothing_more() {
    let bench = Bench::new();
    let file = bench.path("pid");
    let claim = claim(&script(&sleeper(&file)));
    bench.dispatcher.give_build(claim.clone());
    let worker = bench.start();
    until("the script runs", || file.exists()).await;
    worker.abort();
    assert!(worker.await.unwrap_err().is_cancelled());
    until("the process is gone", || !lives(&file)).await;
    let session = bench.dispatcher.told().registrations.len();
    let next = bench.start();
    bench.dispatcher.until("it registers", |it| it.registrations.get(session).map(drop)).await;
    {
        let told = bench.dispatcher.told();
        assert!(told.registrations[session].replaces.is_some());
        assert!(!told.results.contains_key(&claim.context.id));
    }
    bench.drain(next).await;
}
