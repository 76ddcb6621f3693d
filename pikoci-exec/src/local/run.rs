//! One build after the other: workspace, journal, events, and tidying up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use pikoci_core::context::BuildContext;
use pikoci_core::language::suggest::closest;
use pikoci_core::name::{BuildId, BuildName};
use pikoci_core::pipeline::Job;
use pikoci_core::plan::{self, BuildResult, BuildSpec, Host, execute};
use pikoci_core::{Journal, Status, Version, Workspace};
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use super::trace::{TRACEPARENT, traceparent};
use super::{JobChoice, JobOutcome, LocalError, LocalOptions, LocalResult, LocalRun, SinkFactory};
use crate::cache::Cache;
use crate::journal::{FileJournal, recover};
use crate::workspace::DirWorkspace;

pub(super) async fn run(
    local: &LocalRun,
    sinks: &SinkFactory<'_>,
    cancel: &CancellationToken,
) -> Result<LocalResult, LocalError> {
    let options = &local.options;
    let root = match &options.workspaces {
        Some(root) => root.clone(),
        None => DirWorkspace::default_root().map_err(|error| LocalError::Workspaces { error })?,
    };
    let journal = options.journal.clone().unwrap_or_else(|| root.join("journal"));
    let recovered = recover(&journal, &local.base, options.grace).await;
    let workspaces = (!options.keep).then(|| root.clone());
    let journal: Arc<dyn Journal> = Arc::new(FileJournal::new(journal, workspaces));

    let mut flow = Flow::default();
    let mut jobs = Vec::with_capacity(local.order.len());
    for job in local.order.iter().filter_map(|index| local.pipeline.jobs.get(*index)) {
        let outcome = match inputs(local, job, &flow, cancel) {
            Ok(inputs) => {
                let build = Build { local, job, inputs, root: &root, journal: &journal };
                let outcome = Box::pin(build.run(sinks, cancel)).await?;
                if let Some(result) = &outcome.result {
                    flow.finished(job, result);
                }
                outcome
            }
            Err(reason) => {
                flow.not_run(job);
                JobOutcome {
                    job: job.name.clone(),
                    result: None,
                    not_run: Some(reason),
                    workspace: None,
                    problems: Vec::new(),
                }
            }
        };
        jobs.push(outcome);
    }
    let results = jobs.iter().filter_map(|it| it.result.as_ref());
    let status = results.fold(Status::Succeeded, |worst, result| worst.worst(result.status));
    // A token that fired when all was done has cancelled nothing.
    let cut_short = cancel.is_cancelled() && jobs.iter().any(|it| it.result.is_none());
    let status = if cut_short { status.worst(Status::Cancelled) } else { status };
    Ok(LocalResult { jobs, status, recovered })
}

/// Checks the values given for the inputs of the jobs that will run.
pub(super) fn check_inputs(jobs: &[&Job], options: &LocalOptions) -> Result<(), LocalError> {
    let mut problems = Vec::new();
    if options.jobs == JobChoice::All {
        let names = || jobs.iter().flat_map(|job| &job.inputs).map(|input| input.name.as_str());
        for name in options.input_values.keys().filter(|name| names().all(|it| it != **name)) {
            problems.push(match closest(name, names()) {
                Some(near) => format!("no job has an input `{name}`; did you mean `{near}`?"),
                None => format!("no job has an input `{name}`"),
            });
        }
    }
    for job in jobs.iter().filter(|job| runs(job, options)) {
        if let Err(found) = plan::check_inputs(job, &values_for(job, options)) {
            problems.extend(found.into_iter().map(|problem| match options.jobs {
                JobChoice::All => format!("job `{}`: {problem}", job.name),
                _ => problem,
            }));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(LocalError::Inputs { problems }) }
}

/// The values given for a job's inputs; in a run of all jobs, those it asks for.
fn values_for(job: &Job, options: &LocalOptions) -> BTreeMap<String, String> {
    let all = options.jobs == JobChoice::All;
    let asked = |name: &String| !all || job.inputs.iter().any(|it| it.name == *name);
    let values = options.input_values.iter().filter(|it| asked(it.0));
    values.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether a job is to run: whoever names one wants it to.
fn runs(job: &Job, options: &LocalOptions) -> bool {
    job.enabled || options.jobs != JobChoice::All
}

/// The versions that are known for a job's gets, or why it is not run.
fn inputs(
    local: &LocalRun,
    job: &Job,
    flow: &Flow,
    cancel: &CancellationToken,
) -> Result<BTreeMap<String, Version>, String> {
    if cancel.is_cancelled() {
        return Err("the run was cancelled".into());
    }
    if !runs(job, &local.options) {
        return Err("it is not enabled".into());
    }
    flow.inputs(job)
}

/// One build about to run.
struct Build<'a> {
    local: &'a LocalRun,
    job: &'a Job,
    inputs: BTreeMap<String, Version>,
    root: &'a Path,
    journal: &'a Arc<dyn Journal>,
}

impl Build<'_> {
    async fn run(
        self,
        sinks: &SinkFactory<'_>,
        cancel: &CancellationToken,
    ) -> Result<JobOutcome, LocalError> {
        let options = &self.local.options;
        let context = BuildContext {
            id: BuildId(options.clock.id()),
            name: BuildName {
                team: "local".into(),
                pipeline: self.local.pipeline.name.clone(),
                job: self.job.name.clone(),
                number: "1".into(),
            },
            url: None,
        };
        let cache = options.cache.clone().map(Cache::new);
        let cache = cache.map(|it| it.with_limit_bytes(options.cache_limit_bytes));
        let workspace = DirWorkspace::create(self.root, context.id, cache)
            .map_err(|error| LocalError::Workspaces { error })?;
        let workspace = Arc::new(workspace);
        let events = sinks(&context);
        let input_values = values_for(self.job, options);
        let spec = BuildSpec {
            pipeline: Arc::clone(&self.local.pipeline),
            inputs: self.inputs,
            check_missing: true,
            input_values,
            attempt: 1,
            previous: None,
            context,
        };
        let mut env = options.env.clone();
        env.entry(TRACEPARENT.to_owned()).or_insert_with(|| {
            traceparent(std::env::var(TRACEPARENT).ok().as_deref(), spec.context.id)
        });
        let host = Host {
            types: Arc::clone(&self.local.types),
            events,
            clock: Arc::clone(&options.clock),
            workspace: Arc::clone(&workspace) as Arc<dyn Workspace>,
            journal: Arc::clone(self.journal),
            grace: options.grace,
            worker: options.worker.clone(),
            env,
        };
        // Boxed: the interpreter's future is large, and this one is polled through all of it.
        let result: BuildResult = Box::pin(execute(&spec, &host, cancel)).await;
        let mut problems = Vec::new();
        let survivors = crate::process::end_build(spec.context.id, options.grace).await;
        if survivors > 0 {
            problems.push(format!("{survivors} of its processes could not be ended"));
        }
        if workspace.has_caches() {
            let workspace = Arc::clone(&workspace);
            let released = tokio::task::spawn_blocking(move || workspace.release_caches()).await;
            if let Err(error) = released.unwrap_or_else(|error| Err(error.into())) {
                problems.push(format!("its caches could not be tidied up: {error}"));
            }
        }
        let mut kept = None;
        if options.keep {
            kept = Some(workspace.root().to_path_buf());
        } else if let Err(error) = workspace.remove() {
            problems.push(format!("its workspace could not be removed: {error}"));
        }
        Ok(JobOutcome {
            job: self.job.name.clone(),
            result: Some(result),
            not_run: None,
            workspace: kept,
            problems,
        })
    }
}
