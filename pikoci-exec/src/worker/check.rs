//! One check that was claimed.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use pikoci_core::dispatch::{CheckClaim, CheckReport, DispatchErrorKind};
use pikoci_core::name::BuildId;
use pikoci_core::plan::{Cancellation, EventSink, ResourceCheck, check_resource};
use pikoci_core::{Event, Journal as _, Version};
use tracing::Instrument as _;

use super::session::Session;
use super::slots::Slots;
use crate::machine::Room;

/// Takes what a check tells: nobody reads it.
struct Unread;

#[async_trait]
impl EventSink for Unread {
    async fn event(&self, _event: Event) {}
}

impl Slots {
    /// Makes a check, tells what it found and tidies up. When this returns,
    /// nothing of it is left.
    pub(super) async fn check(self: &Arc<Self>, session: &Arc<Session>, claim: CheckClaim) {
        let span = tracing::info_span!(
            "check",
            cicd.pipeline.name = claim.pipeline.name,
            cicd.pipeline.task.name = format!("{}.{}", claim.kind, claim.name),
            cicd.pipeline.task.run.id = %claim.id,
            cicd.worker.name = self.machine.worker,
            pikoci.team = claim.team,
        );
        let work = async {
            let check = claim.id;
            let cancel = Cancellation::new();
            let over = async {
                cancel.abandon(session.over().await);
                std::future::pending::<()>().await;
            };
            let mut room = None;
            let result = tokio::select! {
                biased;
                result = Box::pin(self.found(claim, &mut room, &cancel)) => result,
                () = over => return,
            };
            self.tell_found(session, CheckReport { check, result }).await;
            if let Some(room) = room {
                self.tidy(room.workspace.take_caches(), vec![room]).await;
            }
        };
        work.instrument(span).await;
    }

    async fn found(
        &self,
        claim: CheckClaim,
        made: &mut Option<Room>,
        cancel: &Cancellation,
    ) -> Result<Vec<Version>, String> {
        let types = self.types_of(&claim.pipeline)?;
        let id = BuildId(claim.id.0);
        // A check that others gave up and ask for anew is another check.
        let room = self.machine.room(id);
        let room = room.map_err(|error| format!("its directory cannot be made: {error}"))?;
        let room = &*made.insert(room);
        let written = self.machine.journal.build_started(id, &claim.pipeline);
        let host = self.machine.host(id, types, Arc::new(Unread), room);
        let check = ResourceCheck {
            id,
            team: claim.team,
            pipeline: claim.pipeline,
            kind: claim.kind,
            name: claim.name,
            from: claim.from,
            timeout: Some(claim.timeout),
        };
        let work = async {
            written.map_err(|error| format!("it cannot be written to the journal: {error}"))?;
            check_resource(&check, &host, cancel).await
        };
        let found = AssertUnwindSafe(Box::pin(work)).catch_unwind().await;
        let survivors = crate::process::end_build(id, self.machine.grace).await;
        if survivors > 0 {
            tracing::warn!(survivors, "some processes of a check could not be ended");
        }
        found.unwrap_or_else(|_| Err("the worker has a bug: making the check panicked".into()))
    }

    async fn tell_found(&self, session: &Session, report: CheckReport) {
        let mut pauses = session.pauses();
        loop {
            let told = tokio::select! {
                biased;
                () = session.lost() => return,
                told = session.dispatcher.report_check(session.id, report.clone()) => told,
            };
            match told {
                Ok(()) => return,
                Err(error) if error.kind == DispatchErrorKind::SessionLost => {
                    session.lose(&error.message);
                    return;
                }
                Err(error) if !error.is_retryable() => {
                    tracing::error!(check = %report.check, %error, "what a check found was refused");
                    return;
                }
                Err(error) => {
                    tracing::warn!(check = %report.check, %error, "a check is not told yet")
                }
            }
            tokio::select! {
                biased;
                () = session.lost() => return,
                () = tokio::time::sleep(pauses.next()) => {}
            }
        }
    }
}
