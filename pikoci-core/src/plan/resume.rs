//! Going on where an earlier build failed, in the workspace that it left.

use std::slice;

use futures_util::future::BoxFuture;

use super::ResumeAt;
use super::environment::Scope;
use super::interpret::{Run, is_service};
use super::outcome::{Outcome, step_type};
use super::stop::Stop;
use crate::event::EventKind;
use crate::pipeline::{Step, StepKind};

impl Run<'_> {
    /// Tells the steps before the one that failed as skipped and starts their
    /// services again. Answers the steps that are left to run, or why it does
    /// not come to that; then these are told as skipped.
    pub(super) async fn catch_up<'s>(
        &self,
        resume: &ResumeAt,
        steps: &'s [Step],
        scope: &mut Scope,
        stop: &Stop,
    ) -> Result<&'s [Step], Outcome> {
        let Some(at) = steps.iter().position(|step| step.id == resume.at.step) else {
            let problem =
                format!("build {} failed in a step that the job does not have", resume.build);
            self.skip_all(steps, &problem).await;
            return Err(Outcome::errored(problem));
        };
        for (name, value) in &resume.at.variables.0 {
            scope.set(name.clone(), value.clone());
        }
        let reason = format!("it succeeded in build {}", resume.build.number);
        let (before, rest) = steps.split_at(at);
        let again = self.services_again(before, &reason, scope, stop).await;
        if again.is_ok() {
            return Ok(rest);
        }
        self.failed_at.get_or_init(|| resume.at.clone());
        self.skip_all(rest, &again.in_short()).await;
        Err(again)
    }

    /// Skips steps but for the services among them and in them, which steps
    /// behind them may need. Those of an `if` are left alone: which branch it
    /// took is not known any more.
    fn services_again<'s>(
        &'s self,
        steps: &'s [Step],
        reason: &'s str,
        scope: &'s mut Scope,
        stop: &'s Stop,
    ) -> BoxFuture<'s, Outcome> {
        Box::pin(async move {
            let mut rest = steps.iter();
            while let Some(step) = rest.next() {
                let started = match &step.kind {
                    StepKind::Service(_) => {
                        // Neighbours get ready together.
                        let more = rest.as_slice().iter().take_while(|it| is_service(it)).count();
                        let from = steps.len() - rest.len() - 1;
                        let group = steps.get(from..=from + more);
                        rest = steps.get(from + more + 1..).unwrap_or_default().iter();
                        let group = group.unwrap_or(slice::from_ref(step));
                        self.start_services(group, scope, stop).await
                    }
                    StepKind::InParallel { steps, .. }
                    | StepKind::Do { steps }
                    | StepKind::Try { steps } => {
                        self.emit(EventKind::StepSkipped {
                            step: step.id.clone(),
                            name: step.title(),
                            kind: step_type(step),
                            reason: self.recorder.mask(reason),
                        })
                        .await;
                        self.services_again(steps, reason, scope, stop).await
                    }
                    _ => {
                        self.skip(step, reason).await;
                        Outcome::succeeded()
                    }
                };
                if !started.is_ok() {
                    self.skip_all(rest.as_slice(), &started.in_short()).await;
                    return started;
                }
            }
            Outcome::succeeded()
        })
    }
}
