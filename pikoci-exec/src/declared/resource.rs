//! A `resource_type` that a pipeline declares.

use async_trait::async_trait;
use pikoci_core::catalog::ParamSpec;
use pikoci_core::context::StepRun;
use pikoci_core::params::Params;
use pikoci_core::pipeline::{CommandBlock, ResourceTypeDecl};
use pikoci_core::traits::TypeErrorKind;
use pikoci_core::version::Metadata;
use pikoci_core::{Exit, ResourceType, TypeError, Version};

use super::command::{Commands, Ended, Output, exit_error, shown, with_line};
use super::{Runners, spec};

/// A resource type whose methods are command blocks.
///
/// `check` gets `param_*` and, with an earlier version, `version_*`, and prints
/// a JSON array of objects; `pull` gets both; `push` gets `param_*` and `put_*`
/// and may print the version it made as its last line.
#[derive(Debug)]
pub struct DeclaredResource {
    decl: ResourceTypeDecl,
    commands: Commands,
}

impl DeclaredResource {
    /// The type `name`, whose commands run on `runners`.
    pub fn new(name: &str, decl: ResourceTypeDecl, runners: Runners) -> Self {
        let commands = Commands {
            owner: format!("resource type `{name}`"),
            runners,
            instead: decl.runner.clone(),
        };
        Self { decl, commands }
    }

    fn block<'a>(
        &self,
        block: Option<&'a CommandBlock>,
        name: &str,
    ) -> Result<&'a CommandBlock, TypeError> {
        block.ok_or_else(|| {
            TypeError::errored(format!("{} has no `{name}` command", self.commands.owner))
        })
    }
}

#[async_trait]
impl ResourceType for DeclaredResource {
    fn params(&self) -> ParamSpec {
        spec(self.decl.params.as_ref())
    }

    async fn check(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        from: Option<&Version>,
    ) -> Result<Vec<Version>, TypeError> {
        let block = self.block(self.decl.check.as_ref(), "check")?;
        let mut vars = params.environment("param");
        vars.extend(from.into_iter().flat_map(version_vars));
        let ended = self.commands.run(step, block, vars, Output::Data).await?;
        if let Some(error) = exit_error("check", ended.exit) {
            return Err(with_telling_line(error, &ended));
        }
        parse_check(&ended)
    }

    async fn pull(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        version: &Version,
    ) -> Result<Metadata, TypeError> {
        // A type that only finds or pushes versions has nothing to fetch.
        let Some(block) = &self.decl.pull else { return Ok(Metadata::new()) };
        let mut vars = params.environment("param");
        vars.extend(version_vars(version));
        let ended = self.commands.run(step, block, vars, Output::Shown).await?;
        exit_error("pull", ended.exit).map_or(Ok(Metadata::new()), Err)
    }

    async fn push(
        &self,
        step: &mut StepRun<'_>,
        params: &Params,
        put: &Params,
    ) -> Result<Option<Version>, TypeError> {
        let block = self.block(self.decl.push.as_ref(), "push")?;
        let mut vars = params.environment("param");
        vars.extend(put.environment("put"));
        let ended = self.commands.run(step, block, vars, Output::Kept).await?;
        match exit_error("push", ended.exit) {
            Some(error) if error.kind == TypeErrorKind::Cancelled => Err(error),
            // What refuses a push is what is pushed to: no fault of the machinery.
            Some(error) => Err(TypeError { kind: TypeErrorKind::Failed, ..error }),
            None => Ok(parse_push(&ended.stdout)),
        }
    }
}

fn with_telling_line(error: TypeError, ended: &Ended) -> TypeError {
    match ended.exit {
        Exit::Code(_) => {
            TypeError { message: with_line(&error.message, &ended.telling_line), ..error }
        }
        _ => error,
    }
}

fn version_vars(version: &Version) -> impl Iterator<Item = (String, String)> + use<> {
    version.flatten().into_iter().map(|(key, value)| {
        let key: String =
            key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        (format!("version_{key}"), value)
    })
}

/// The versions a check printed: all of its output as a JSON array, or else
/// the last line that is one.
fn parse_check(ended: &Ended) -> Result<Vec<Version>, TypeError> {
    if ended.truncated {
        return Err(TypeError::errored(format!(
            "`check` printed more than {} MiB; print only versions since `$version_*`",
            super::command::CAPTURE_LIMIT_BYTES / (1024 * 1024)
        )));
    }
    let whole = ended.stdout.trim_ascii();
    let items = serde_json::from_slice::<Vec<serde_json::Value>>(whole).ok().or_else(|| {
        whole.rsplit(|byte| *byte == b'\n').find_map(|line| serde_json::from_slice(line).ok())
    });
    let items = items.ok_or_else(|| {
        TypeError::errored(format!(
            "`check` must print a JSON array of version objects on stdout, printed {}",
            shown(whole)
        ))
    })?;
    items
        .into_iter()
        .map(|item| {
            version(&item).ok_or_else(|| {
                TypeError::errored(format!(
                    "`check` printed {} where a version was expected: an object with at least \
                     one field that is not empty",
                    shown(item.to_string().as_bytes())
                ))
            })
        })
        .collect()
}

/// The version a push printed as its last line, where it did: an object, or
/// the last one of an array.
fn parse_push(stdout: &[u8]) -> Option<Version> {
    let line = stdout.trim_ascii().rsplit(|byte| *byte == b'\n').next()?;
    match serde_json::from_slice(line).ok()? {
        serde_json::Value::Array(items) => items.last().and_then(version),
        item => version(&item),
    }
}

/// The version in a JSON value, unless it says nothing: a check that goes
/// wrong easily prints `{"ref":""}`, and such a version can never be fetched.
fn version(json: &serde_json::Value) -> Option<Version> {
    let fields = json.as_object()?;
    let version = Version(fields.iter().map(|(key, value)| (key.clone(), value.clone())).collect());
    version.flatten().values().any(|value| !value.trim().is_empty()).then_some(version)
}
