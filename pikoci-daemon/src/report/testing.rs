//! Recorded event sequences for the reporters' tests.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use pikoci_core::event::{OutputData, OutputStream, StepType};
use pikoci_core::name::{BuildId, BuildName, StepId};
use pikoci_core::version::Version;
use pikoci_core::{Event, EventKind, Status};

use super::Report;

/// Writes down events one after the other.
#[derive(Debug, Default)]
pub(super) struct Script(Vec<Event>);

impl Script {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn events(self) -> Vec<Event> {
        self.0
    }

    pub(super) fn push(&mut self, kind: EventKind) -> &mut Self {
        let time: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        self.0.push(Event { number: self.0.len() as u64, time, kind });
        self
    }

    pub(super) fn build(&mut self, job: &str) -> &mut Self {
        let name = BuildName {
            team: "main".into(),
            pipeline: "app".into(),
            job: job.into(),
            number: "1".into(),
        };
        let id = BuildId(serde_json::from_str("\"0190b5a0-0000-7000-8000-000000000000\"").unwrap());
        self.push(EventKind::BuildCreated { id, name })
    }

    pub(super) fn start(&mut self, step: &str, kind: StepType, name: &str) -> &mut Self {
        self.attempt(step, kind, name, 1)
    }

    pub(super) fn attempt(
        &mut self,
        step: &str,
        kind: StepType,
        name: &str,
        attempt: u32,
    ) -> &mut Self {
        self.push(EventKind::StepStarted {
            step: StepId::new(step),
            name: name.into(),
            kind,
            attempt,
            location: None,
        })
    }

    pub(super) fn output(&mut self, step: &str, data: impl AsRef<[u8]>) -> &mut Self {
        self.push(EventKind::StepOutput {
            step: StepId::new(step),
            stream: OutputStream::Stdout,
            data: OutputData(Bytes::copy_from_slice(data.as_ref())),
        })
    }

    pub(super) fn version(&mut self, step: &str, version: &str) -> &mut Self {
        self.push(EventKind::VersionFetched {
            step: StepId::new(step),
            resource: "git.app".into(),
            version: Version::from_pairs([("ref", version)]),
            metadata: Default::default(),
        })
    }

    pub(super) fn pass(&mut self, step: &str, millis: u64) -> &mut Self {
        self.finish(step, Status::Succeeded, millis, None, false)
    }

    pub(super) fn fail(&mut self, step: &str, millis: u64, reason: &str) -> &mut Self {
        self.finish(step, Status::Failed, millis, Some(reason), false)
    }

    pub(super) fn finish(
        &mut self,
        step: &str,
        status: Status,
        millis: u64,
        reason: Option<&str>,
        will_retry: bool,
    ) -> &mut Self {
        self.push(EventKind::StepFinished {
            step: StepId::new(step),
            status,
            duration: Duration::from_millis(millis),
            reason: reason.map(Into::into),
            exit_code: None,
            will_retry,
        })
    }

    pub(super) fn skip(
        &mut self,
        step: &str,
        kind: StepType,
        name: &str,
        reason: &str,
    ) -> &mut Self {
        self.push(EventKind::StepSkipped {
            step: StepId::new(step),
            name: name.into(),
            kind,
            reason: reason.into(),
        })
    }

    pub(super) fn end(&mut self, status: Status, millis: u64, reason: Option<&str>) -> &mut Self {
        self.push(EventKind::BuildFinished {
            status,
            reason: reason.map(Into::into),
            duration: Duration::from_millis(millis),
        })
    }
}

/// A build with a service, parallel tasks, a failure, a hook and a skipped put.
pub(super) fn failing_build() -> Vec<Event> {
    let mut script = Script::new();
    script
        .build("test")
        .start("0", StepType::Get, "get app")
        .version("0", "0123456789abcdef0123456789abcdef01234567")
        .pass("0", 12)
        .start("1.start", StepType::ServiceStart, "postgres:start")
        .output("1.start", "listening on 5432\n")
        .pass("1.start", 431)
        .start("1.ready", StepType::ServiceReady, "postgres:ready")
        .pass("1.ready", 1_043)
        .start("2", StepType::InParallel, "in_parallel")
        .start("2.0", StepType::Task, "task unit")
        .start("2.1", StepType::Task, "task integration")
        .output("2.0", "running 3 tests\ntest a .")
        .output("2.1", "compiling\n")
        .output("2.0", ".. ok\n")
        .pass("2.0", 1_204)
        .output("2.1", "thread 'main' panicked at src/lib.rs:3:5:\nassertion failed")
        .fail("2.1", 12_031, "exit code 101")
        .fail("2", 12_040, "1 of 2 steps failed")
        .start("2.on_failure", StepType::Hook, "on_failure")
        .output("2.on_failure", "saving logs\n")
        .pass("2.on_failure", 80)
        .skip("3", StepType::Put, "put image", "`task integration` failed")
        .start("1.stop", StepType::ServiceStop, "postgres:stop")
        .pass("1.stop", 90)
        .end(Status::Failed, 14_201, Some("task integration: exit code 101"));
    script.events()
}

/// A build whose first attempt fails and whose second succeeds.
pub(super) fn retried_build() -> Vec<Event> {
    let mut script = Script::new();
    script
        .build("flaky")
        .attempt("0", StepType::Task, "task flaky", 1)
        .output("0", "no luck\n")
        .finish("0", Status::Failed, 20, Some("exit code 1"), true)
        .attempt("0", StepType::Task, "task flaky", 2)
        .output("0", "luck\n")
        .pass("0", 25)
        .end(Status::Succeeded, 61, None);
    script.events()
}

/// Everything `report` says about `events`.
pub(super) fn report(mut report: impl Report, events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        report.event(event, &mut out);
    }
    out
}
