//! The `exec` runner: one program, run on this machine.

use std::sync::Arc;

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::{StepContext, StepRun};
use pikoci_core::{Exit, Params, Runner, TypeError, Value};

use super::expand::expand;
use crate::process::{self, EnvironmentPolicy, ProcessSpec};

/// Runs a program on this machine: `exec { path, args, env, dir }`.
///
/// `path`, `dir` and the values of `env` expand the names the step knows;
/// `args` expand only `$WORKDIR` and `$CACHE_DIR`, because an argument is often
/// a script and text from outside must never become script. Every user of the
/// machine can read arguments while the program runs: a secret belongs into `env`.
#[derive(Debug, Clone, Default)]
pub struct ExecRunner {
    environment: Arc<EnvironmentPolicy>,
}

impl ExecRunner {
    /// A runner whose commands see what `environment` passes on of this program's own.
    pub fn new(environment: Arc<EnvironmentPolicy>) -> Self {
        Self { environment }
    }

    /// What its commands see of this program's own environment.
    pub(crate) fn environment(&self) -> &Arc<EnvironmentPolicy> {
        &self.environment
    }
}

#[async_trait]
impl Runner for ExecRunner {
    fn params(&self) -> ParamSpec {
        ParamSpec::only(["path!", "args", "env", "dir"])
    }

    async fn run(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Exit, TypeError> {
        let context = step.context;
        let path = required(params, "exec", "path")?;
        let mut spec = ProcessSpec::for_step(known(&path, context), context, &self.environment)
            .args(params.texts("args").iter().map(|arg| places(arg, context)));
        extend_environment(&mut spec, params, context)?;
        if let Some(dir) = params.text("dir") {
            spec.dir = spec.dir.join(known(&dir, context));
        }
        Ok(process::run(spec, step.io, step.cancel).await?)
    }
}

/// A parameter that a runner cannot do without.
pub(super) fn required(params: &Params, runner: &str, name: &str) -> Result<String, TypeError> {
    match params.text(name) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(TypeError::errored(format!(
            "runner `{runner}` needs `{name}`, which is missing or empty"
        ))),
    }
}

/// `text` with every name the step knows expanded.
pub(super) fn known(text: &str, context: &StepContext) -> String {
    expand(text, |name| context.env.0.get(name).map(|value| value.as_str().into()))
}

/// `text` with only the step's places expanded.
pub(super) fn places(text: &str, context: &StepContext) -> String {
    expand(text, |name| match name {
        "WORKDIR" | "CACHE_DIR" => context.env.0.get(name).map(|value| value.as_str().into()),
        _ => None,
    })
}

/// Lays the parameter `env` over the command's environment.
pub(super) fn extend_environment(
    spec: &mut ProcessSpec,
    params: &Params,
    context: &StepContext,
) -> Result<(), TypeError> {
    let map = match params.get("env") {
        None => return Ok(()),
        Some(Value::Object(map)) => map,
        Some(other) => {
            return Err(TypeError::errored(format!(
                "`env` must be a map of names to values, not a {}",
                other.kind()
            )));
        }
    };
    for (name, value) in map {
        if name.is_empty() || name.contains('=') {
            return Err(TypeError::errored(format!(
                "`env` has the name `{name}`, which no environment variable can have"
            )));
        }
        let text = value.to_text().unwrap_or_default();
        spec.env.insert(name.into(), known(&text, context).into());
    }
    Ok(())
}
