//! Order and flow over small graphs.

use pikoci_core::name::BuildName;

use super::*;
use crate::test_support::pipeline;

/// A pipeline of jobs, each with what it gets (`name<passed,passed`) and puts (`>name`).
fn graph(jobs: &[(&str, &[&str])]) -> Pipeline {
    let mut text = String::from(
        "resource_type \"t\" {\n check \"shell\" { cmd = \"\" }\n pull \"shell\" { cmd = \"\" }\n \
         push \"shell\" { cmd = \"\" }\n}\n",
    );
    for name in ["app", "image", "tool"] {
        text += &format!("resource \"t\" \"{name}\" {{}}\n");
    }
    for (job, steps) in jobs {
        text += &format!("job \"{job}\" {{\n");
        for step in *steps {
            text += &match (step.strip_prefix('>'), step.split_once('<')) {
                (Some(name), _) => format!("  put \"t\" \"{name}\" {{}}\n"),
                (None, None) => format!("  get \"t\" \"{step}\" {{}}\n"),
                (None, Some((name, passed))) => {
                    let passed: Vec<_> = passed.split(',').map(|it| format!("\"{it}\"")).collect();
                    format!("  get \"t\" \"{name}\" {{ passed = [{}] }}\n", passed.join(", "))
                }
            };
        }
        text += "}\n";
    }
    pipeline(&text)
}

fn version(text: &str) -> Version {
    Version::from_pairs([("v", text)])
}

fn ended(
    job: &Job,
    status: Status,
    inputs: &[(&str, &str)],
    outputs: &[(&str, &str)],
) -> BuildResult {
    BuildResult {
        name: BuildName {
            team: "local".into(),
            pipeline: "app".into(),
            job: job.name.clone(),
            number: "1".into(),
        },
        status,
        reason: None,
        inputs: inputs.iter().map(|it| (it.0.to_owned(), version(it.1))).collect(),
        outputs: outputs.iter().map(|it| (it.0.to_owned(), version(it.1))).collect(),
        failed_at: None,
    }
}

fn known(inputs: &[(&str, &str)]) -> Result<BTreeMap<String, Version>, String> {
    Ok(inputs.iter().map(|it| (it.0.to_owned(), version(it.1))).collect())
}

#[test]
fn jobs_run_after_those_they_need_and_else_as_written() {
    let all = |graph: &Pipeline| {
        let order = order(graph, &JobChoice::All).unwrap();
        order.iter().map(|it| graph.jobs[*it].name.clone()).collect::<Vec<_>>().join(" ")
    };
    let it = graph(&[("c", &["app<a,b"]), ("b", &["app<a"]), ("a", &["app"]), ("d", &[])]);
    assert_eq!(all(&it), "a b c d");
    let it = graph(&[("a", &[]), ("b", &[]), ("c", &[])]);
    assert_eq!(all(&it), "a b c");
}

#[test]
fn what_cannot_be_run_is_told() {
    let it = graph(&[("a", &[]), ("b", &[])]);
    let told = |choice| order(&it, &choice).unwrap_err().to_string();
    assert_eq!(
        told(JobChoice::Only),
        "the pipeline has 2 jobs; name one of them or ask for all: `a`, `b`"
    );
    assert_eq!(told(JobChoice::One("x".into())), "there is no job `x`; the pipeline has `a`, `b`");
    assert_eq!(order(&it, &JobChoice::One("b".into())).unwrap(), [1]);
    assert!(matches!(order(&Pipeline::default(), &JobChoice::All), Err(LocalError::NoJobs)));
    let mut cycle = graph(&[("a", &["app"]), ("b", &["app<a"]), ("c", &[])]);
    let passed = |pipeline: &mut Pipeline, job: usize, name: &str| {
        if let pikoci_core::pipeline::StepKind::Get(get) = &mut pipeline.jobs[job].steps[0].kind {
            get.passed = vec![name.into()];
        }
    };
    passed(&mut cycle, 0, "b");
    assert_eq!(
        order(&cycle, &JobChoice::All).unwrap_err().to_string(),
        "jobs wait for each other in `passed`: `a`, `b`"
    );
}

#[test]
fn a_version_flows_to_the_jobs_behind() {
    let it = graph(&[
        ("test", &["app"]),
        ("build", &["app<test", ">image"]),
        ("deploy", &["app<test,build", "image<build", "tool"]),
    ]);
    let [test, build, deploy] = &it.jobs[..] else { panic!("three jobs") };
    let mut flow = Flow::default();
    assert_eq!(flow.inputs(test), known(&[]), "nothing is known: the build has to check");
    let app = [("app", "1")];
    flow.finished(test, &ended(test, Status::Succeeded, &app, &[]));
    assert_eq!(flow.inputs(build), known(&[("app", "1")]));
    flow.finished(build, &ended(build, Status::Warning, &app, &[("t.image", "i")]));
    assert_eq!(flow.inputs(deploy), known(&[("app", "1"), ("image", "i")]));
}

#[test]
fn jobs_side_by_side_see_one_version_until_somebody_puts_another() {
    let it = graph(&[("a", &["app"]), ("b", &["app", ">app"]), ("c", &["app"])]);
    let [a, b, c] = &it.jobs[..] else { panic!("three jobs") };
    let mut flow = Flow::default();
    let app = [("app", "1")];
    flow.finished(a, &ended(a, Status::Failed, &app, &[]));
    assert_eq!(flow.inputs(b), known(&[("app", "1")]));
    let mut told = Flow::default();
    told.finished(b, &ended(b, Status::Succeeded, &app, &[("t.app", "2")]));
    assert_eq!(told.inputs(c), known(&[("app", "2")]));
    flow.finished(b, &ended(b, Status::Succeeded, &app, &[]));
    assert_eq!(flow.inputs(c), known(&[]), "the put told no version: the next job has to look");
}

#[test]
fn a_job_behind_one_that_did_not_succeed_is_not_run() {
    let it = graph(&[("a", &["app"]), ("b", &["app<a"]), ("c", &["app<b"]), ("d", &["app<a,c"])]);
    let [a, b, c, _] = &it.jobs[..] else { panic!("four jobs") };
    for (status, expected) in [
        (Status::Failed, "job `a` before it failed"),
        (Status::Errored, "job `a` before it errored"),
        (Status::Cancelled, "job `a` before it was cancelled"),
    ] {
        let mut flow = Flow::default();
        flow.finished(a, &ended(a, status, &[], &[]));
        assert_eq!(flow.inputs(b), Err(expected.into()));
        flow.not_run(b);
        assert_eq!(flow.inputs(c), Err("job `b` before it was not run".into()));
    }
    let mut flow = Flow::default();
    flow.finished(a, &ended(a, Status::Succeeded, &[], &[]));
    assert_eq!(flow.inputs(b), Err("no version of `t.app` has passed `a`".into()));
    assert_eq!(Flow::default().inputs(b), known(&[]), "a job run alone takes the newest");
}
