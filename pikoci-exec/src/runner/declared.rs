//! Runners declared in HCL: `runner_type "NAME" { run { path, args, env } }`.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::{StepContext, StepRun};
use pikoci_core::pipeline::RunnerTypeDecl;
use pikoci_core::{Exit, Params, Runner, TypeError, Value};

use super::expand::{expand, lone_name};
use crate::process::{self, EnvironmentPolicy, ProcessSpec};

/// A runner declared in HCL.
///
/// In the type's `path`, `args` and `env` these expand, once and from left to right:
/// - `$WORKDIR` to the step's directory;
/// - `$name`, where `name` is a parameter, to its value. One that is not given
///   expands to nothing, and an item that becomes empty by that is dropped. A
///   type without `params` takes any: there, what was given is a parameter, and
///   so is the name of an item that is nothing but `$name` (not all upper case);
/// - the item `"$args"`, where the parameter is a list, to its items;
/// - the item `"$env"` to `-e NAME` for every variable of the step.
///
/// Any other `$NAME` stays for a shell to see. In the values of parameters only
/// `$BUILD_*` is expanded beforehand. What was put in is never expanded or split again.
#[derive(Debug, Clone)]
pub struct DeclaredRunner {
    decl: RunnerTypeDecl,
    environment: Arc<EnvironmentPolicy>,
}

impl DeclaredRunner {
    /// A runner for that declaration, with the default [`EnvironmentPolicy`].
    pub fn new(decl: RunnerTypeDecl) -> Self {
        Self { decl, environment: Arc::default() }
    }

    /// The same with another policy.
    #[must_use]
    pub fn with_environment(mut self, environment: Arc<EnvironmentPolicy>) -> Self {
        self.environment = environment;
        self
    }
}

#[async_trait]
impl Runner for DeclaredRunner {
    fn params(&self) -> ParamSpec {
        ParamSpec { accepted: self.decl.params.clone(), required: Vec::new() }
    }

    async fn run(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Exit, TypeError> {
        let spec = self.command(step.context, params)?;
        Ok(process::run(spec, step.io, step.cancel).await?)
    }
}

impl DeclaredRunner {
    /// The command that a `run` block with these parameters stands for.
    fn command(&self, context: &StepContext, params: &Params) -> Result<ProcessSpec, TypeError> {
        let scope = Scope {
            accepted: self.decl.params.as_deref(),
            given: params
                .iter()
                .filter(|(_, value)| !matches!(value, Value::Null))
                .map(|(name, value)| (name.to_owned(), with_build_names(value, context)))
                .collect(),
            context,
        };
        let path = scope.text(&own_text(&self.decl.path, "path")?).unwrap_or_default();
        if path.is_empty() {
            return Err(TypeError::errored(
                "the runner type's `path` is empty for these parameters",
            ));
        }
        let mut args = Vec::new();
        for item in &self.decl.args {
            scope.item(&own_text(item, "args")?, &mut args);
        }
        let mut spec = ProcessSpec::for_step(path, context, &self.environment).args(args);
        for (name, value) in &self.decl.env {
            if let Some(value) = scope.text(&own_text(value, "env")?) {
                spec.env.insert(name.into(), value.into());
            }
        }
        Ok(spec)
    }
}

/// What names stand for in one command.
struct Scope<'a> {
    accepted: Option<&'a [String]>,
    given: Params,
    context: &'a StepContext,
}

impl Scope<'_> {
    /// Appends what one item of `args` becomes: nothing, one argument or several.
    fn item(&self, item: &str, args: &mut Vec<String>) {
        match lone_name(item) {
            Some("env") => {
                for name in self.context.env.0.keys() {
                    args.extend(["-e".to_owned(), name.clone()]);
                }
            }
            Some(name) if matches!(self.given.get(name), Some(Value::List(_) | Value::Set(_))) => {
                args.extend(self.given.texts(name));
            }
            _ => args.extend(self.text(item)),
        }
    }

    /// What a text becomes; `None` where nothing is left because a parameter is not given.
    fn text(&self, text: &str) -> Option<String> {
        let lone = lone_name(text);
        let unset = Cell::new(false);
        let expanded = expand(text, |name| {
            if name == "WORKDIR" {
                return Some(self.context.workdir.to_string_lossy());
            }
            if let Some(value) = self.given.text(name) {
                return Some(Cow::Owned(value));
            }
            let is_param = match self.accepted {
                Some(accepted) => accepted.iter().any(|accepted| accepted == name),
                None => lone.is_some() && name.contains(|c: char| c.is_ascii_lowercase()),
            };
            is_param.then(|| {
                unset.set(true);
                Cow::Borrowed("")
            })
        });
        (!(expanded.is_empty() && unset.get())).then_some(expanded)
    }
}

/// A text of the declaration itself.
fn own_text(value: &Value, attribute: &str) -> Result<String, TypeError> {
    value.to_text().ok_or_else(|| {
        TypeError::errored(format!(
            "the runner type's `{attribute}` holds a secret; pass it by a parameter or the task's `env`"
        ))
    })
}

/// `value` with the engine's own `BUILD_*` names expanded in its texts.
fn with_build_names(value: &Value, context: &StepContext) -> Value {
    let each = |items: &[Value]| items.iter().map(|item| with_build_names(item, context)).collect();
    match value {
        Value::String(text) => Value::String(expand(text, |name| {
            let value = context.env.0.get(name)?;
            name.starts_with("BUILD_").then(|| value.as_str().into())
        })),
        Value::List(items) => Value::List(each(items)),
        Value::Set(items) => Value::Set(each(items)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
