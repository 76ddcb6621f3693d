//! A `notification_type` that a pipeline declares.

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::StepRun;
use pikoci_core::params::Params;
use pikoci_core::pipeline::NotificationTypeDecl;
use pikoci_core::{NotificationType, TypeError};

use super::command::{Commands, Output, exit_error};
use super::{Runners, spec};

/// A notification type whose `notify` is a command block; it gets `param_*` and `notify_*`.
#[derive(Debug)]
pub struct DeclaredNotification {
    decl: NotificationTypeDecl,
    commands: Commands,
}

impl DeclaredNotification {
    /// The type `name`, whose command runs on `runners`.
    pub fn new(name: &str, decl: NotificationTypeDecl, runners: Runners) -> Self {
        let commands = Commands {
            owner: format!("notification type `{name}`"),
            runners,
            instead: decl.runner.clone(),
        };
        Self { decl, commands }
    }
}

#[async_trait]
impl NotificationType for DeclaredNotification {
    fn params(&self) -> ParamSpec {
        spec(self.decl.params.as_ref())
    }

    async fn notify(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        notify: &Params,
    ) -> Result<(), TypeError> {
        let block = self.decl.notify.as_ref().ok_or_else(|| {
            TypeError::errored(format!("{} has no `notify` command", self.commands.owner))
        })?;
        let mut vars = params.environment("param");
        vars.extend(notify.environment("notify"));
        let ended = self.commands.run(step, block, vars, Output::Shown).await?;
        exit_error("notify", ended.exit).map_or(Ok(()), Err)
    }
}
