//! Hooks: what runs after a step or a job, by how it ended.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};

use super::environment::Scope;
use super::interpret::{AfterFailure, Attempt, Run};
use super::outcome::Outcome;
use super::stop::Stop;
use crate::event::StepType;
use crate::pipeline::{Hook, HookBody, Hooks};
use crate::status::Status;

/// How long a hook may go on once what it belongs to was cancelled or timed out.
pub(super) const HOOK_LIMIT: Duration = Duration::from_secs(5 * 60);

impl Run<'_> {
    /// Runs the hooks for `outcome`, then those of `ensure`, each with
    /// `BUILD_STATUS` as `shown`. They run after a cancellation too: `stop`
    /// does not end them, but once it fired they have [`HOOK_LIMIT`]. Those of
    /// a build that was given up do not run. What they export stays with them. Answers the outcome, which a hook changes
    /// only if it failed and says `fail_build`.
    pub(super) fn hooks<'s>(
        &'s self,
        hooks: &'s Hooks,
        outcome: Outcome,
        shown: Status,
        scope: &'s Scope,
        stop: &'s Stop,
    ) -> BoxFuture<'s, Outcome> {
        if hooks.is_empty() || self.given_up.is_cancelled() {
            return ready(outcome).boxed();
        }
        // Boxed: hooks hold steps, which have hooks.
        self.chosen_hooks(hooks, outcome, shown, scope, stop).boxed()
    }

    async fn chosen_hooks(
        &self,
        hooks: &Hooks,
        outcome: Outcome,
        shown: Status,
        scope: &Scope,
        stop: &Stop,
    ) -> Outcome {
        let (name, chosen) = match outcome.status {
            Status::Succeeded | Status::Skipped => ("on_success", &hooks.on_success),
            // A `try` in which something failed did not succeed.
            Status::Failed | Status::Warning => ("on_failure", &hooks.on_failure),
            Status::Errored => ("on_error", &hooks.on_error),
            Status::Cancelled => ("on_cancel", &hooks.on_cancel),
        };
        let all = chosen
            .iter()
            .map(|hook| (name, hook))
            .chain(hooks.ensure.iter().map(|hook| ("ensure", hook)));
        let mut outcome = outcome;
        for (name, hook) in all {
            let ended = self.hook(name, hook, &scope.after(shown), stop).await;
            if hook.fail_build && !ended.is_ok() && outcome.is_ok() {
                outcome = ended.blame(name);
            }
        }
        outcome
    }

    async fn hook(&self, name: &str, hook: &Hook, scope: &Scope, stop: &Stop) -> Outcome {
        let attempt = Attempt {
            id: &hook.id,
            name,
            kind: StepType::Hook,
            location: &hook.location,
            timeout: None,
            number: 1,
            of: 1,
        };
        let work = |own: Stop| async move {
            let limit = async {
                stop.cancelled().await;
                tokio::time::sleep(HOOK_LIMIT).await;
            };
            let body = async {
                match &hook.body {
                    HookBody::Run(command) => {
                        self.hook_command(hook, name, command, scope, &own).await
                    }
                    HookBody::Steps(steps) => {
                        self.sequence(steps, AfterFailure::Skip, &mut scope.fork(), &own).await
                    }
                }
            };
            let ended = own.until(limit, || Self::overdue(HOOK_LIMIT), body).await;
            if ended.timed_out { Outcome::failed(Self::overdue(HOOK_LIMIT)) } else { ended.output }
        };
        self.attempt(&attempt, &self.given_up, work).await.0
    }
}
