//! Runners declared in HCL: `runner_type "NAME" { run { path, args, env } }`.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::{StepContext, StepRun};
use pikoci_core::params::Attributes;
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
/// `$BUILD_*` is expanded beforehand. What was put in, secrets among it, is
/// never expanded or split again. A secret in `args` can be read by everyone on
/// the machine, as all arguments can; one in `env` cannot.
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
        ParamSpec { accepted: self.decl.params.clone(), ..ParamSpec::default() }
    }

    async fn run(&self, step: &mut StepRun<'_>, params: &Params) -> Result<Exit, TypeError> {
        let scope = Scope::new(&self.decl, params, step.context);
        let secrets = step.resolve(&self.deferred(&scope)).await?;
        let spec = self.command(&scope, &secrets)?;
        Ok(process::run(spec, step.io, step.cancel).await?)
    }
}

impl DeclaredRunner {
    /// The values of the declaration with a secret in them, by where they
    /// stand. Names in them are expanded here, before the secrets are put in.
    fn deferred(&self, scope: &Scope<'_>) -> Attributes {
        let expanded = |text: &str| scope.text(text).unwrap_or_default();
        let args = self.decl.args.iter().enumerate().map(|(index, it)| (arg_key(index), it));
        let env = self.decl.env.iter().map(|(name, it)| (env_key(name), it));
        std::iter::once((PATH_KEY.to_owned(), &self.decl.path))
            .chain(args)
            .chain(env)
            .filter(|(_, value)| value.is_deferred())
            .map(|(key, value)| (key, value.map_texts(&expanded)))
            .collect()
    }

    /// The command that a `run` block stands for; `secrets` are the values of
    /// [`deferred`](Self::deferred) with the secrets put in.
    fn command(&self, scope: &Scope<'_>, secrets: &Params) -> Result<ProcessSpec, TypeError> {
        let text = |key: &str, value: &Value| match value.to_text() {
            Some(text) => scope.text(&text),
            None => secrets.text(key),
        };
        let path = text(PATH_KEY, &self.decl.path).unwrap_or_default();
        if path.is_empty() {
            return Err(TypeError::errored(
                "the runner type's `path` is empty for these parameters",
            ));
        }
        let mut args = Vec::new();
        for (index, item) in self.decl.args.iter().enumerate() {
            match item.to_text() {
                Some(item) => scope.item(&item, &mut args),
                None => args.extend(secrets.text(&arg_key(index))),
            }
        }
        let mut spec = ProcessSpec::for_step(path, scope.context, &self.environment).args(args);
        for (name, value) in &self.decl.env {
            if let Some(value) = text(&env_key(name), value) {
                spec.env.insert(name.into(), value.into());
            }
        }
        Ok(spec)
    }
}

const PATH_KEY: &str = "path";

fn arg_key(index: usize) -> String {
    format!("args[{index}]")
}

fn env_key(name: &str) -> String {
    format!("env.{name}")
}

/// What names stand for in one command.
struct Scope<'a> {
    accepted: Option<&'a [String]>,
    given: Params,
    context: &'a StepContext,
}

impl<'a> Scope<'a> {
    fn new(decl: &'a RunnerTypeDecl, params: &Params, context: &'a StepContext) -> Self {
        let given = params
            .iter()
            .filter(|(_, value)| !matches!(value, Value::Null))
            .map(|(name, value)| (name.to_owned(), with_build_names(value, context)))
            .collect();
        Self { accepted: decl.params.as_deref(), given, context }
    }

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
