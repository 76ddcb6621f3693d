//! One build after the other: workspace, journal, events, and tidying up.

use std::collections::BTreeMap;
use std::sync::Arc;

use pikoci_core::context::BuildContext;
use pikoci_core::language::suggest::closest;
use pikoci_core::name::{BuildId, BuildName};
use pikoci_core::pipeline::Job;
use pikoci_core::plan::{self, BuildSpec, Cancellation};
use pikoci_core::{Status, Version};
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use super::{JobChoice, JobOutcome, LocalError, LocalOptions, LocalResult, LocalRun, SinkFactory};
use crate::cache::Cache;
use crate::journal::{FileJournal, recover};
use crate::machine::Machine;
use crate::trace::TRACEPARENT;
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
    let cache = options.cache.clone().map(Cache::new);
    let machine = Machine {
        workspaces: root,
        journal: Arc::new(FileJournal::new(journal, workspaces)),
        cache: cache.map(|it| it.with_limit_bytes(options.cache_limit_bytes)),
        grace: options.grace,
        worker: options.worker.clone(),
        env: options.env.clone(),
        trace: std::env::var(TRACEPARENT).ok(),
        clock: Arc::clone(&options.clock),
    };
    let ended = Cancellation::from(cancel.clone());

    let mut flow = Flow::default();
    let mut jobs = Vec::with_capacity(local.order.len());
    for job in local.order.iter().filter_map(|index| local.pipeline.jobs.get(*index)) {
        let outcome = match inputs(local, job, &flow, cancel) {
            Ok(inputs) => {
                let build = Build { local, job, inputs, machine: &machine };
                let outcome = Box::pin(build.run(sinks, &ended)).await?;
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
    machine: &'a Machine,
}

impl Build<'_> {
    async fn run(
        self,
        sinks: &SinkFactory<'_>,
        cancel: &Cancellation,
    ) -> Result<JobOutcome, LocalError> {
        let (options, machine) = (&self.local.options, self.machine);
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
        let room = machine.room(context.id).map_err(|error| LocalError::Workspaces { error })?;
        let events = sinks(&context);
        let spec = BuildSpec {
            pipeline: Arc::clone(&self.local.pipeline),
            inputs: self.inputs,
            check_missing: true,
            input_values: values_for(self.job, options),
            attempt: 1,
            previous: None,
            begun: None,
            resume: None,
            context,
        };
        let types = Arc::clone(&self.local.types);
        let (result, survivors) = machine.run(&spec, types, events, &room, cancel).await;
        let mut problems = Vec::new();
        if survivors > 0 {
            problems.push(format!("{survivors} of its processes could not be ended"));
        }
        if let Err(error) = machine.release(room.workspace.take_caches()).await {
            problems.push(format!("its caches could not be tidied up: {error}"));
        }
        let mut kept = None;
        if options.keep {
            kept = Some(machine.keep(room));
        } else if let Err(error) = machine.remove(room).await {
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
