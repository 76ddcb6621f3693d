//! What the steps of a build see: its variables, and the values of the job's inputs.

use std::collections::BTreeMap;

use super::job_inputs::check_inputs;
use super::{BuildSpec, Host};
use crate::context::Environment;
use crate::name::env_name;
use crate::pipeline::Job;
use crate::status::Status;
use crate::version::Version;

/// The variables at one place of the plan. Steps that run at the same time
/// each get a copy; what they add is merged when all have ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) vars: BTreeMap<String, String>,
    /// What was added, in order, to be merged into the scope that this one is a copy of.
    added: Vec<(String, String)>,
}

impl Scope {
    /// The variables that everything run for the pipeline sees.
    pub(super) fn of_pipeline(build: &BuildSpec, host: &Host) -> Self {
        let name = &build.context.name;
        let mut vars = host.env.clone();
        let mut set = |key: &str, value: String| vars.insert(key.to_owned(), value);
        set("CI", "true".into());
        set("PIKOCI", "true".into());
        set("BUILD_PIPELINE_NAME", name.pipeline.clone());
        set("BUILD_TEAM_NAME", name.team.clone());
        set("WORKDIR", host.workspace.root().to_string_lossy().into_owned());
        Self { vars, added: Vec::new() }
    }

    /// The variables that every step of the build sees.
    pub(super) fn of_build(build: &BuildSpec, host: &Host) -> Self {
        let name = &build.context.name;
        let mut scope = Self::of_pipeline(build, host);
        let mut set = |key: &str, value: String| scope.vars.insert(key.to_owned(), value);
        set("BUILD_ID", build.context.id.to_string());
        set("BUILD_NUMBER", name.number.clone());
        set("BUILD_JOB_NAME", name.job.clone());
        set("BUILD_ATTEMPT", build.attempt.to_string());
        if let Some(url) = &build.context.url {
            set("BUILD_URL", url.clone());
        }
        scope
    }

    pub(super) fn set(&mut self, name: String, value: String) {
        self.added.push((name.clone(), value.clone()));
        self.vars.insert(name, value);
    }

    /// Every field of the version that a get fetched, as `GET_<NAME>_<KEY>`.
    pub(super) fn set_version(&mut self, get: &str, version: &Version) {
        for (key, value) in version.flatten() {
            self.set(format!("GET_{}_{}", env_name(get), env_name(&key)), value);
        }
    }

    /// A copy for a step beside others.
    pub(super) fn fork(&self) -> Self {
        Self { vars: self.vars.clone(), added: Vec::new() }
    }

    /// A copy for what runs after something ended with `status`.
    pub(super) fn after(&self, status: Status) -> Self {
        let mut scope = self.fork();
        scope.vars.insert("BUILD_STATUS".into(), status.as_str().into());
        scope
    }

    /// Adds what a copy added.
    pub(super) fn merge(&mut self, fork: Self) {
        for (name, value) in fork.added {
            self.set(name, value);
        }
    }

    /// How much was added so far.
    pub(super) fn extent(&self) -> usize {
        self.added.len()
    }

    /// What was added when so much was.
    pub(super) fn added_within(&self, extent: usize) -> Environment {
        Environment(self.added.iter().take(extent).cloned().collect())
    }

    pub(super) fn environment(&self) -> Environment {
        Environment(self.vars.clone())
    }

    pub(super) fn lookup(&self, name: &str) -> Option<String> {
        self.vars.get(name).cloned()
    }
}

/// Sets `INPUT_*` for the values of the job's inputs: `INPUT_name` as the
/// name is written, and `INPUT_NAME` as variables usually are.
///
/// # Errors
/// When a value is missing, unknown or not allowed, as a sentence.
pub(super) fn set_inputs(
    scope: &mut Scope,
    job: &Job,
    given: &BTreeMap<String, String>,
) -> Result<(), String> {
    for (name, value) in check_inputs(job, given).map_err(|problems| problems.join("; "))? {
        scope.vars.insert(format!("INPUT_{}", env_name(&name)), value.clone());
        scope.vars.insert(format!("INPUT_{name}"), value);
    }
    Ok(())
}
