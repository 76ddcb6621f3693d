//! Who gets what: the oldest builds, in turns between teams and pipelines, to
//! those who have waited longest of those who can run them.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Claimer, LocalDispatcher, State};
use crate::database::{DatabaseError, KeyPath, Part, Query, QueueItem};
use crate::dispatch::{Claim, SessionId};
use crate::engine::bells::Bell;
use crate::engine::builds::{Class, fits, ready};
use crate::name::BuildId;

/// The most builds of a kind that are looked at for one round.
const MOST: usize = 200;
/// The most kinds that are looked at: classes of workers, times teams, times pipelines.
const KINDS: usize = 2000;

/// A build that waits for a worker.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) build: BuildId,
    pub(super) place: Vec<Part>,
    class: Class,
    team: String,
    pipeline: uuid::Uuid,
}

impl LocalDispatcher {
    /// Hands out until the engine stops.
    pub(super) async fn hand_out_all(self: Arc<Self>) {
        let mut bell = self.core.bells.listen(Bell::Ready);
        let mut claims = JoinSet::new();
        loop {
            bell.mark_heard();
            self.put_orphans_back().await;
            if let Err(error) = self.hand_out(&mut claims).await {
                tracing::warn!(%error, "builds cannot be handed out");
            }
            while claims.try_join_next().is_some() {}
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = bell.heard() => {}
                () = self.wake.notified() => {}
            }
        }
        // What was committed is answered, or put back; the others wait in vain.
        while claims.join_next().await.is_some() {}
        self.state().claimers.clear();
        self.put_orphans_back().await;
    }

    async fn put_orphans_back(&self) {
        let orphans = std::mem::take(&mut self.state().orphans);
        for (session, build, epoch) in orphans {
            if let Err(error) = self.put_back(session, build, epoch).await {
                // Its worker does not name it, so it is put back after two renewals.
                tracing::warn!(%build, %error, "a build that nobody waited for was not put back");
            }
        }
    }

    async fn hand_out(self: &Arc<Self>, claims: &mut JoinSet<()>) -> Result<(), DatabaseError> {
        let (limit, turn) = {
            let mut state = self.state();
            if state.draining {
                return Ok(());
            }
            state.claimers.retain(|claimer| !claimer.answer.is_closed());
            state.hand_out_checks();
            let wanting = state.claimers.iter().filter(|claimer| claimer.want.build).count();
            if wanting == 0 {
                return Ok(());
            }
            (wanting + state.in_flight.len(), state.served.clone())
        };
        let candidates = self.candidates(limit.min(MOST), turn).await?;
        let mut state = self.state();
        for candidate in candidates {
            if state.in_flight.contains(&candidate.build) {
                continue;
            }
            let Some(claimer) = state.claimer_for(&candidate) else { continue };
            state.in_flight.insert(candidate.build);
            state.served = (candidate.team.clone(), candidate.pipeline);
            let own = Arc::clone(self);
            claims.spawn(async move { Box::pin(own.claim_for(claimer, candidate)).await });
        }
        Ok(())
    }

    /// The builds that are next, at most `limit` of a kind: in turns between
    /// teams, and in a team between its pipelines, after those served last.
    async fn candidates(
        &self,
        limit: usize,
        (team, pipeline): (String, uuid::Uuid),
    ) -> Result<Vec<Candidate>, DatabaseError> {
        let mut rows: Vec<Vec<Candidate>> = Vec::new();
        let mut next: Option<KeyPath> = None;
        loop {
            // The first of the next class, team and pipeline, and those behind it.
            let mut query = Query::all().limit(limit);
            if let Some(from) = &next {
                query = query.from(from.clone());
            }
            let page = ready().list(&self.core.database, &query).await?;
            let found: Vec<Candidate> = page.items.into_iter().filter_map(candidate).collect();
            let Some(first) = found.first() else { break };
            let row: Vec<Candidate> =
                found.iter().take_while(|it| it.is_beside(first)).cloned().collect();
            let ends = row.len() == found.len() && page.next.is_none();
            // Behind every id of a build: that of the next pipeline is greater.
            next = Some(first.behind());
            rows.push(row);
            if ends || rows.len() >= KINDS {
                break;
            }
        }
        rows.sort_by_key(|row| {
            let first = row.first().map(|it| (it.team.clone(), it.pipeline));
            let (own_team, own_pipeline) = first.unwrap_or_default();
            let later = (own_team.as_str(), own_pipeline) > (team.as_str(), pipeline);
            // Teams after the last one first; its own other pipelines after them.
            (own_team == team, !later, own_team, own_pipeline)
        });
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let turns = (0..longest).flat_map(|at| rows.iter().filter_map(move |row| row.get(at)));
        Ok(turns.cloned().collect())
    }
}

fn candidate(item: QueueItem<BuildId>) -> Option<Candidate> {
    let [Part::Text(class), Part::Text(team), Part::Id(pipeline), Part::Id(_)] =
        item.position.as_slice()
    else {
        return None;
    };
    Some(Candidate {
        build: item.payload,
        class: class.parse().ok()?,
        team: team.clone(),
        pipeline: *pipeline,
        place: item.position,
    })
}

impl Candidate {
    fn is_beside(&self, other: &Self) -> bool {
        (&self.class, &self.team, self.pipeline) == (&other.class, &other.team, other.pipeline)
    }

    fn behind(&self) -> KeyPath {
        let last = uuid::Uuid::max();
        KeyPath::new((self.class.to_string(), &self.team, self.pipeline, last))
    }
}

impl State {
    /// Takes out the worker that has waited longest of those that can run a
    /// build; one of the team's own goes before the others.
    fn claimer_for(&mut self, candidate: &Candidate) -> Option<Claimer> {
        let fits = |claimer: &Claimer| {
            let worker = &claimer.registration;
            claimer.want.build && candidate.class.fits(claimer.session, worker, &candidate.team)
        };
        let own = self.claimers.iter().position(|it| fits(it) && it.registration.team.is_some());
        let at = own.or_else(|| self.claimers.iter().position(fits))?;
        self.claimers.remove(at)
    }

    fn hand_out_checks(&mut self) {
        let waiting = std::mem::take(&mut self.checks);
        for check in waiting {
            if check.found.is_closed() {
                continue;
            }
            let at = self.claimers.iter().position(|claimer| {
                claimer.want.check && fits(&claimer.registration, &check.tags, &check.claim.team)
            });
            let Some(claimer) = at.and_then(|at| self.claimers.remove(at)) else {
                self.checks.push_back(check);
                continue;
            };
            let (id, claim) = (check.claim.id, check.claim);
            if claimer.answer.send(Ok(Claim::Check(claim.clone()))).is_ok() {
                self.checks_out.insert(id, (claimer.session, check.found));
            } else {
                // The worker went away just now; the next one gets it.
                self.checks.push_back(super::Check { claim, ..check });
            }
        }
    }

    /// How many sessions of this process could make a check.
    pub(super) fn could_check(
        &self,
        tags: &std::collections::BTreeSet<String>,
        team: &str,
    ) -> usize {
        let could = |known: &&super::Known| {
            known.registration.check_slots > 0 && fits(&known.registration, tags, team)
        };
        self.sessions.values().filter(could).count()
    }
}

impl LocalDispatcher {
    /// How many workers of this process could make a check.
    pub(crate) fn could_check(
        &self,
        tags: &std::collections::BTreeSet<String>,
        team: &str,
    ) -> usize {
        self.state().could_check(tags, team)
    }

    pub(super) fn forget_checks_of(&self, session: SessionId) {
        self.state().checks_out.retain(|_, (own, _)| *own != session);
    }
}
