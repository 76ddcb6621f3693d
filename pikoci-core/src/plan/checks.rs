//! Checks at the beginning of a build whose versions are not chosen yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;

use super::environment::Scope;
use super::inputs::{MissingCheck, choose};
use super::interpret::{Attempt, Run};
use super::leaf::Work;
use super::outcome::Outcome;
use super::recorder::Output;
use super::stop::Stop;
use crate::event::StepType;
use crate::pipeline::Job;
use crate::status::Status;
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
        if outcome.status == Status::Failed {
            outcome.status = Status::Errored;
        }
        Err(outcome)
    }
}

#[cfg(test)]
mod tests {
    use crate::event::EventKind;
    use crate::pipeline::{StepKind, VersionChoice};
    use crate::status::Status;
    use crate::testkit::plan::{World, get, job, task};
    use crate::testkit::{Script, ScriptedResource};
    use crate::version::Version;

    fn refs(refs: &[&str]) -> Vec<Version> {
        refs.iter().map(|it| Version::from_pairs([("ref", *it)])).collect()
    }

    fn three(mut it: ScriptedResource) -> ScriptedResource {
        it.versions = refs(&["v1", "v2", "v3"]);
        it
    }

    /// A world whose resource `app` has three versions, none of them chosen.
    fn world() -> World {
        let mut world = World::new().resource("app", &[]).resource_type(three);
        world.inputs.clear();
        world.check_missing = true;
        world
    }

    fn resolved(world: &World) -> Option<String> {
        world.events.all().into_iter().find_map(|event| match event.kind {
            EventKind::InputsResolved { inputs } => inputs.get("app").map(ToString::to_string),
            _ => None,
        })
    }

    #[tokio::test]
    async fn a_version_that_is_not_chosen_is_found_once_for_all_its_gets() {
        let world = world();
        let result = world.run(job("test", vec![get("app"), get("app")])).await;
        assert_eq!(result.status, Status::Succeeded);
        assert_eq!(resolved(&world).as_deref(), Some("ref:v3"));
        let checks = world.calls.short().iter().filter(|it| it.contains("check")).count();
        assert_eq!(checks, 1);
        let kinds: Vec<_> = world.events.all().into_iter().map(|event| event.kind).collect();
        assert!(matches!(kinds.first(), Some(EventKind::BuildCreated { .. })));
        assert!(
            matches!(kinds.get(1), Some(EventKind::StepStarted { step, name, .. })
                if step.as_str() == "check.scripted.app" && name == "check app"),
            "{kinds:?}"
        );
    }

    #[tokio::test]
    async fn a_chosen_version_is_not_looked_for_and_a_pin_is_kept() {
        let mut chosen = world();
        chosen.inputs.insert("app".into(), refs(&["mine"]).remove(0));
        chosen.run(job("test", vec![get("app")])).await;
        assert_eq!(resolved(&chosen).as_deref(), Some("ref:mine"));
        assert!(!chosen.calls.short().iter().any(|it| it.contains("check")));

        let world = world();
        let mut pinned = get("app");
        if let StepKind::Get(get) = &mut pinned.kind {
            let pin = [("ref".to_owned(), "v2".into())];
            get.version = VersionChoice::Pinned(pin.into_iter().collect());
        }
        world.run(job("test", vec![pinned])).await;
        assert_eq!(resolved(&world).as_deref(), Some("ref:v2"));
    }

    #[tokio::test]
    async fn a_check_that_fails_errs_the_build_before_its_first_step() {
        let broken = world().resource_type(|it| three(it).on("check", [Script::exit(1)]));
        let empty = world().resource_type(|it| it);
        for (world, expected) in [(broken, "check app"), (empty, "has no version yet")] {
            let result = world.run(job("test", vec![get("app"), task("never")])).await;
            assert_eq!(result.status, Status::Errored);
            let reason = result.reason.unwrap_or_default();
            assert!(reason.contains(expected), "{reason}");
            assert_eq!(resolved(&world), None);
            assert!(!world.calls.short().iter().any(|it| it.contains("never")));
        }
    }
}
