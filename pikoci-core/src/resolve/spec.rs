//! What a job asks for: its inputs, and how each chooses.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pipeline::{Get, Job, VersionChoice};
use crate::plan::inputs::pinned;
use crate::version::Version;

/// A resource of a pipeline: `type.name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceRef(pub String);

impl fmt::Display for ResourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A job, as far as choosing its versions goes.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    /// Its name, with its instance key where it has one.
    pub name: String,
    /// Its inputs in plan order, each name once. The order counts: where the
    /// upstream jobs of a group compete, the first input's have their way.
    pub inputs: Vec<InputSpec>,
}

/// An input of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// Its name.
    pub name: String,
    /// What it is a version of.
    pub resource: ResourceRef,
    /// Whether a version that is new to it starts the job.
    pub trigger: bool,
    /// The jobs that its version must have passed; instances are named each.
    pub passed: Vec<String>,
    /// Which version it takes.
    pub choice: Choice,
}

/// Which version an input takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Choice {
    /// The newest.
    Latest,
    /// Each, one after the other.
    Every,
    /// The newest that has these fields; goes over a pin of the resource.
    Pinned(Version),
}

impl JobSpec {
    /// The inputs of `job`: all its gets in plan order, those in hooks included,
    /// each named as the get is.
    ///
    /// The language lets a name be got once, and a build has one version for it.
    /// In a job made otherwise, a second get of a resource adds its `passed` and
    /// `trigger` to the first, whose choice stands.
    pub fn of(job: &Job) -> Self {
        let mut inputs: Vec<InputSpec> = Vec::new();
        for (_, get) in job.gets() {
            let input = InputSpec::of(get);
            let Some(first) = inputs.iter_mut().find(|it| it.name == input.name) else {
                inputs.push(input);
                continue;
            };
            if first.resource == input.resource {
                first.trigger |= input.trigger;
                for job in input.passed {
                    if !first.passed.contains(&job) {
                        first.passed.push(job);
                    }
                }
            }
        }
        Self { name: job.name.clone(), inputs }
    }
}

impl InputSpec {
    fn of(get: &Get) -> Self {
        Self {
            name: get.name.clone(),
            resource: ResourceRef(format!("{}.{}", get.kind, get.name)),
            trigger: get.trigger,
            passed: get.passed.clone(),
            choice: match &get.version {
                VersionChoice::Latest => Choice::Latest,
                VersionChoice::Every => Choice::Every,
                VersionChoice::Pinned(pin) => Choice::Pinned(pinned(pin)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{HookBody, Step, StepKind};
    use crate::testkit::plan::{add_hook, get, in_parallel, job, put};

    fn with(mut step: Step, change: impl FnOnce(&mut Get)) -> Step {
        if let StepKind::Get(get) = &mut step.kind {
            change(get);
        }
        step
    }

    #[test]
    fn the_inputs_of_a_job_are_its_gets_wherever_they_stand() {
        let pinned = with(get("conf"), |it| {
            it.version = VersionChoice::Pinned([("ref".to_owned(), "c1".into())].into());
        });
        let every = with(get("app"), |it| {
            it.version = VersionChoice::Every;
            it.trigger = true;
            it.passed = vec!["unit".into(), "lint--a".into()];
        });
        let mut job = job("deploy", vec![put("image"), in_parallel(0, false, vec![every, pinned])]);
        add_hook(&mut job.hooks, "ensure", HookBody::Steps(vec![get("tools")]), false);
        let spec = JobSpec::of(&job);
        assert_eq!(spec.name, "deploy");
        let names: Vec<&str> = spec.inputs.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["app", "conf", "tools"]);
        assert_eq!(
            spec.inputs[0],
            InputSpec {
                name: "app".into(),
                resource: ResourceRef("scripted.app".into()),
                trigger: true,
                passed: vec!["unit".into(), "lint--a".into()],
                choice: Choice::Every,
            }
        );
        assert_eq!(spec.inputs[1].choice, Choice::Pinned(Version::from_pairs([("ref", "c1")])));
        assert_eq!(spec.inputs[2].choice, Choice::Latest);
    }

    #[test]
    fn a_second_get_of_a_resource_adds_to_the_first() {
        let first = with(get("app"), |it| {
            it.passed = vec!["unit".into()];
            it.version = VersionChoice::Every;
        });
        let second = with(get("app"), |it| {
            it.passed = vec!["lint".into(), "unit".into()];
            it.trigger = true;
        });
        let other = with(get("app"), |it| {
            it.kind = "other".into();
            it.passed = vec!["scan".into()];
        });
        let spec = JobSpec::of(&job("deploy", vec![first, second, other]));
        assert_eq!(spec.inputs.len(), 1);
        assert_eq!(spec.inputs[0].passed, ["unit", "lint"]);
        assert_eq!(spec.inputs[0].choice, Choice::Every);
        assert!(spec.inputs[0].trigger);
    }
}
