//! The order of jobs, and the versions that flow from one to the next. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use pikoci_core::pipeline::{Get, Job, VersionChoice};
use pikoci_core::plan::BuildResult;
use pikoci_core::{Pipeline, Status, Version};

use super::{JobChoice, LocalError};

/// The jobs to run, as indexes, each after those it needs; jobs that do not
/// need each other stay in the order written.
pub(super) fn order(pipeline: &Pipeline, choice: &JobChoice) -> Result<Vec<usize>, LocalError> {
    let jobs = &pipeline.jobs;
    let names = || listed(jobs.iter().map(|job| job.name.as_str()));
    match choice {
        _ if jobs.is_empty() => Err(LocalError::NoJobs),
        JobChoice::Only if jobs.len() > 1 => {
            Err(LocalError::SeveralJobs { count: jobs.len(), names: names() })
        }
        JobChoice::Only => Ok(vec![0]),
        JobChoice::One(name) => match jobs.iter().position(|job| job.name == *name) {
            Some(index) => Ok(vec![index]),
            None => Err(LocalError::NoSuchJob { name: name.clone(), names: names() }),
        },
        JobChoice::All => sorted(jobs),
    }
}

fn sorted(jobs: &[Job]) -> Result<Vec<usize>, LocalError> {
    let index: BTreeMap<&str, usize> =
        jobs.iter().enumerate().map(|(index, job)| (job.name.as_str(), index)).collect();
    let mut needs = vec![0usize; jobs.len()];
    let mut needed_by = vec![Vec::new(); jobs.len()];
    for (job, needs) in jobs.iter().enumerate().zip(&mut needs) {
        for upstream in upstream(job.1).iter().filter_map(|name| index.get(name.as_str())) {
            needed_by[*upstream].push(job.0);
            *needs += 1;
        }
    }
    let mut ready: BinaryHeap<_> = needs
        .iter()
        .enumerate()
        .filter(|(_, needs)| **needs == 0)
        .map(|it| Reverse(it.0))
        .collect();
    let mut out = Vec::with_capacity(jobs.len());
    while let Some(Reverse(job)) = ready.pop() {
        out.push(job);
        for next in &needed_by[job] {
            needs[*next] -= 1;
            if needs[*next] == 0 {
                ready.push(Reverse(*next));
            }
        }
    }
    if out.len() == jobs.len() {
        return Ok(out);
    }
    let left = jobs.iter().zip(&needs).filter(|(_, needs)| **needs > 0);
    Err(LocalError::Cycle { names: listed(left.map(|(job, _)| job.name.as_str())) })
}

/// The jobs that a job's gets name in `passed`.
fn upstream(job: &Job) -> BTreeSet<&String> {
    job.gets().into_iter().flat_map(|(_, get)| &get.passed).collect()
}

/// Names as a message lists them.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 12;
    let names: Vec<_> = names.collect();
    let mut out: Vec<_> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    if names.len() > MOST {
        out.push(format!("and {} more", names.len() - MOST));
    }
    if out.is_empty() { "none".into() } else { out.join(", ") }
}

/// What the jobs that have run leave for those behind them.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// How each job ended; `None` when it was not run.
    ended: BTreeMap<String, Option<Status>>,
    /// The versions that passed a job, by job and resource, in the order they did.
    passed: BTreeMap<(String, String), Vec<Version>>,
    /// The newest version of a resource that any job saw or made.
    newest: BTreeMap<String, Version>,
}

impl Flow {
    /// The versions for a job's gets as far as jobs before it decide them.
    ///
    /// # Errors
    /// Why the job is not to be run.
    pub(super) fn inputs(&self, job: &Job) -> Result<BTreeMap<String, Version>, String> {
        for upstream in upstream(job) {
            match self.ended.get(upstream) {
                Some(Some(status)) if !status.is_ok() => {
                    return Err(format!("job `{upstream}` before it {}", told(*status)));
                }
                Some(None) => return Err(format!("job `{upstream}` before it was not run")),
                // A job that is not part of this run holds nothing back.
                Some(Some(_)) | None => {}
            }
        }
        let mut out = BTreeMap::new();
        for (_, get) in job.gets() {
            if let Some(version) = self.input(get)? {
                out.insert(get.name.clone(), version);
            }
        }
        Ok(out)
    }

    fn input(&self, get: &Get) -> Result<Option<Version>, String> {
        let resource = format!("{}.{}", get.kind, get.name);
        let ran: Vec<_> = get.passed.iter().filter(|job| self.ended.contains_key(*job)).collect();
        if matches!(get.version, VersionChoice::Pinned(_)) {
            return Ok(None);
        }
        let Some((first, others)) = ran.split_first() else {
            return Ok(self.newest.get(&resource).cloned());
        };
        let of = |job: &str| {
            self.passed.get(&(job.to_owned(), resource.clone())).map_or(&[][..], Vec::as_slice)
        };
        let shared = of(first)
            .iter()
            .rev()
            .find(|version| others.iter().all(|job| of(job).contains(version)));
        shared.cloned().map(Some).ok_or_else(|| {
            let jobs = listed(ran.iter().map(|job| job.as_str()));
            format!("no version of `{resource}` has passed {jobs}")
        })
    }

    /// A job was not run.
    pub(super) fn not_run(&mut self, job: &Job) {
        self.ended.insert(job.name.clone(), None);
    }

    /// A job's build ended.
    pub(super) fn finished(&mut self, job: &Job, result: &BuildResult) {
        self.ended.insert(job.name.clone(), Some(result.status));
        // A put that told no version may have made one: the next job has to look.
        for (_, put) in job.puts() {
            self.newest.remove(&format!("{}.{}", put.kind, put.name));
        }
        let gets = job.gets().into_iter();
        let fetched: BTreeMap<String, Version> = gets
            .filter_map(|(_, get)| {
                let version = result.inputs.get(&get.name)?;
                Some((format!("{}.{}", get.kind, get.name), version.clone()))
            })
            .collect();
        for (resource, version) in fetched.into_iter().chain(result.outputs.iter().cloned()) {
            let made = result.outputs.iter().any(|(name, _)| *name == resource);
            let put =
                job.puts().iter().any(|(_, put)| format!("{}.{}", put.kind, put.name) == resource);
            if made || !put {
                self.newest.insert(resource.clone(), version.clone());
            }
            self.passed.entry((job.name.clone(), resource)).or_default().push(version);
        }
    }
}

fn told(status: Status) -> &'static str {
    match status {
        Status::Cancelled => "was cancelled",
        Status::Errored => "errored",
        Status::Failed => "failed",
        Status::Succeeded | Status::Skipped | Status::Warning => "ended",
    }
}

#[cfg(test)]
mod tests;
