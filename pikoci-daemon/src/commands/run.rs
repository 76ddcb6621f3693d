//! `pikoci run`: jobs of a pipeline on this machine, with no server.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use pikoci_core::Pipeline;
use pikoci_core::clock::{Clock, SystemClock};
use pikoci_core::context::BuildContext;
use pikoci_core::language::suggest::{closest, name_list};
use pikoci_core::pipeline::Job;
use pikoci_core::plan::EventSink;
use pikoci_exec::LocalRun;
use pikoci_exec::local::{JobChoice, JobOutcome, LocalError, LocalOptions, LocalResult};
use pikoci_exec::process::{OtherChildren, abort_all, become_subreaper, keep_off_the_terminal};
use tokio_util::sync::CancellationToken;

use super::diagnostics::{Values, read_pipeline, usable};
use super::load::load;
use super::{Stop, cannot_print};
use crate::cli::{Output, Run};
use crate::exit::Exit;
use crate::output::{Writer, note, takes_escapes, terminal_size};
use crate::report::{Attempts, Json, Plain, Report, Reporter, Terminal};
use crate::signals::Signals;

/// How many names a message lists.
const LISTED: usize = 12;

/// How long a last word to a terminal that may be stopped is waited for.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Runs one job, or all.
pub(crate) fn run(arguments: &Run) -> Result<Exit, Stop> {
    // Where the kernel refuses, processes that hide well may outlive the build.
    let _ = become_subreaper(OtherChildren::Never);
    keep_off_the_terminal();
    let values = Values::of(&arguments.variables)?;
    let files = load(&arguments.pipeline)?;
    let pipeline =
        usable(read_pipeline(files, &values, &pikoci_exec::catalog()), arguments.output)?;
    let jobs = choose(&pipeline, arguments)?;
    let attempts: HashMap<String, Attempts> =
        pipeline.jobs.iter().map(|job| (job.name.clone(), Attempts::of(job))).collect();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let (input_values, repeated) = input_values(&pipeline, &jobs, &arguments.inputs);
    let notes = passed_over(&pipeline, &jobs);
    let options = LocalOptions {
        jobs,
        input_values,
        overrides: arguments.resources.iter().cloned().collect::<BTreeMap<_, _>>(),
        keep: arguments.keep,
        grace: arguments.grace,
        clock: clock.clone(),
        ..LocalOptions::default()
    };
    let local = match LocalRun::new(pipeline, &pikoci_exec::defaults(), options) {
        Ok(local) if repeated.is_empty() => local,
        Ok(_) => return Err(Stop::usage(repeated.join("\nerror: "))),
        Err(LocalError::Inputs { problems }) => {
            return Err(Stop::usage([repeated, problems].concat().join("\nerror: ")));
        }
        Err(error) => return Err(Stop::usage(error.to_string())),
    };
    notes.iter().for_each(|text| note(text));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Stop::errored(format!("cannot start: {error}")))?;
    let writer = Writer::stdout()
        .map_err(|error| Stop::errored(format!("cannot write to standard output: {error}")))?;
    let reporter = Reporter::new(report(arguments.output, &clock), writer);
    let sinks = |build: &BuildContext| -> Arc<dyn EventSink> {
        reporter.expect(attempts.get(&build.name.job).cloned().unwrap_or_default());
        reporter.clone()
    };
    match runtime.block_on(supervise(&local, &sinks, &reporter))? {
        Some(result) => {
            let result = result.map_err(|error| match error {
                LocalError::Workspaces { .. } => Stop::errored(error.to_string()),
                other => Stop::usage(other.to_string()),
            })?;
            drop(runtime);
            tell(&result, arguments.keep);
            match reporter.failure() {
                Some(why) => Err(cannot_print(&why)),
                None => Ok(result.status.into()),
            }
        }
        None => {
            abort_all();
            // Nothing may hold this up: neither a reader that does not read nor a task.
            let (told, wait) = mpsc::channel();
            std::thread::spawn(move || {
                note("\nkilled");
                let _ = told.send(());
            });
            let _ = wait.recv_timeout(LAST_WORD);
            std::process::exit(i32::from(Exit::Cancelled.code()))
        }
    }
}

/// The reporter for where standard output leads.
fn report(output: Output, clock: &Arc<dyn Clock>) -> Box<dyn Report> {
    match output {
        Output::Json => Box::new(Json::default()),
        Output::Text if takes_escapes(&io::stdout()) => {
            Box::new(Terminal::new(clock.clone(), || terminal_size(io::stdout())))
        }
        Output::Text => Box::new(Plain::default()),
    }
}

/// Runs the jobs, with an ear for signals and for a reader that goes away;
/// `None` when it was to be killed at once.
async fn supervise(
    local: &LocalRun,
    sinks: &(dyn Fn(&BuildContext) -> Arc<dyn EventSink> + Send + Sync),
    reporter: &Reporter,
) -> Result<Option<Result<LocalResult, LocalError>>, Stop> {
    let mut signals = Signals::listen()
        .map_err(|error| Stop::errored(format!("cannot listen to signals: {error}")))?;
    let cancel = CancellationToken::new();
    let deserted = async {
        reporter.reader_left().await;
        cancel.cancel();
        std::future::pending().await
    };
    let work = async {
        let result = tokio::select! {
            result = local.run(sinks, &cancel) => result,
            never = reporter.animate() => match never {},
            never = deserted => never,
        };
        for JobOutcome { job, not_run, .. } in result.iter().flat_map(|result| &result.jobs) {
            if let Some(reason) = not_run {
                reporter.not_run(job, reason);
            }
        }
        reporter.drained().await;
        result
    };
    let asked = |name| {
        reporter.remark(&format!("{name}: cancelling; press Ctrl-C again to kill at once"));
    };
    Ok(signals.guard(&cancel, asked, Box::pin(work)).await)
}

/// The jobs that `choice` takes.
fn chosen<'a>(pipeline: &'a Pipeline, choice: &'a JobChoice) -> impl Iterator<Item = &'a Job> {
    pipeline.jobs.iter().filter(move |job| match choice {
        JobChoice::One(name) => job.name == *name,
        JobChoice::Only | JobChoice::All => true,
    })
}

/// The values for inputs that the command line gives, and what is wrong with
/// giving one several times: only one with `multiple` takes several.
fn input_values(
    pipeline: &Pipeline,
    choice: &JobChoice,
    given: &[(String, String)],
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, value) in given {
        let Some(known) = values.get_mut(name) else {
            values.insert(name.clone(), value.clone());
            continue;
        };
        let inputs = || chosen(pipeline, choice).flat_map(|job| &job.inputs);
        let mut meant = inputs().filter(|input| input.name == *name);
        if meant.all(|input| input.multiple) {
            known.push(',');
            known.push_str(value);
        } else {
            problems.push(format!("input `{name}` is given more than once"));
        }
    }
    problems.dedup();
    (values, problems)
}

/// What the pipeline asks for that only a server does, each as a note.
fn passed_over(pipeline: &Pipeline, choice: &JobChoice) -> Vec<String> {
    let mut notes = Vec::new();
    for job in chosen(pipeline, choice) {
        if !job.enabled {
            // In a run of all jobs it is told as one that was not run.
            if *choice == JobChoice::All {
                continue;
            }
            notes.push(format!(
                "job `{}`: `enabled = false` does not keep it from running here",
                job.name
            ));
        }
        for approval in &job.approvals {
            notes.push(format!(
                "job `{}`: approve {:?} is not waited for here",
                job.name, approval.label
            ));
        }
        if !job.tags.is_empty() {
            let tags = name_list(job.tags.iter().map(String::as_str), LISTED);
            notes.push(format!("job `{}`: its tags ({tags}) choose no worker here", job.name));
        }
    }
    notes
}

/// Which jobs to run; says what there is to choose from when that is not clear.
fn choose(pipeline: &Pipeline, arguments: &Run) -> Result<JobChoice, Stop> {
    let names = || pipeline.jobs.iter().map(|job| job.name.as_str());
    if pipeline.jobs.is_empty() {
        return Err(Stop::usage("the pipeline has no job to run"));
    }
    if arguments.all {
        return Ok(JobChoice::All);
    }
    let Some(wanted) = &arguments.job else {
        if pipeline.jobs.len() == 1 {
            return Ok(JobChoice::Only);
        }
        return Err(Stop::usage(format!(
            "the pipeline has {} jobs: {}\n  choose one with `-j JOB`, or run them all with `--all`",
            pipeline.jobs.len(),
            name_list(names(), LISTED),
        )));
    };
    if pipeline.job(wanted).is_some() {
        return Ok(JobChoice::One(wanted.clone()));
    }
    let instances = || {
        let of_wanted = |job: &&pikoci_core::pipeline::Job| {
            job.instance.as_ref().is_some_and(|instance| instance.job == *wanted)
        };
        pipeline.jobs.iter().filter(of_wanted).map(|job| job.name.as_str())
    };
    Err(Stop::usage(if instances().next().is_some() {
        format!("job `{wanted}` has instances; choose one of {}", name_list(instances(), LISTED))
    } else if let Some(near) = closest(wanted, names()) {
        format!("there is no job `{wanted}`; did you mean `{near}`?")
    } else {
        format!("there is no job `{wanted}`; the pipeline has {}", name_list(names(), LISTED))
    }))
}

/// Says what the events do not: what was tidied up, what was kept, what was not run.
fn tell(result: &LocalResult, keep: bool) {
    for recovered in &result.recovered {
        for service in &recovered.services {
            let how = match &service.error {
                None => "stopped".to_owned(),
                Some(error) => format!("could not be stopped: {error}"),
            };
            note(&format!("left by an earlier run: service `{}` {how}", service.service_type));
        }
        for problem in &recovered.problems {
            note(&format!("left by an earlier run: {problem}"));
        }
    }
    let mut not_run: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for outcome in &result.jobs {
        if let Some(reason) = &outcome.not_run {
            not_run.entry(reason).or_default().push(&outcome.job);
        }
    }
    for (reason, jobs) in not_run {
        note(&match jobs.as_slice() {
            [job] => format!("job `{job}` was not run: {reason}"),
            _ => format!("{} jobs were not run: {reason}", jobs.len()),
        });
    }
    for JobOutcome { job, workspace, problems, .. } in &result.jobs {
        for problem in problems {
            note(&format!("job `{job}`: {problem}"));
        }
        if let Some(workspace) = workspace.as_ref().filter(|_| keep) {
            note(&format!("job `{job}`: working directory kept at {}", workspace.display()));
        }
    }
}
