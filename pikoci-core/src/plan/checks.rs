//! Checks of resources: those that a build needs before its inputs are known,
//! and those that no build needs.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use serde_json::Value;

use super::environment::Scope;
use super::inputs::{MissingCheck, choose, missing_checks};
use super::interpret::{Attempt, Run};
use super::leaf::Work;
use super::outcome::Outcome;
use super::recorder::Output;
use super::stop::Stop;
use super::{BuildSpec, Cancellation, Host};
use crate::context::BuildContext;
use crate::event::StepType;
use crate::name::{BuildId, BuildName};
use crate::pipeline::{Job, Location, Pipeline};
use crate::version::Version;

/// A check of a resource that no build needs.
#[derive(Debug, Clone)]
pub struct ResourceCheck {
    /// Names the check as a build is named: its processes carry it.
    pub id: BuildId,
    /// The team's slug.
    pub team: String,
    /// The pipeline, with the resource and its type in it.
    pub pipeline: Arc<Pipeline>,
    /// The resource's type.
    pub kind: String,
    /// The resource's name.
    pub name: String,
    /// The version to list from; `None` asks for the newest only.
    pub from: Option<Version>,
    /// The longest time it may take, besides the grace time of its processes;
    /// `None` is what the resource says.
    pub timeout: Option<Duration>,
}

/// Checks a resource: its versions, oldest first and each once, as they truly
/// are; or why there are none, in a sentence without secrets.
///
/// It is told as a step to `host.events`, from number 0; nothing of it goes
/// into `host.journal`.
///
/// # Errors
/// When the check failed, took too long, was cancelled, or found what is no version.
pub async fn check_resource(
    check: &ResourceCheck,
    host: &Host,
    cancel: &Cancellation,
) -> Result<Vec<Version>, String> {
    let name = BuildName {
        team: check.team.clone(),
        pipeline: check.pipeline.name.clone(),
        job: format!("{}.{}", check.kind, check.name),
        number: "check".into(),
    };
    let spec = BuildSpec {
        context: BuildContext { id: check.id, name, url: None },
        pipeline: Arc::clone(&check.pipeline),
        inputs: BTreeMap::new(),
        check_missing: false,
        input_values: BTreeMap::new(),
        attempt: 1,
        previous: None,
        begun: None,
        resume: None,
    };
    let run = Run::new(&spec, host, cancel);
    let scope = Scope::of_pipeline(&spec, host);
    let missing = MissingCheck {
        kind: check.kind.clone(),
        name: check.name.clone(),
        from: check.from.clone(),
    };
    let (outcome, versions) =
        Box::pin(run.check(&missing, check.timeout, &scope, cancel.stop())).await;
    if outcome.is_ok() {
        return Ok(versions);
    }
    let reason = outcome.reason.unwrap_or_else(|| outcome.status.to_string());
    Err(run.recorder.mask(&reason))
}

/// What a check found without what came before; or why something of it can be
/// no version, such as one that says nothing.
fn usable(found: Vec<Version>) -> Work<Vec<Version>> {
    let mut seen = HashSet::with_capacity(found.len());
    let mut out = Vec::with_capacity(found.len());
    for version in found {
        let blank = |value: &Value| match value {
            Value::Null => true,
            Value::String(text) => text.trim().is_empty(),
            _ => false,
        };
        if version.0.is_empty() {
            return Err(Outcome::errored("the check found a version without any field"));
        }
        if version.0.get("ref").is_some_and(blank) {
            return Err(Outcome::errored("the check found a version with an empty `ref`"));
        }
        if seen.insert(version.digest()) {
            out.push(version);
        }
    }
    Ok(out)
}

impl Run<'_> {
    /// The version of every get: those given, and where the build asks for it
    /// those that a check finds now. All checks run at the same time.
    pub(super) async fn resolve_inputs(
        &self,
        job: &Job,
        scope: &Scope,
        stop: &Stop,
    ) -> Work<BTreeMap<String, Version>> {
        let mut inputs = self.spec.inputs.clone();
        if !self.spec.check_missing {
            return Ok(inputs);
        }
        let missing = missing_checks(job, &inputs);
        if missing.is_empty() {
            return Ok(inputs);
        }
        if stop.is_cancelled() {
            return Err(Outcome::cancelled(stop.reason()));
        }
        let mut checks = Vec::with_capacity(missing.len());
        for check in &missing {
            checks.push(self.check(check, None, scope, stop).boxed());
        }
        let ended = join_all(checks).await;
        let mut found = BTreeMap::new();
        let mut whole = Outcome::succeeded();
        for (check, (outcome, versions)) in missing.iter().zip(ended) {
            if whole.status.worst(outcome.status) != whole.status {
                whole = outcome.blame(&check.title());
            }
            found.insert((check.kind.as_str(), check.name.as_str()), versions);
        }
        if !whole.is_ok() {
            return Err(whole);
        }
        for (_, get) in job.gets() {
            if inputs.contains_key(&get.name) {
                continue;
            }
            let versions = found.get(&(get.kind.as_str(), get.name.as_str()));
            let version = choose(get, versions.map_or(&[], Vec::as_slice));
            inputs.insert(get.name.clone(), version.map_err(Outcome::errored)?);
        }
        Ok(inputs)
    }

    /// One check, told as a step, and what it found.
    async fn check(
        &self,
        check: &MissingCheck,
        timeout: Option<Duration>,
        scope: &Scope,
        stop: &Stop,
    ) -> (Outcome, Vec<Version>) {
        let (id, title) = (check.step(), check.title());
        let resource = self.spec.pipeline.resource(&check.kind, &check.name);
        let nowhere = Location::default();
        let attempt = Attempt {
            id: &id,
            name: &title,
            kind: StepType::Check,
            location: resource.map_or(&nowhere, |resource| &resource.location),
            timeout: timeout.or_else(|| resource.and_then(|resource| resource.check_timeout)),
            number: 1,
            of: 1,
        };
        let mut found = Vec::new();
        let (versions, told) = (&mut found, &attempt);
        let (outcome, _) = self
            .attempt(&attempt, stop, |own| async move {
                let mut io = Output::new(&self.recorder, told.id.clone());
                let work = async {
                    *versions = self.check_work(check, told, scope, &mut io, &own).await?;
                    Ok(())
                };
                let outcome = self.settle(&own, work).await;
                io.flush().await;
                outcome
            })
            .await;
        (outcome, found)
    }

    async fn check_work(
        &self,
        check: &MissingCheck,
        attempt: &Attempt<'_>,
        scope: &Scope,
        io: &mut Output<'_>,
        stop: &Stop,
    ) -> Work<Vec<Version>> {
        let resource = self.resource(&check.kind, &check.name)?;
        let kind = self.host.types.resource_types.get(&check.kind).ok_or_else(|| {
            Outcome::errored(format!("there is no resource type `{}` here", check.kind))
        })?;
        let mut context =
            self.context_of(attempt.id.clone(), attempt.name.to_owned(), attempt.location, scope);
        self.use_cache(resource, &mut context)?;
        let mut run = self.step_run(&context, io, stop);
        let params =
            self.resolver().expanded(&resource.params, &mut run).await.map_err(Outcome::broken)?;
        let found = kind.check(&mut run, &params, check.from.as_ref()).await;
        found.map_err(Outcome::broken).and_then(usable)
    }
}
