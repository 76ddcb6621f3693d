//! What workers report: events into the log, and the end of a build.

use bytes::Bytes;

use super::LocalDispatcher;
use super::claim::dispatch_error;
use crate::database::log::{LogError, MAX_APPEND_SIZE_BYTES};
use crate::database::{FencingToken, Transaction};
use crate::dispatch::{Ack, DispatchError, Report, SessionId};
use crate::engine::bells::Rings;
use crate::engine::builds::Ending;
use crate::engine::core::{Changed, Core, encoded};
use crate::engine::error::EngineError;
use crate::engine::records::{BuildRecord, BuildState, MadeVersion};
use crate::plan::BuildResult;
use crate::resolve::ResourceRef;

/// The bytes of the events that are written with the end of a build at most;
/// leaves room for all that goes with it.
const LAST_BYTES: usize = 400 * 1024;
/// What an entry of a log counts beside its own bytes.
const ENTRY_BYTES: usize = 4;

/// Part of a report that goes into one transaction.
struct Part<'a> {
    core: &'a Core,
    token: FencingToken,
    session: SessionId,
    report: &'a Report,
    first: u64,
    entries: &'a [Bytes],
    /// How the build ended, with the last part.
    ending: Option<Ending>,
    kept_by: Option<SessionId>,
}

/// What became of a part.
enum Taken {
    Next(u64),
    Lost(String),
    Invalid(String),
}

impl LocalDispatcher {
    pub(super) async fn take_report(
        &self,
        session: SessionId,
        report: Report,
    ) -> Result<Ack, DispatchError> {
        let token = self.token_of(session).await?;
        let first = report.events.first().map(|event| event.number);
        let numbered = report.events.iter().zip(first.unwrap_or(0)..);
        if numbered.clone().any(|(event, number)| event.number != number) {
            return Err(DispatchError::invalid("the events of a report follow each other"));
        }
        let entries: Result<Vec<Bytes>, EngineError> = report.events.iter().map(encoded).collect();
        let entries = entries.map_err(dispatch_error)?;
        let mut parts = split(&entries);
        let last = parts.pop().unwrap_or_default();
        let mut at = first.unwrap_or(0);
        for entries in parts {
            let part = self.part(&token, session, &report, (at, entries));
            at = self.take(&part).await?.next;
        }
        let mut part = self.part(&token, session, &report, (at, last));
        if let Some(result) = &report.result {
            let made = self.core.save_made(&report, result).await.map_err(dispatch_error)?;
            part.ending = Some(Ending {
                status: result.status,
                reason: result.reason.clone(),
                outputs: made,
                told: true,
            });
            part.kept_by = report.workspace_kept.then_some(session);
        }
        let ack = self.take(&part).await?;
        if report.result.is_some()
            && let Some(known) = self.state().sessions.get_mut(&session)
        {
            known.builds.remove(&report.build);
        }
        Ok(ack)
    }

    fn part<'a>(
        &'a self,
        token: &FencingToken,
        session: SessionId,
        report: &'a Report,
        (first, entries): (u64, &'a [Bytes]),
    ) -> Part<'a> {
        let (core, token) = (&*self.core, token.clone());
        Part { core, token, session, report, first, entries, ending: None, kept_by: None }
    }

    async fn take(&self, part: &Part<'_>) -> Result<Ack, DispatchError> {
        let taken =
            self.core.change(part, |transaction, part| Box::pin(part.take(transaction))).await;
        self.core.bells.ring_build(part.report.build);
        match taken {
            Ok(Taken::Next(next)) => Ok(Ack { next }),
            Ok(Taken::Lost(why)) => Err(DispatchError::build_lost(why)),
            Ok(Taken::Invalid(why)) => Err(DispatchError::invalid(why)),
            Err(EngineError::Log(error @ (LogError::Gap { .. } | LogError::Sealed { .. }))) => {
                Err(DispatchError::invalid(error.to_string()))
            }
            Err(error) => Err(dispatch_error(error)),
        }
    }
}

impl Part<'_> {
    async fn take(&self, transaction: &mut Transaction) -> Result<Changed<Taken>, EngineError> {
        let mut rings = Rings::default();
        let (core, report) = (self.core, self.report);
        transaction.fence(&self.token).await?;
        let build = transaction.get::<BuildRecord>(&report.build).await?;
        let Some(mut build) = build.filter(|build| build.epoch == report.epoch) else {
            let why = "the build was given to another worker".to_owned();
            return Ok(Changed::new(Taken::Lost(why), rings));
        };
        match &build.state {
            BuildState::Running { session, .. } if *session == self.session => {}
            BuildState::Finished { .. } => {
                // It was taken already if it says the same, and refused if not.
                let info = core.log(build.id)?.info_in(transaction).await?;
                let next = info.map_or(0, |info| info.next);
                let end = self.first + self.entries.len() as u64;
                let same = end <= next || self.entries.is_empty();
                return Ok(Changed::new(
                    if same && build.reason == self.reason(&build) {
                        Taken::Next(next)
                    } else {
                        Taken::Lost("the build has ended already".into())
                    },
                    rings,
                ));
            }
            _ => {
                let why = "the build is not this worker's any more".to_owned();
                return Ok(Changed::new(Taken::Lost(why), rings));
            }
        }
        if self.first < build.next_event && !self.entries.is_empty() {
            let why = format!("the first event of this worker has number {}", build.next_event);
            return Ok(Changed::new(Taken::Invalid(why), rings));
        }
        let log = core.log(build.id)?;
        let next = if self.entries.is_empty() {
            log.info_in(transaction).await?.map_or(0, |info| info.next)
        } else {
            log.append_in(transaction, self.first, self.entries).await?.next
        };
        if let Some(ending) = &self.ending {
            build.kept_by = self.kept_by;
            core.finish_in(transaction, &mut rings, &mut build, ending.clone()).await?;
        }
        Ok(Changed::new(Taken::Next(next), rings))
    }

    fn reason(&self, build: &BuildRecord) -> Option<String> {
        self.ending.as_ref().map_or_else(|| build.reason.clone(), |ending| ending.reason.clone())
    }
}

/// Entries in parts that fit into a transaction each; the last one leaves room
/// for the end of the build.
fn split(entries: &[Bytes]) -> Vec<&[Bytes]> {
    let size = |entries: &[Bytes]| -> usize {
        entries.iter().map(|entry| entry.len() + ENTRY_BYTES).sum()
    };
    let mut parts = Vec::new();
    let mut rest = entries;
    while size(rest) > LAST_BYTES {
        let mut bytes = 0;
        let fits = rest
            .iter()
            .take_while(|entry| {
                bytes += entry.len() + ENTRY_BYTES;
                bytes <= MAX_APPEND_SIZE_BYTES
            })
            .count();
        let (part, later) = rest.split_at(fits.max(1).min(rest.len()));
        parts.push(part);
        rest = later;
    }
    parts.push(rest);
    parts
}

impl Core {
    /// Takes the versions that a build made into their histories, whatever
    /// becomes of the build.
    async fn save_made(
        &self,
        report: &Report,
        result: &BuildResult,
    ) -> Result<Vec<MadeVersion>, EngineError> {
        let mut made = Vec::new();
        if result.outputs.is_empty() {
            return Ok(made);
        }
        let build = self.database.get::<BuildRecord>(&report.build).await?;
        let Some(pipeline) = build.map(|build| build.pipeline) else { return Ok(made) };
        for (resource, version) in &result.outputs {
            let resource = ResourceRef(resource.clone());
            let digest = version.digest();
            self.save_version_of(pipeline, report.build, (&resource, version)).await?;
            made.push(MadeVersion { resource, digest, version: version.clone() });
        }
        Ok(made)
    }
}
