//! What the steps of a build see: its variables, and the values of the job's inputs.

use std::collections::BTreeMap;

use super::{BuildSpec, Host};
use crate::context::Environment;
use crate::name::env_name;
use crate::pipeline::{Job, JobInput, VariableType};
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
    /// The variables that every step of the build sees.
    pub(super) fn of_build(build: &BuildSpec, host: &Host) -> Self {
        let name = &build.context.name;
        let mut vars = host.env.clone();
        let mut set = |key: &str, value: String| vars.insert(key.to_owned(), value);
        set("CI", "true".into());
        set("PIKOCI", "true".into());
        set("BUILD_ID", build.context.id.to_string());
        set("BUILD_NUMBER", name.number.clone());
        set("BUILD_JOB_NAME", name.job.clone());
        set("BUILD_PIPELINE_NAME", name.pipeline.clone());
        set("BUILD_TEAM_NAME", name.team.clone());
        set("BUILD_ATTEMPT", build.attempt.to_string());
        if let Some(url) = &build.context.url {
            set("BUILD_URL", url.clone());
        }
        set("WORKDIR", host.workspace.root().to_string_lossy().into_owned());
        Self { vars, added: Vec::new() }
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
    if let Some(unknown) = given.keys().find(|name| !job.inputs.iter().any(|it| it.name == **name))
    {
        let known: Vec<String> = job.inputs.iter().map(|it| format!("`{}`", it.name)).collect();
        return Err(if known.is_empty() {
            format!("job `{}` takes no input, but `{unknown}` was given", job.name)
        } else {
            format!("job `{}` has no input `{unknown}`; it has {}", job.name, known.join(", "))
        });
    }
    for input in &job.inputs {
        let default = || input.default.as_ref().and_then(|value| value.to_text());
        let value = given.get(&input.name).cloned().or_else(default).ok_or_else(|| {
            format!("input `{}` has no default, and no value was given for it", input.name)
        })?;
        check(input, &value)?;
        scope.vars.insert(format!("INPUT_{}", env_name(&input.name)), value.clone());
        scope.vars.insert(format!("INPUT_{}", input.name), value);
    }
    Ok(())
}

fn check(input: &JobInput, value: &str) -> Result<(), String> {
    let parts: Vec<&str> = if input.multiple {
        value.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
    } else {
        vec![value]
    };
    for part in parts {
        let wrong = |wanted: &str| {
            Err(format!("input `{}` is `{part}`, which is not {wanted}", input.name))
        };
        match input.kind {
            VariableType::Number if part.parse::<f64>().is_ok_and(f64::is_finite) => {}
            VariableType::Number => return wrong("a number"),
            VariableType::Bool if matches!(part, "true" | "false") => {}
            VariableType::Bool => return wrong("`true` or `false`"),
            VariableType::String | VariableType::Any => {}
        }
        if !input.options.is_empty() && !input.options.iter().any(|option| option == part) {
            return wrong(&format!("one of its options: {}", input.options.join(", ")));
        }
        if part.contains('\0') {
            return wrong("text that a command could be given");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::plan::job;
    use crate::value::Value;

    fn input(name: &str) -> JobInput {
        JobInput {
            name: name.into(),
            kind: VariableType::String,
            description: None,
            default: None,
            options: Vec::new(),
            multiple: false,
            location: Default::default(),
        }
    }

    fn set(
        inputs: Vec<JobInput>,
        given: &[(&str, &str)],
    ) -> Result<BTreeMap<String, String>, String> {
        let mut job = job("test", Vec::new());
        job.inputs = inputs;
        let given = given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut scope = Scope::default();
        set_inputs(&mut scope, &job, &given).map(|()| scope.vars)
    }

    #[test]
    fn inputs_have_defaults_and_both_spellings() {
        let with_default = JobInput { default: Some(Value::from(3)), ..input("run-count") };
        let vars = set(vec![with_default.clone()], &[]).unwrap();
        assert_eq!(
            (vars["INPUT_run-count"].as_str(), vars["INPUT_RUN_COUNT"].as_str()),
            ("3", "3")
        );
        assert_eq!(set(vec![with_default], &[("run-count", "5")]).unwrap()["INPUT_RUN_COUNT"], "5");
    }

    #[test]
    fn inputs_are_checked() {
        let number = JobInput { kind: VariableType::Number, ..input("n") };
        let flag = JobInput { kind: VariableType::Bool, ..input("f") };
        let choice = JobInput { options: vec!["a".into(), "b".into()], ..input("c") };
        let several = JobInput { multiple: true, ..choice.clone() };
        for (inputs, given, problem) in [
            (
                vec![input("x")],
                &[][..],
                Some("input `x` has no default, and no value was given for it"),
            ),
            (
                vec![input("x")],
                &[("x", "1"), ("y", "1")],
                Some("job `test` has no input `y`; it has `x`"),
            ),
            (vec![], &[("y", "1")], Some("job `test` takes no input, but `y` was given")),
            (vec![number.clone()], &[("n", "1.5")], None),
            (vec![number], &[("n", "one")], Some("input `n` is `one`, which is not a number")),
            (vec![flag.clone()], &[("f", "false")], None),
            (vec![flag], &[("f", "no")], Some("input `f` is `no`, which is not `true` or `false`")),
            (vec![choice.clone()], &[("c", "b")], None),
            (
                vec![choice],
                &[("c", "a,b")],
                Some("input `c` is `a,b`, which is not one of its options: a, b"),
            ),
            (vec![several.clone()], &[("c", "a, b")], None),
            (
                vec![several],
                &[("c", "a,z")],
                Some("input `c` is `z`, which is not one of its options: a, b"),
            ),
        ] {
            assert_eq!(set(inputs, given).err().as_deref(), problem, "{given:?}");
        }
    }
}
