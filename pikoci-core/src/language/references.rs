//! What refers to jobs: `passed` and the jobs of a notification, once all jobs are known.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::Diagnostic;
use super::fields::with_suggestion;
use super::jobs::ReadJob;
use super::reader::Reader;
use super::resources::NotificationSpans;
use crate::name::StepId;
use crate::pipeline::{HookBody, Hooks, Pipeline, Step, StepKind};

/// Resolves `passed` to instances, checks what it says, and puts the jobs into the pipeline.
pub(super) fn check(
    reader: &Reader<'_>,
    pipeline: &mut Pipeline,
    mut jobs: Vec<ReadJob>,
    notification_spans: &[NotificationSpans],
) {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for read in &jobs {
        names.entry(read.job.name.clone()).or_default().push(read.job.name.clone());
        if let Some(instance) = &read.job.instance {
            names.entry(instance.job.clone()).or_default().push(read.job.name.clone());
        }
    }
    let carries: BTreeMap<String, BTreeSet<(String, String)>> = jobs
        .iter()
        .map(|read| {
            let gets =
                read.job.gets().into_iter().map(|(_, it)| (it.kind.clone(), it.name.clone()));
            let puts =
                read.job.puts().into_iter().map(|(_, it)| (it.kind.clone(), it.name.clone()));
            (read.job.name.clone(), gets.chain(puts).collect())
        })
        .collect();

    for read in &mut jobs {
        repeated_gets(reader, read);
        let own_name = read.job.name.clone();
        let spans = std::mem::take(&mut read.gets);
        for_each_get(&mut read.job.steps, &mut read.job.hooks, &mut |id, get| {
            let Some((_, spans)) = spans.get(id) else { return };
            let mut resolved: Vec<String> = Vec::new();
            for name in &get.passed {
                let Some(span) = spans.get(name).copied() else { continue };
                let Some(instances) = names.get(name) else {
                    if !reader.any_broken("job") {
                        reader.report(with_suggestion(
                            Diagnostic::error(
                                "unknown-job",
                                span,
                                format!("`passed` names the job `{name}`, and there is none"),
                            ),
                            span,
                            name,
                            names.keys().map(String::as_str),
                        ));
                    }
                    continue;
                };
                for instance in instances {
                    let key = (get.kind.clone(), get.name.clone());
                    if *instance == own_name {
                        reader.report(Diagnostic::error(
                            "passed-cycle",
                            span,
                            format!("the job `{own_name}` waits for itself"),
                        ));
                    } else if carries.get(instance).is_some_and(|it| !it.contains(&key)) {
                        reader.report(
                            Diagnostic::error(
                                "passed-without-resource",
                                span,
                                format!(
                                    "no version of `{}.{}` can pass the job `{instance}`: it neither gets nor puts it",
                                    get.kind, get.name
                                ),
                            )
                            .help(format!(
                                "add `get \"{}\" \"{}\" {{}}` to `{instance}`, or take it out of `passed`",
                                get.kind, get.name
                            )),
                        );
                    }
                    if !resolved.contains(instance) {
                        resolved.push(instance.clone());
                    }
                }
            }
            get.passed = resolved;
        });
        read.gets = spans;
    }
    cycles(reader, &jobs);
    notification_jobs(reader, pipeline, notification_spans, &names);
    pipeline.jobs = jobs.into_iter().map(|read| read.job).collect();
}

/// A get's name is its input's name: it can stand in a job only once.
fn repeated_gets(reader: &Reader<'_>, read: &ReadJob) {
    let mut seen = BTreeMap::new();
    for (step, get) in read.job.gets() {
        let span = read.gets.get(&step.id).map_or(read.name_span, |(span, _)| *span);
        if let Some(first) = seen.insert(&get.name, span) {
            reader.report(
                Diagnostic::error(
                    "duplicate-get",
                    span,
                    format!("the job `{}` gets `{}` twice", read.job.name, get.name),
                )
                .other(first, "the first time is here")
                .help("one get is enough: what it fetched stays for the steps behind it"),
            );
        }
    }
}

fn for_each_get(
    steps: &mut [Step],
    hooks: &mut Hooks,
    f: &mut dyn FnMut(&StepId, &mut crate::pipeline::Get),
) {
    for step in steps {
        match &mut step.kind {
            StepKind::Get(get) => f(&step.id, get),
            StepKind::InParallel { steps, .. }
            | StepKind::Do { steps }
            | StepKind::Try { steps } => for_each_get(steps, &mut Hooks::default(), f),
            StepKind::If { branches, otherwise } => {
                for branch in branches {
                    for_each_get(&mut branch.steps, &mut Hooks::default(), f);
                }
                for_each_get(otherwise, &mut Hooks::default(), f);
            }
            _ => {}
        }
        for_each_get(&mut [], &mut step.hooks, f);
    }
    for hooks in [
        &mut hooks.on_success,
        &mut hooks.on_failure,
        &mut hooks.on_cancel,
        &mut hooks.on_error,
        &mut hooks.ensure,
    ] {
        for hook in hooks {
            if let HookBody::Steps(steps) = &mut hook.body {
                for_each_get(steps, &mut Hooks::default(), f);
            }
        }
    }
}

/// Reports every circle of jobs that wait for each other, once.
fn cycles(reader: &Reader<'_>, jobs: &[ReadJob]) {
    let index: BTreeMap<&str, usize> =
        jobs.iter().enumerate().map(|(at, read)| (read.job.name.as_str(), at)).collect();
    let upstream: Vec<Vec<usize>> = jobs
        .iter()
        .map(|read| {
            let names = read.job.gets().into_iter().flat_map(|(_, get)| &get.passed);
            let mut out: Vec<usize> =
                names.filter_map(|name| index.get(name.as_str()).copied()).collect();
            out.sort_unstable();
            out.dedup();
            out
        })
        .collect();
    // 0 untouched, 1 on the path, 2 done. An explicit stack: pipelines have thousands of jobs.
    let mut state = vec![0u8; jobs.len()];
    for start in 0..jobs.len() {
        if state[start] != 0 {
            continue;
        }
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        state[start] = 1;
        while let Some((at, next)) = path.last_mut() {
            let Some(&up) = upstream[*at].get(*next) else {
                state[*at] = 2;
                path.pop();
                continue;
            };
            *next += 1;
            match state[up] {
                0 => {
                    state[up] = 1;
                    path.push((up, 0));
                }
                1 if path.last().is_some_and(|(at, _)| *at != up) => {
                    let from = path.iter().position(|(at, _)| *at == up).unwrap_or(0);
                    let mut circle: Vec<&str> =
                        path[from..].iter().map(|(at, _)| jobs[*at].job.name.as_str()).collect();
                    circle.push(jobs[up].job.name.as_str());
                    let read = &jobs[up];
                    let mut spans = read.gets.values().flat_map(|(_, passed)| passed.values());
                    let span = spans.next().copied().unwrap_or(read.name_span);
                    reader.report(
                        Diagnostic::error(
                            "passed-cycle",
                            span,
                            format!("jobs wait for each other in a circle: {}", circle.join(" ← ")),
                        )
                        .help(
                            "take one of them out of a `passed`: none of these jobs could ever run",
                        ),
                    );
                }
                _ => {}
            }
        }
    }
}

fn notification_jobs(
    reader: &Reader<'_>,
    pipeline: &mut Pipeline,
    spans: &[NotificationSpans],
    names: &BTreeMap<String, Vec<String>>,
) {
    if reader.any_broken("job") {
        return;
    }
    for (notification, spans) in pipeline.notifications.iter_mut().zip(spans) {
        for (what, list) in
            [("jobs", &mut notification.jobs), ("exclude", &mut notification.exclude)]
        {
            let mut resolved = Vec::new();
            for name in list.iter() {
                match names.get(name) {
                    Some(instances) => resolved.extend(instances.iter().cloned()),
                    None => {
                        let Some(span) = spans.get(&(what, name.clone())).copied() else {
                            continue;
                        };
                        reader.report(with_suggestion(
                            Diagnostic::error(
                                "unknown-job",
                                span,
                                format!("`{what}` names the job `{name}`, and there is none"),
                            ),
                            span,
                            name,
                            names.keys().map(String::as_str),
                        ));
                    }
                }
            }
            *list = resolved;
        }
    }
}
