//! `in_parallel`: steps at the same time.

use futures_util::stream;
use futures_util::{FutureExt as _, StreamExt as _};

use super::environment::Scope;
use super::interpret::Run;
use super::outcome::Outcome;
use super::stop::Stop;
use crate::pipeline::Step;
use crate::status::Status;

impl Run<'_> {
    /// Runs `steps` at the same time, at most `limit` at once (0: all). None
    /// sees what another exports; afterwards all is merged in the order
    /// written. With `fail_fast`, the first that does not succeed ends the rest.
    pub(super) async fn in_parallel(
        &self,
        limit: u32,
        fail_fast: bool,
        steps: &[Step],
        scope: &mut Scope,
        stop: &Stop,
    ) -> Outcome {
        let group = stop.child();
        let at_once = match usize::try_from(limit) {
            Ok(limit) if limit > 0 => limit,
            _ => steps.len().max(1),
        };
        let mut waiting = Vec::with_capacity(steps.len());
        for (index, step) in steps.iter().enumerate() {
            let member = self.member(step, scope.fork(), fail_fast, &group);
            waiting.push(member.map(move |ended| (index, ended)).boxed());
        }
        // Nothing may be awaited between two ends: the events of the steps
        // that still run pass one lock, and each must be polled to leave it.
        let mut ended: Vec<(usize, (Scope, Outcome))> =
            stream::iter(waiting).buffer_unordered(at_once).collect().await;
        ended.sort_unstable_by_key(|(index, _)| *index);
        let mut whole = Outcome::succeeded();
        for (_, (own, outcome)) in ended {
            scope.merge(own);
            // A sibling that fail_fast ended is not why the whole did not succeed.
            let swept = outcome.status == Status::Cancelled && !stop.is_cancelled();
            if !swept && !outcome.is_ok() && whole.status.worst(outcome.status) != whole.status {
                whole = outcome;
            }
        }
        if stop.is_cancelled() && !whole.is_ok() {
            whole = Outcome::cancelled(stop.reason());
        }
        whole
    }

    /// One of the steps, with what it left in its copy of the scope.
    async fn member(
        &self,
        step: &Step,
        mut scope: Scope,
        fail_fast: bool,
        group: &Stop,
    ) -> (Scope, Outcome) {
        if group.is_cancelled() {
            let reason = group.reason();
            self.skip(step, &reason).await;
            return (scope, Outcome::ended(Status::Skipped, reason));
        }
        let outcome = self.step(step, &mut scope, group).await.blame(&step.title());
        if fail_fast && !outcome.is_ok() {
            group.cancel(outcome.in_short());
        }
        (scope, outcome)
    }
}
