//! How builds are told: in order, all of it, once.

use futures_util::FutureExt as _;
use pikoci_core::Status;
use pikoci_core::event::{Event, OutputData, OutputStream};
use pikoci_core::name::StepId;
use pikoci_core::plan::EventSink as _;
use pikoci_core::testkit::dispatch::{Fault, Method};

use super::super::report::{BUFFER_BYTES, REPORT_BYTES, Reports};
use super::*;

#[tokio::test]
async fn a_build_of_a_moment_is_one_report_with_all_its_events() {
    let bench = Bench::new();
    // Nothing is started, so that it is done within a moment on any machine.
    let claim = claim(&Arc::new(pipeline(r#"job "j" {}"#)));
    bench.dispatcher.give_build(claim.clone());
    let worker = bench.start();
    let result = bench.dispatcher.result_of(claim.context.id).await;
    assert_eq!(result.status, Status::Succeeded);
    bench.drain(worker).await;
    let told = bench.dispatcher.told();
    assert_eq!(told.calls[&Method::Report], 1);
    let report = &told.reports[0];
    assert_eq!((report.epoch, report.workspace_kept), (1, false));
    assert_eq!(report.events[0].number, 4);
    assert!(matches!(report.events.last().unwrap().kind, EventKind::BuildFinished { .. }));
    assert_eq!(told.left.len(), 1, "it left");
}

#[tokio::test]
async fn much_output_is_told_in_order_while_the_build_runs() {
    let bench = Bench::new();
    let claim = claim(&script("seq 1 300000"));
    bench.dispatcher.fail(Method::Report, vec![Fault::Late(Duration::from_millis(30)); 5]);
    bench.dispatcher.give_build(claim.clone());
    let worker = bench.start();
    bench.dispatcher.result_of(claim.context.id).await;
    bench.drain(worker).await;
    let told = bench.dispatcher.told();
    let expected: Vec<String> = (1..=300_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(printed(&told, claim.context.id), expected.concat());
    assert!(told.reports.len() >= 4, "{} reports", told.reports.len());
    for report in &told.reports {
        let bytes = |event: &Event| match &event.kind {
            EventKind::StepOutput { data, .. } => data.0.len(),
            _ => 0,
        };
        let bytes: usize = report.events.iter().map(bytes).sum();
        assert!(bytes <= REPORT_BYTES, "{bytes}");
    }
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_while_the_dispatcher_is_away() {
    let bench = Bench::new();
    let claim = claim(&script("for i in 1 2 3 4 5 6; do echo $i; sleep 0.02; done"));
    let faults = [Fault::Unavailable, Fault::AnswerLost, Fault::Unavailable, Fault::AnswerLost];
    bench.dispatcher.fail(Method::Register, [Fault::Unavailable, Fault::Unavailable]);
    bench.dispatcher.fail(Method::Claim, [Fault::Unavailable]);
    bench.dispatcher.fail(Method::Signals, [Fault::Unavailable]);
    bench.dispatcher.fail(Method::Report, faults);
    bench.dispatcher.give_build(claim.clone());
    let worker = bench.start();
    bench.dispatcher.result_of(claim.context.id).await;
    bench.drain(worker).await;
    let told = bench.dispatcher.told();
    let log = &told.logs[&claim.context.id];
    let numbers: Vec<u64> = log.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (4..4 + log.len() as u64).collect::<Vec<_>>());
    assert_eq!(printed(&told, claim.context.id), "1\n2\n3\n4\n5\n6\n");
}

#[tokio::test]
async fn a_full_buffer_slows_the_build_and_loses_nothing_when_the_wait_is_dropped() {
    let reports = Reports::new(0);
    let event = |number| Event {
        number,
        time: jiff::Timestamp::UNIX_EPOCH,
        kind: EventKind::StepOutput {
            step: StepId::root(0),
            stream: OutputStream::Stdout,
            data: OutputData(vec![b'x'; 60_000].into()),
        },
    };
    let mut taken = 0;
    let full = loop {
        let done = reports.event(event(taken)).now_or_never();
        taken += 1;
        if done.is_none() {
            break reports.waiting_bytes();
        }
    };
    assert!((BUFFER_BYTES..BUFFER_BYTES + 100_000).contains(&full), "{full}");
    assert_eq!(reports.next(), taken, "the last one is there, too");
    reports.close();
    reports.event(event(taken)).await;
    assert_eq!(reports.waiting_bytes(), 0);
}

#[tokio::test]
async fn a_build_whose_events_are_refused_ends_as_errored() {
    let bench = Bench::new();
    let claim = claim(&script("echo hello; sleep 300"));
    bench.dispatcher.fail(Method::Report, [Fault::Invalid]);
    bench.dispatcher.give_build(claim.clone());
    let worker = bench.start();
    let result = bench.dispatcher.result_of(claim.context.id).await;
    assert_eq!(result.status, Status::Errored);
    assert_eq!(result.reason.unwrap(), "the build could not be told: it makes no sense");
    bench.drain(worker).await;
}
