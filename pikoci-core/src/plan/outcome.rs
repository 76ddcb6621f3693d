//! How a step ended, and why.

use crate::event::StepType;
use crate::name::StepId;
use crate::pipeline::{Step, StepKind};
use crate::status::Status;
use crate::traits::{TypeError, TypeErrorKind};

/// How a step ended, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outcome {
    pub(super) status: Status,
    pub(super) reason: Option<String>,
    pub(super) exit_code: Option<i32>,
    /// The step that is to blame and how it ended, once the reason names it too.
    blamed: Option<String>,
}

impl Outcome {
    pub(super) fn succeeded() -> Self {
        Self { status: Status::Succeeded, reason: None, exit_code: None, blamed: None }
    }

    pub(super) fn ended(status: Status, reason: impl Into<String>) -> Self {
        Self { status, reason: Some(reason.into()), exit_code: None, blamed: None }
    }

    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self::ended(Status::Failed, reason)
    }

    pub(super) fn errored(reason: impl Into<String>) -> Self {
        Self::ended(Status::Errored, reason)
    }

    pub(super) fn cancelled(reason: impl Into<String>) -> Self {
        Self::ended(Status::Cancelled, reason)
    }

    /// What a refusal of a `put` or a notification means: the thing itself may say no.
    pub(super) fn refused(error: TypeError) -> Self {
        let mut outcome = match error.kind {
            TypeErrorKind::Failed => Self::failed(error.message),
            TypeErrorKind::Errored => Self::errored(error.message),
            TypeErrorKind::Cancelled => Self::cancelled(error.message),
        };
        outcome.exit_code = error.exit_code;
        outcome
    }

    /// What an error means where nothing under test is involved: the machinery could not.
    pub(super) fn broken(error: TypeError) -> Self {
        let mut outcome = Self::refused(error);
        if outcome.status == Status::Failed {
            outcome.status = Status::Errored;
        }
        outcome
    }

    pub(super) fn is_ok(&self) -> bool {
        self.status.is_ok()
    }

    /// The same as seen from around the step: the reason names the innermost
    /// step that is to blame.
    pub(super) fn blame(mut self, step: &str) -> Self {
        if self.blamed.is_none() && !matches!(self.status, Status::Succeeded | Status::Skipped) {
            let blamed = format!("`{step}` {status}", status = self.status);
            self.reason = Some(match self.reason {
                Some(reason) => format!("{blamed}: {reason}"),
                None => blamed.clone(),
            });
            self.blamed = Some(blamed);
            self.exit_code = None;
        }
        self
    }

    /// Why the steps behind it are not run: who is to blame, without what that
    /// step has told whole about itself.
    pub(super) fn in_short(&self) -> String {
        let said = self.blamed.as_ref().or(self.reason.as_ref());
        said.cloned().unwrap_or_else(|| self.status.to_string())
    }
}

/// What those who show a step call its kind.
pub(super) fn step_type(step: &Step) -> StepType {
    match &step.kind {
        StepKind::Get(_) => StepType::Get,
        StepKind::Task(_) => StepType::Task,
        StepKind::Put(_) => StepType::Put,
        StepKind::Service(_) => StepType::ServiceStart,
        StepKind::Notify(_) => StepType::Notify,
        StepKind::InParallel { .. } => StepType::InParallel,
        StepKind::Do { .. } => StepType::Do,
        StepKind::Try { .. } => StepType::Try,
        StepKind::If { .. } => StepType::If,
    }
}

/// The id and name under which a step is told when it starts; a service is
/// told by its phases.
pub(super) fn shown(step: &Step) -> (StepId, String) {
    match &step.kind {
        StepKind::Service(service) => (step.id.child("start"), format!("{}:start", service.kind)),
        _ => (step.id.clone(), step.title()),
    }
}
