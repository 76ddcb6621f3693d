//! A `secret_type` that a pipeline declares.

use std::sync::Arc;

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::StepRun;
use pikoci_core::params::{Attributes, Params};
use pikoci_core::pipeline::SecretTypeDecl;
use pikoci_core::secret::{SecretFields, SecretString};
use pikoci_core::{SecretType, TypeError, Value};

use super::Runners;
use super::command::{Commands, Output, exit_error};

/// A secret type whose `get` is a command block. It gets the declaration's
/// attributes and the request's parameters as `param_*` and prints a JSON
/// object as its last line. What it prints on stdout is never shown.
#[derive(Debug)]
pub struct DeclaredSecret {
    decl: SecretTypeDecl,
    commands: Commands,
}

impl DeclaredSecret {
    /// The type `name`, whose command runs on `runners`.
    pub fn new(name: &str, decl: SecretTypeDecl, runners: Runners) -> Self {
        let commands = Commands {
            owner: format!("secret type `{name}`"),
            runners,
            instead: decl.runner.clone(),
        };
        Self { decl, commands }
    }
}

#[async_trait]
impl SecretType for DeclaredSecret {
    fn params(&self) -> ParamSpec {
        ParamSpec::any()
    }

    async fn get(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
    ) -> Result<SecretFields, TypeError> {
        let block = self.decl.get.as_ref().ok_or_else(|| {
            TypeError::errored(format!("{} has no `get` command", self.commands.owner))
        })?;
        let params = lay_over(&self.decl.attributes, params)?;
        let vars = params.environment("param");
        let ended = self.commands.run(step, block, vars, Output::Secret).await?;
        if let Some(error) = exit_error("get", ended.exit) {
            return Err(error);
        }
        parse(&ended.stdout)
    }
}

/// The fields of the JSON object on the last line. An error never quotes the
/// output: it may be the secret in a form that could not be read.
fn parse(stdout: &[u8]) -> Result<SecretFields, TypeError> {
    let line = stdout.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(line).map_err(|_| {
            TypeError::errored(format!(
                "`get` must print a JSON object as the last line of stdout; its last line has {} \
                 bytes and is none",
                line.len()
            ))
        })?;
    Ok(map
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| match value {
            serde_json::Value::String(text) => (key, SecretString::from(text)),
            other => (key, SecretString::from(other.to_string())),
        })
        .collect())
}

/// The built-in type `inner` with the attributes of a declaration that stands for it.
pub(super) fn with_attributes(
    inner: Arc<dyn SecretType>,
    attributes: Attributes,
) -> Arc<dyn SecretType> {
    if attributes.is_empty() { inner } else { Arc::new(WithAttributes { inner, attributes }) }
}

#[derive(Debug)]
struct WithAttributes {
    inner: Arc<dyn SecretType>,
    attributes: Attributes,
}

#[async_trait]
impl SecretType for WithAttributes {
    fn params(&self) -> ParamSpec {
        self.inner.params()
    }

    async fn get(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
    ) -> Result<SecretFields, TypeError> {
        self.inner.get(step, &lay_over(&self.attributes, params)?).await
    }
}

/// The parameters of a request over a declaration's attributes. An attribute
/// that is itself a secret comes with the request: only the engine can resolve it.
fn lay_over(attributes: &Attributes, params: &Params) -> Result<Params, TypeError> {
    let mut out: Attributes =
        params.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    for (name, value) in attributes {
        if params.get(name).is_some() || matches!(value, Value::Null) {
            continue;
        }
        if value.is_deferred() {
            return Err(TypeError::errored(format!(
                "attribute `{name}` of the secret type is itself a secret that was not resolved"
            )));
        }
        out.insert(name.clone(), value.clone());
    }
    Ok(Params::new(out))
}
