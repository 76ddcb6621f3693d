//! Checks that a build needs before its inputs are known.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::environment::Scope;
use super::inputs::{MissingCheck, choose, missing_checks};
use super::interpret::{Attempt, Run};
use super::leaf::Work;
use super::outcome::Outcome;
use super::recorder::Output;
use super::stop::Stop;
use crate::event::StepType;
use crate::pipeline::{Job, Location};
use crate::version::Version;

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
            checks.push(self.check(check, scope, stop).boxed());
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
            timeout: resource.and_then(|resource| resource.check_timeout),
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
        kind.check(&mut run, &params, check.from.as_ref()).await.map_err(Outcome::broken)
    }
}
