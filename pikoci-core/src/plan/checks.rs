//! Checks at the beginning of a build whose versions are not chosen yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;

use super::environment::Scope;
use super::inputs::{MissingCheck, choose, missing_checks};
use super::interpret::{Attempt, Run};
use super::leaf::Work;
use super::outcome::Outcome;
use super::recorder::Output;
use super::stop::Stop;
use crate::event::StepType;
use crate::pipeline::Job;
use crate::version::Version;

impl Run<'_> {
    /// The versions for the gets of a job: those chosen already, and for the
    /// others what checks find, all at the same time. What a check that does
    /// not succeed comes to is an error: nothing under test has been run.
    pub(super) async fn find_inputs(
        &self,
        job: &Job,
        checks: &[MissingCheck],
        scope: &Scope,
        stop: &Stop,
    ) -> Work<BTreeMap<String, Version>> {
        let ended = join_all(checks.iter().map(|check| self.check(check, scope, stop))).await;
        let mut found = BTreeMap::new();
        for (check, ended) in checks.iter().zip(ended) {
            found.insert((check.kind.as_str(), check.name.as_str()), ended?);
        }
        let mut inputs = self.spec.inputs.clone();
        for (_, get) in job.gets() {
            if inputs.contains_key(&get.name) {
                continue;
            }
            if let Some(found) = found.get(&(get.kind.as_str(), get.name.as_str())) {
                inputs.insert(get.name.clone(), choose(get, found).map_err(Outcome::errored)?);
            }
        }
        Ok(inputs)
    }

    /// One check, told as a step.
    async fn check(&self, check: &MissingCheck, scope: &Scope, stop: &Stop) -> Work<Vec<Version>> {
        let resource = self.resource(&check.kind, &check.name)?;
        let (id, title) = (check.step(), check.title());
        let found = Mutex::new(Vec::new());
        let attempt = Attempt {
            id: &id,
            name: &title,
            kind: StepType::Check,
            location: &resource.location,
            timeout: resource.check_timeout,
            number: 1,
            of: 1,
        };
        let work = |own: Stop| {
            let (id, title, found) = (id.clone(), title.clone(), &found);
            async move {
                let mut io = Output::new(&self.recorder, id.clone());
                let work = async {
                    let mut bench = self.bench(id, title, &resource.location, scope, &mut io, &own);
                    let kind =
                        self.host.types.resource_types.get(&check.kind).ok_or_else(|| {
                            Outcome::errored(format!(
                                "there is no resource type `{}` here",
                                check.kind
                            ))
                        })?;
                    self.use_cache(resource, &mut bench.context)?;
                    let mut run = bench.step();
                    let params = self
                        .resolver()
                        .expanded(&resource.params, &mut run)
                        .await
                        .map_err(Outcome::broken)?;
                    let versions = kind
                        .check(&mut run, &params, check.from.as_ref())
                        .await
                        .map_err(Outcome::broken)?;
                    *found.lock().unwrap_or_else(PoisonError::into_inner) = versions;
                    Ok(())
                };
                let outcome = self.settle(&own, work).await;
                io.flush().await;
                outcome
            }
        };
        let (outcome, _) = self.attempt(&attempt, stop, work).await;
        if outcome.is_ok() {
            return Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
        let mut outcome = outcome.blame(&title);
        if outcome.status == crate::status::Status::Failed {
            outcome.status = crate::status::Status::Errored;
        }
        Err(outcome)
    }
}
