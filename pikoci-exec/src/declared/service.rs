//! A `service_type` that a pipeline declares.

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::StepRun;
use pikoci_core::params::Params;
use pikoci_core::pipeline::ServiceTypeDecl;
use pikoci_core::traits::{Readiness, ReadyPolicy, ServiceStarted};
use pikoci_core::{Exit, ServiceType, TypeError};

use super::command::{Commands, Output, exit_error, with_line};
use super::{Runners, spec};

/// A service type whose methods are command blocks; each gets `param_*`.
/// `ready_check` says ready by exiting with 0; what it last printed is told
/// of a service that does not get ready.
#[derive(Debug)]
pub struct DeclaredService {
    decl: ServiceTypeDecl,
    commands: Commands,
}

impl DeclaredService {
    /// The type `name`, whose commands run on `runners`.
    pub fn new(name: &str, decl: ServiceTypeDecl, runners: Runners) -> Self {
        let commands = Commands {
            owner: format!("service type `{name}`"),
            runners,
            instead: decl.runner.clone(),
        };
        Self { decl, commands }
    }
}

#[async_trait]
impl ServiceType for DeclaredService {
    fn params(&self) -> ParamSpec {
        spec(self.decl.params.as_ref())
    }

    fn ready_policy(&self) -> Option<ReadyPolicy> {
        self.decl.ready_check.as_ref().map(ReadyPolicy::from)
    }

    async fn start(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
    ) -> Result<ServiceStarted, TypeError> {
        let block = self.decl.start.as_ref().ok_or_else(|| {
            TypeError::errored(format!("{} has no `start` command", self.commands.owner))
        })?;
        let vars = params.environment("param");
        let ended = self.commands.run(step, block, vars, Output::Shown).await?;
        exit_error("start", ended.exit).map_or(Ok(ServiceStarted::default()), Err)
    }

    async fn ready(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Readiness, TypeError> {
        let Some(check) = &self.decl.ready_check else { return Ok(Readiness::Ready) };
        let vars = params.environment("param");
        let ended = self.commands.run(step, &check.command, vars, Output::Shown).await?;
        let how = match ended.exit {
            Exit::Code(0) => return Ok(Readiness::Ready),
            Exit::Cancelled => return Err(TypeError::cancelled()),
            Exit::Code(code) => format!("exited with code {code}"),
            Exit::Signal(signal) => format!("ended by signal {signal}"),
        };
        Ok(Readiness::NotYet(with_line(&how, &ended.telling_line)))
    }

    async fn stop(&self, step: &mut StepRun<'_>, params: &Params) -> Result<(), TypeError> {
        let Some(block) = &self.decl.stop else { return Ok(()) };
        let vars = params.environment("param");
        let ended = self.commands.run(step, block, vars, Output::Shown).await?;
        exit_error("stop", ended.exit).map_or(Ok(()), Err)
    }
}
