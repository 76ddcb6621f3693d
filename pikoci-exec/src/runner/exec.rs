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
/// `path`, `args`, `dir` and the values of `env` expand the names the step
/// knows, once; an unknown name stays as written. Left alone is an argument
/// that follows a flag which announces a script: `-c`, `-e` or letters that end
/// in one of these (`-ec`, `-lc`), also when other flags stand between
/// (`-c -x SCRIPT`). Its interpreter finds the variables in its environment,
/// and text from outside must never become script.
///
/// Every user of the machine can read arguments while the program runs: a
/// secret belongs into `env`.
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
        let args = params.texts("args");
        let args = scripts(&args).map(|(arg, is_script)| match is_script {
            true => arg.to_owned(),
            false => known(arg, context),
        });
        let mut spec =
            ProcessSpec::for_step(known(&path, context), context, &self.environment).args(args);
        extend_environment(&mut spec, params, context)?;
        if let Some(dir) = params.text("dir") {
            spec.dir = spec.dir.join(known(&dir, context));
        }
        Ok(process::run(spec, step.io, step.cancel).await?)
    }
}

/// The arguments of a program, each with whether it may be a script, in which
/// nothing is expanded.
pub(crate) fn scripts(args: &[String]) -> impl Iterator<Item = (&str, bool)> {
    let mut announced = false;
    args.iter().map(move |arg| {
        let is_script = announced;
        // `sh -c -x SCRIPT` and `sh -c -- SCRIPT`: the script is still to come.
        announced = announces_script(arg) || (is_script && arg.starts_with(['-', '+']));
        (arg.as_str(), is_script)
    })
}

/// Whether an interpreter takes the argument after `flag` for a script.
fn announces_script(flag: &str) -> bool {
    flag.strip_prefix('-').is_some_and(|letters| {
        letters.ends_with(['c', 'e']) && letters.chars().all(|c| c.is_ascii_alphabetic())
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_flag_for_a_script_may_be_one() {
        // What may be a script stands in brackets.
        for (args, expected) in [
            ("", ""),
            ("$A b $C", "$A b $C"),
            ("-c $A $B", "-c [$A] $B"),
            ("-e $A -e $B", "-e [$A] -e [$B]"),
            ("-ec $A", "-ec [$A]"),
            ("-lc $A", "-lc [$A]"),
            ("-euxc $A", "-euxc [$A]"),
            ("-ne $A", "-ne [$A]"),
            ("-eux $A", "-eux $A"),
            ("-x -c $A", "-x -c [$A]"),
            ("-c -x $A $B", "-c [-x] [$A] $B"),
            ("-c -- $A $B", "-c [--] [$A] $B"),
            ("-e +o pipefail", "-e [+o] [pipefail]"),
            ("-C $A", "-C $A"),
            ("-o pipefail -c $A sh $B", "-o pipefail -c [$A] sh $B"),
            ("- $A", "- $A"),
            ("-- $A", "-- $A"),
            ("--c $A", "--c $A"),
            ("--release $A", "--release $A"),
            ("-1c $A", "-1c $A"),
            ("c $A", "c $A"),
        ] {
            let given: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
            let found: Vec<_> = scripts(&given)
                .map(|(arg, is_script)| if is_script { format!("[{arg}]") } else { arg.into() })
                .collect();
            assert_eq!(found.join(" "), expected);
        }
    }
}
