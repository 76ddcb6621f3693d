//! What happens in a team, as one numbered stream.
//!
//! Whoever changes something puts what happened into an outbox, in the same
//! transaction and without reading anything, so nobody waits for anybody. A
//! relay takes it from there, gives it its number and appends it to the team's
//! log: once, whatever dies in between. Events of one transaction follow those
//! of the transactions before it closely, not exactly.
//!
//! The log is kept in parts of [`PART_EVENTS`] events, so that old ones can be
//! deleted.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::bells::{Bell, Rings};
use super::core::{Changed, Core};
use super::error::EngineError;
use crate::database::log::{Log, LogError, ReadLimit};
use crate::database::{Counter, Queue, QueueItem, Transaction};
use crate::name::{BuildId, BuildName};

/// How many events one part of a team's log has.
pub(crate) const PART_EVENTS: u64 = 10_000;
/// How many events get their numbers in one transaction.
const AT_ONCE: usize = 40;
/// How many parts are kept.
const KEPT_PARTS: u64 = 10;

/// Something that happened in a team.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeamEvent {
    /// Its place among those of the team: from 0, without gaps.
    pub number: u64,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: TeamEventKind,
}

/// What happened in a team.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum TeamEventKind {
    /// A build was made or moved on.
    Build {
        /// The build.
        id: BuildId,
        /// What people call it.
        name: BuildName,
        /// Where it stands: `pending`, `queued`, `running`, or how it ended.
        state: String,
    },
    /// A pipeline was set to a new revision.
    PipelineSet {
        /// Its name.
        pipeline: String,
        /// The revision.
        revision: u64,
    },
    /// A pipeline was renamed.
    PipelineRenamed {
        /// Its name before.
        from: String,
        /// Its name now.
        to: String,
    },
    /// A pipeline or a job was paused, or goes on.
    Paused {
        /// The pipeline.
        pipeline: String,
        /// The job, unless it is the whole pipeline.
        job: Option<String>,
        /// Whether it is paused now.
        paused: bool,
    },
    /// A pipeline was deleted.
    PipelineDeleted {
        /// Its name.
        pipeline: String,
    },
    /// Versions of a resource were found.
    VersionsFound {
        /// The pipeline.
        pipeline: String,
        /// `type.name`.
        resource: String,
        /// How many.
        count: u64,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Unnumbered {
    time: Timestamp,
    kind: TeamEventKind,
}

fn outbox() -> Queue<Unnumbered> {
    Queue::new("outbox")
}

fn numbers(team: &str) -> Counter {
    Counter::new(("team-events", team))
}

impl Core {
    fn team_log(&self, team: &str, part: u64) -> Result<Log, EngineError> {
        Ok(self.logs.log(("team", team, part))?)
    }

    /// Tells what happened in a team.
    pub(crate) fn tell_team(
        &self,
        transaction: &mut Transaction,
        team: &str,
        kind: TeamEventKind,
    ) -> Result<(), EngineError> {
        let unnumbered = Unnumbered { time: self.clock().now(), kind };
        Ok(outbox().put(transaction, (team, self.id()), unnumbered)?)
    }

    /// Gives numbers to what was told, until `stop` fires.
    pub(crate) async fn relay(&self, stop: &CancellationToken) {
        let mut bell = self.bells.listen(Bell::Outbox);
        loop {
            bell.mark_heard();
            match self.relay_some().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "events of teams wait for their numbers"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = bell.heard() => {}
            }
        }
    }

    /// Whether there was something.
    pub(crate) async fn relay_some(&self) -> Result<bool, EngineError> {
        let items = outbox().peek(&self.database, AT_ONCE).await?;
        let team_of = |item: &QueueItem<Unnumbered>| item.position.first().map(ToString::to_string);
        let Some(team) = items.first().and_then(team_of) else { return Ok(false) };
        let items: Vec<_> =
            items.into_iter().filter(|item| team_of(item).as_ref() == Some(&team)).collect();
        let context = (self, team, items);
        self.change(&context, |transaction, (core, team, items)| {
            Box::pin(async move {
                let mut rings = Rings::default();
                rings.add(Bell::Events);
                core.number_in(transaction, team, items).await?;
                Ok(Changed::new((), rings))
            })
        })
        .await?;
        Ok(true)
    }

    async fn number_in(
        &self,
        transaction: &mut Transaction,
        team: &str,
        items: &[QueueItem<Unnumbered>],
    ) -> Result<(), EngineError> {
        let mut taken = Vec::new();
        for item in items {
            // Another relay may have been quicker.
            if outbox().take(transaction, item.position.clone()).await?.is_some() {
                taken.push(&item.payload);
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        let counter = numbers(team);
        let first = counter.get(transaction).await?;
        // What does not fit into this part waits for the next round.
        let room = usize::try_from(PART_EVENTS - first % PART_EVENTS).unwrap_or(usize::MAX);
        let (now, later) = taken.split_at(taken.len().min(room));
        for unnumbered in later {
            self.tell_team(transaction, team, unnumbered.kind.clone())?;
        }
        let mut entries = Vec::with_capacity(now.len());
        for (number, unnumbered) in (first..).zip(now) {
            let (time, kind) = (unnumbered.time, unnumbered.kind.clone());
            let json = serde_json::to_vec(&TeamEvent { number, time, kind });
            let json = json.map_err(|error| EngineError::invalid(error.to_string()))?;
            entries.push(Bytes::from(json));
        }
        let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        let next = counter.add(transaction, count).await?;
        let log = self.team_log(team, first / PART_EVENTS)?;
        log.append_in(transaction, first % PART_EVENTS, &entries).await?;
        if next % PART_EVENTS == 0 {
            log.seal_in(transaction).await?;
            if let Some(old) = (first / PART_EVENTS).checked_sub(KEPT_PARTS) {
                match self.team_log(team, old)?.delete_in(transaction).await {
                    Ok(()) | Err(LogError::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// The number of the team's next event.
    pub(crate) async fn next_team_event(&self, team: &str) -> Result<u64, EngineError> {
        Ok(numbers(team).read(&self.database).await?)
    }

    /// Events of a team from a number on; none when there are none yet. Where
    /// those were deleted already, it begins with the first that is left.
    pub(crate) async fn team_events(
        &self,
        team: &str,
        from: u64,
    ) -> Result<Vec<TeamEvent>, EngineError> {
        let next = self.next_team_event(team).await?;
        let mut from = from;
        while from < next {
            let log = self.team_log(team, from / PART_EVENTS)?;
            match log.reader(from % PART_EVENTS).read(ReadLimit::default()).await {
                Ok(page) if !page.entries.is_empty() => {
                    let read = |entry: &Bytes| serde_json::from_slice(entry);
                    let events: Result<Vec<TeamEvent>, _> = page.entries.iter().map(read).collect();
                    return events.map_err(|error| EngineError::invalid(error.to_string()));
                }
                Ok(_) | Err(LogError::NotFound { .. }) => {
                    from = (from / PART_EVENTS + 1) * PART_EVENTS;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Vec::new())
    }
}
