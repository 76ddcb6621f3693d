//! The `shell` runner: a script, run by a shell on this machine.

use std::sync::Arc;

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::StepRun;
use pikoci_core::{Exit, Params, Runner, TypeError};

use super::exec::places;
use super::script::PrivateDir;
use crate::process::{self, EnvironmentPolicy, ProcessSpec};

/// Runs a script with `-e` on this machine: `shell { cmd | file, shell = "/bin/sh" }`.
///
/// In `cmd` nothing is expanded: the shell does that, with the step's
/// variables in its environment. The script reaches the shell by a file that
/// only this user can read and that is removed afterwards, never by argument.
#[derive(Debug, Clone, Default)]
pub struct ShellRunner {
    environment: Arc<EnvironmentPolicy>,
}

impl ShellRunner {
    /// A runner whose commands see what `environment` passes on of this program's own.
    pub fn new(environment: Arc<EnvironmentPolicy>) -> Self {
        Self { environment }
    }
}

#[async_trait]
impl Runner for ShellRunner {
    fn params(&self) -> ParamSpec {
        ParamSpec::only(["cmd", "file", "shell"]).exactly_one(["cmd", "file"])
    }

    async fn run(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Exit, TypeError> {
        let context = step.context;
        let shell = params.text("shell").unwrap_or_else(|| "/bin/sh".into());
        let spec = ProcessSpec::for_step(places(&shell, context), context, &self.environment);
        // Kept until the command has ended.
        let (file, _private) = match (params.text("cmd"), params.text("file")) {
            (Some(cmd), None) => {
                let private = PrivateDir::new(context)?;
                let file = private.write("script", 0o600, cmd.as_bytes())?;
                (file, Some(private))
            }
            (None, Some(file)) => {
                let file = spec.dir.join(places(&file, context));
                if !file.is_file() {
                    return Err(TypeError::errored(format!(
                        "script `{}` does not exist",
                        file.display()
                    )));
                }
                (file, None)
            }
            (None, None) => {
                return Err(TypeError::errored(
                    "runner `shell` needs `cmd` (a script) or `file` (the path of one)",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(TypeError::errored("runner `shell` takes `cmd` or `file`, not both"));
            }
        };
        let spec = spec.args(["-e".into(), file.into_os_string()]);
        Ok(process::run(spec, step.io, step.cancel).await?)
    }
}
