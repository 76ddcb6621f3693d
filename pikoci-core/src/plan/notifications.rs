//! Notifications that are sent by themselves when a build has ended.

use std::time::Duration;

use super::environment::Scope;
use super::interpret::{Attempt, Run};
use super::outcome::Outcome;
use super::recorder::Output;
use crate::event::StepType;
use crate::name::StepId;
use crate::params::Attributes;
use crate::pipeline::{Job, Notification, NotifyOn};
use crate::status::Status;

/// How long sending one notification may take.
const NOTIFICATION_LIMIT: Duration = Duration::from_secs(60);

impl Run<'_> {
    /// Sends every notification of the pipeline that wants to hear of this
    /// end. Whether that works is told, and changes nothing.
    pub(super) async fn send_notifications(&self, job: &Job, outcome: &Outcome, scope: &Scope) {
        for notification in &self.spec.pipeline.notifications {
            if self.given_up.is_cancelled()
                || !concerns(notification, job)
                || !notification
                    .on
                    .iter()
                    .any(|on| matches(*on, outcome.status, self.spec.previous))
            {
                continue;
            }
            let id =
                StepId::new(format!("notification.{}.{}", notification.kind, notification.name));
            let title = format!("notify {}", notification.name);
            let attempt = Attempt {
                id: &id,
                name: &title,
                kind: StepType::Notify,
                location: &notification.location,
                timeout: Some(NOTIFICATION_LIMIT),
                number: 1,
                of: 1,
            };
            let scope = scope.after(outcome.status);
            self.attempt(&attempt, &self.given_up, |own| async move {
                let mut io = Output::new(&self.recorder, attempt.id.clone());
                let work = async {
                    let bench = self.bench(
                        attempt.id.clone(),
                        attempt.name.to_owned(),
                        &notification.location,
                        &scope,
                        &mut io,
                        &own,
                    );
                    self.notify(notification, &Attributes::new(), bench).await
                };
                let outcome = self.settle(&own, work).await;
                io.flush().await;
                outcome
            })
            .await;
        }
    }
}

fn concerns(notification: &Notification, job: &Job) -> bool {
    let named = |names: &[String]| {
        names.iter().any(|name| {
            *name == job.name || job.instance.as_ref().is_some_and(|it| it.job == *name)
        })
    };
    (notification.jobs.is_empty() || named(&notification.jobs)) && !named(&notification.exclude)
}

/// Whether a build that ended so, after one that ended as `previous`, is one
/// of those that `on` is for. A warning is neither a success nor a failure,
/// but does not break the job.
fn matches(on: NotifyOn, status: Status, previous: Option<Status>) -> bool {
    match on {
        NotifyOn::Success => status == Status::Succeeded,
        NotifyOn::Failure => status == Status::Failed,
        NotifyOn::Error => status == Status::Errored,
        NotifyOn::Cancel => status == Status::Cancelled,
        NotifyOn::Broken => !status.is_ok() && previous.is_some_and(Status::is_ok),
        NotifyOn::Fixed => status.is_ok() && previous.is_some_and(|before| !before.is_ok()),
        NotifyOn::All => true,
    }
}
