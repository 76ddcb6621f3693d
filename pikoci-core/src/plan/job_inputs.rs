//! The values of a job's `input` blocks: what is given, checked before anything runs.

use std::collections::BTreeMap;

use crate::language::suggest::{closest, name_list};
use crate::pipeline::{Job, JobInput, VariableType};

/// How many names a message lists.
const LISTED: usize = 12;

/// The value of every input of `job`: what is `given`, else its default.
///
/// # Errors
/// Every value that is missing, unknown or not allowed, each as a sentence.
pub fn check_inputs(
    job: &Job,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Vec<String>> {
    let names = || job.inputs.iter().map(|input| input.name.as_str());
    let unknown = given.keys().filter(|name| names().all(|known| known != name.as_str()));
    let mut problems: Vec<String> = unknown
        .map(|name| match closest(name, names()) {
            _ if job.inputs.is_empty() => {
                format!("job `{}` takes no input, but `{name}` was given", job.name)
            }
            Some(near) => {
                format!("job `{}` has no input `{name}`; did you mean `{near}`?", job.name)
            }
            None => {
                let known = name_list(names(), LISTED);
                format!("job `{}` has no input `{name}`; it has {known}", job.name)
            }
        })
        .collect();
    let mut values = BTreeMap::new();
    for input in &job.inputs {
        let default = || input.default.as_ref().and_then(|value| value.to_text());
        let Some(value) = given.get(&input.name).cloned().or_else(default) else {
            problems.push(format!(
                "input `{}` has no default, and no value was given for it",
                input.name
            ));
            continue;
        };
        match check(input, &value) {
            Ok(()) => {
                values.insert(input.name.clone(), value);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
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
            let mut options = format!("one of its options: {}", input.options.join(", "));
            if let Some(near) = closest(part, input.options.iter().map(String::as_str)) {
                options.push_str(&format!("; did you mean `{near}`?"));
            }
            return wrong(&options);
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
    use crate::plan::environment::{Scope, set_inputs};
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
    fn all_mistakes_are_told_at_once_and_near_names_suggested() {
        let mut job = job("test", Vec::new());
        let options = vec!["debug".into(), "info".into()];
        job.inputs = vec![
            JobInput { options, ..input("level") },
            input("target"),
            JobInput { kind: VariableType::Number, ..input("count") },
        ];
        let given = [("levle", "x"), ("level", "debgu"), ("count", "many")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(
            check_inputs(&job, &given),
            Err(vec![
                "job `test` has no input `levle`; did you mean `level`?".to_owned(),
                "input `level` is `debgu`, which is not one of its options: debug, info; \
                 did you mean `debug`?"
                    .to_owned(),
                "input `target` has no default, and no value was given for it".to_owned(),
                "input `count` is `many`, which is not a number".to_owned(),
            ])
        );
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
